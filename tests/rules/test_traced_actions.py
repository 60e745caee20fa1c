# SPDX-License-Identifier: Apache-2.0
"""`traced_genrule` and `traced_run` in Bazel's sandbox: what runs again, what is replayed, what Bazel is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.bazel import BAZEL, running_bazel
from tests.support.traced_workspace import TracedWorkspace, bazel_root

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.bazel,
    pytest.mark.slow,
    pytest.mark.skipif(BAZEL is None, reason="Bazel is not installed (Debian: bazel-bootstrap)"),
]

BUILD = """\
load("@pytrace//rules:traced_genrule.bzl", "traced_genrule")
load("@pytrace//rules:traced_run.bzl", "traced_run")

genrule(
    name = "plain",
    srcs = ["read.txt"],
    outs = ["plain.txt"],
    cmd = "cat $(location read.txt) {outside} > $@",
)

traced_genrule(
    name = "traced",
    srcs = ["read.txt", "unread.txt"],
    outs = ["traced.txt"],
    cmd = "cat $(location read.txt) {outside} > $@",
)

traced_run(
    name = "script",
    srcs = ["script.py", "helper.py", "read.txt"],
    outs = ["script.txt"],
    arguments = ["-B", "$(location script.py)", "$(location read.txt)", "$@"],
    program = "/usr/bin/python3",
)

traced_run(
    name = "folder",
    srcs = [":traced"],
    out_dirs = ["made"],
    arguments = ["-c", "mkdir $(DIR:made)/deep; cp $(location :traced) $(DIR:made)/deep/copy"],
    program = "sh",
)

traced_genrule(
    name = "program",
    outs = ["program.sh"],
    cmd = "printf '#!/bin/sh\\nexit 7\\n' > $@",
    executable = True,
    output_licenses = ["notice"],
)

genrule(
    name = "after",
    srcs = [":folder", ":script"],
    outs = ["after.txt"],
    cmd = "cat $(locations :folder)/deep/copy $(location :script) > $@",
)
"""
FILES = {
    "pkg/read.txt": "read\n",
    "pkg/unread.txt": "unread\n",
    "pkg/script.py": "import sys, helper\nopen(sys.argv[2], 'w').write(helper.twice(open(sys.argv[1]).read()))\n",
    "pkg/helper.py": "def twice(text):\n    return text + text\n",
}
TRACED = {"//pkg:traced", "//pkg:script", "//pkg:folder", "//pkg:program"}


@pytest.fixture(scope="module")
def output_user_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with bazel_root(tmp_path_factory.mktemp("bazel")) as root:
        yield root


def write(place: Path, folder: str, outside: Path) -> TracedWorkspace:
    workspace = TracedWorkspace(place / folder, place / "writable")
    workspace.write({**FILES, "pkg/BUILD": BUILD.replace("{outside}", str(outside))})
    return workspace


def test_what_is_asked_and_what_is_answered(tmp_path: Path, output_user_root: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("first\n")
    workspace = write(tmp_path, "workspace", outside)
    with running_bazel(workspace.folder, output_user_root, "base") as bazel:
        cold = workspace.build(bazel, "//...")
        assert cold.build.status == 0, cold.build.log
        assert cold.outcomes == dict.fromkeys(TRACED, "miss")
        assert workspace.read("pkg/after.txt") == "read\nfirst\nread\nread\n"
        assert workspace.read("pkg/traced.pytrace-unused") == "pkg/unread.txt\n"
        assert workspace.read("pkg/script.pytrace-unused") == ""

        assert workspace.build(bazel, "//...").outcomes == {}

        workspace.put("pkg/unread.txt", "changed\n")
        assert workspace.build(bazel, "//...").outcomes == {}

        workspace.put("pkg/helper.py", "def twice(text):\n    return text\n")
        assert workspace.build(bazel, "//...").outcomes == {"//pkg:script": "miss"}
        assert workspace.read("pkg/after.txt") == "read\nfirst\nread\n"

        outside.write_text("second\n")
        changed = workspace.build(bazel, "//...")
        affected = {"//pkg:traced": "miss", "//pkg:folder": "miss"}
        assert changed.outcomes == {**dict.fromkeys(TRACED, "hit"), **affected}
        assert workspace.read("pkg/traced.txt") == "read\nsecond\n"
        assert workspace.read("pkg/plain.txt") == "read\nfirst\n"  # which is why there are such rules
        assert workspace.build(bazel, "//...").outcomes == {}

        bazel.build(command="clean")
        assert workspace.build(bazel, "//...").outcomes == dict.fromkeys(TRACED, "hit")
        assert workspace.read("pkg/after.txt") == "read\nsecond\nread\n"
        assert workspace.build(bazel, "//pkg:program", command="run").build.status == 7
