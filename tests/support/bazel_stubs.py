# SPDX-License-Identifier: Apache-2.0
"""What Bazel would download for a C++ or a test target (WORKSPACE mode): four repositories that re-export `native`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_CC = ("binary", "import", "library", "proto_library", "test", "toolchain", "toolchain_suite")
_JAVA = (
    "binary", "import", "library", "lite_proto_library", "package_configuration", "plugin", "proto_library", "runtime",
    "test", "toolchain",
)  # fmt: skip
_NATIVE = {
    "rules_cc/cc/defs.bzl": [
        *(f"cc_{name}" for name in _CC), "fdo_prefetch_hints", "fdo_profile", "objc_import", "objc_library"
    ],
    "rules_java/java/defs.bzl": [f"java_{name}" for name in _JAVA],
    "rules_proto/proto/defs.bzl": ["proto_lang_toolchain", "proto_library"],
}  # fmt: skip
_COVERAGE = """\
package(default_visibility = ["//visibility:public"])
filegroup(name = "coverage_report_generator", srcs = ["none.sh"])
filegroup(name = "Main", srcs = ["none.sh"])
"""


def write_stubs(folder: Path) -> list[str]:
    """Write the repositories; return the options that put them in place."""
    repositories = ["remote_coverage_tools", *(path.partition("/")[0] for path in _NATIVE)]
    for name in repositories:
        (folder / name).mkdir(parents=True)
        (folder / name / "WORKSPACE").write_text(f'workspace(name = "{name}")\n')
        (folder / name / "BUILD").touch()
    for path, rules in _NATIVE.items():
        file = folder / path
        file.parent.mkdir()
        file.with_name("BUILD").touch()
        file.write_text("".join(f"{rule} = native.{rule}\n" for rule in rules))
    coverage = folder / "remote_coverage_tools"
    (coverage / "BUILD").write_text(_COVERAGE)
    (coverage / "none.sh").write_text("#!/bin/sh\n")
    (coverage / "none.sh").chmod(0o755)
    return [f"--override_repository={name}={folder / name}" for name in repositories]
