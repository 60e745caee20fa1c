# SPDX-License-Identifier: Apache-2.0
"""Bazel with C++ and test targets, and with our server as its downloader: cold, then every action a remote hit."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from pytrace_cas.digest import SHA256
from tests.support.bazel import BAZEL, running_bazel
from tests.support.bazel_stubs import write_stubs
from tests.support.origin import running_origin
from tests.support.server import running_server
from tests.support.tools import BAZEL_2

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.compiler]

BUILD = """
cc_library(name = "answer", srcs = ["answer.cc"], hdrs = ["answer.h"])
cc_binary(name = "main", srcs = ["main.cc"], deps = [":answer"])
cc_test(name = "answer_test", srcs = ["main.cc"], deps = [":answer"])
sh_test(name = "script_test", srcs = ["script_test.sh"])
"""
SOURCES = {
    "BUILD": BUILD,
    "answer.h": "int answer();\n",
    "answer.cc": '#include "answer.h"\nint answer() { return 42; }\n',
    "main.cc": '#include "answer.h"\nint main() { return answer() - 42; }\n',
    "script_test.sh": "#!/bin/sh\necho from the test\n",
}
TARGETS = ("//:main", "//:answer_test", "//:script_test")
DOWNLOAD = """
load("@bazel_tools//tools/build_defs/repo:http.bzl", "http_file")
http_file(name = "downloaded", urls = ["{absent}", "{url}"], sha256 = "{hash}")
"""
COPY = 'genrule(name = "copy", srcs = ["@downloaded//file"], outs = ["copy.out"], cmd = "cp $< $@")\n'
PUBLISHED = b"published\n" * 50_000


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Write a workspace of C++ and tests."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    (folder / "WORKSPACE").write_text('workspace(name = "compat")\n')
    for name, content in SOURCES.items():
        (folder / name).write_text(content)
    (folder / "script_test.sh").chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def output_user_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Hold what Bazel unpacks of itself."""
    root = tmp_path_factory.mktemp("bazel")
    yield root
    subprocess.run(["chmod", "-R", "u+w", root], check=True)
    shutil.rmtree(root)


@pytest.mark.bazel
def test_cpp_tests_and_downloads(workspace: Path, output_user_root: Path, tmp_path: Path) -> None:
    with running_origin() as origin:
        url, absent = origin.publish("/published", PUBLISHED), origin.url("/absent")
        with open(workspace / "WORKSPACE", "a", encoding="utf-8") as file:
            file.write(DOWNLOAD.format(url=url, absent=absent, hash=SHA256.of(PUBLISHED).hash))
        with open(workspace / "BUILD", "a", encoding="utf-8") as file:
            file.write(COPY)
        allowed = ("--remote-asset", "--remote-asset-allow", f"http://127.0.0.1:{origin.port}")
        with running_server(tmp_path / "store", *allowed) as server:
            options = [f"--remote_cache={server.grpc_url}", f"--experimental_remote_downloader={server.grpc_url}"]
            options += ["--repository_cache=", *write_stubs(tmp_path / "stubs")]
            for number in range(2):
                with running_bazel(workspace, output_user_root, f"base{number}", BAZEL) as bazel:
                    ran = bazel.build(*TARGETS, "//:copy", *options, command="test")
                    assert ran.status == 0, ran.log
                    assert (workspace / "bazel-bin" / "copy.out").read_bytes() == PUBLISHED
                if not number:
                    assert "remote cache hit" not in ran.processes
    # The second output base had nothing downloaded: the server answered for the origin.
    assert [path for path, _ in origin.asked] == ["/absent", "/published"]
    assert set(ran.processes) <= {"remote cache hit", "internal"}
    assert ran.processes["remote cache hit"] >= 8


@pytest.mark.soak
@pytest.mark.npm
@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_bazel_2(workspace: Path, output_user_root: Path, tmp_path: Path, protocol: str) -> None:
    program = BAZEL_2.program("node_modules/@bazel/bazel-linux_x64/bazel-2.1.0-linux-x86_64")
    stubs = write_stubs(tmp_path / "stubs")
    with running_server(tmp_path / "store") as server:
        url = server.grpc_url if protocol == "grpc" else server.http_url
        for number in range(2):
            with running_bazel(workspace, output_user_root, f"{protocol}{number}", program) as bazel:
                ran = bazel.build(*TARGETS, f"--remote_cache={url}", *stubs, command="test")
                assert ran.status == 0, ran.log
    assert set(ran.processes) <= {"remote cache hit", "internal"}
    assert ran.processes["remote cache hit"] >= 7
