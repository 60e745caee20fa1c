# SPDX-License-Identifier: Apache-2.0
"""What goes wrong around a build: it is interrupted or killed, the store is full or read only, the remote is down."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.bazel import BAZEL, Bazel, running_bazel
from tests.support.traced_workspace import TracedWorkspace, bazel_root

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.soak,
    pytest.mark.bazel,
    pytest.mark.skipif(BAZEL is None, reason="Bazel is not installed (Debian: bazel-bootstrap)"),
]
BUILD = """\
load("@pytrace//rules:traced_genrule.bzl", "traced_genrule")
[traced_genrule(
    name = "step%d" % n,
    srcs = ["in.txt"],
    outs = ["step%d.txt" % n],
    cmd = "cat $< > $@; head -c 300000 /dev/zero >> $@; {pause}echo %d >> $@" % n,
) for n in range(4)]
"""


@pytest.fixture(scope="module")
def output_user_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with bazel_root(tmp_path_factory.mktemp("bazel")) as root:
        yield root


def written(folder: Path, pause: str = "", **attributes: str | list[str]) -> TracedWorkspace:
    workspace = TracedWorkspace(folder / "workspace", folder / "writable")
    workspace.write({"BUILD": BUILD.replace("{pause}", pause), "in.txt": "in\n"}, "traced", **attributes)
    return workspace


def check(workspace: TracedWorkspace, bazel: Bazel, *options: str) -> str:
    """Build, and hold the outputs against what the commands make; return Bazel's log."""
    built = workspace.build(bazel, "//...", *options)
    assert built.build.status == 0, built.build.log
    for number in range(4):
        assert workspace.read(f"step{number}.txt") == "in\n" + "\0" * 300_000 + f"{number}\n"
    return built.build.log


def running(mark: str) -> list[str]:
    """Command lines that hold the mark."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if mark in line and "bazel" not in line.split(" ")[0] and "java" not in line.split(" ")[0]:
            found.append(line)
    return found


def settled(mark: str, seconds: float = 60) -> list[str]:
    """What is left with the mark when nothing goes away any more."""
    until = time.monotonic() + seconds
    while (left := running(mark)) and time.monotonic() < until:
        time.sleep(0.2)
    return left


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=lambda number: number.name)
def test_a_build_that_is_cancelled(tmp_path: Path, output_user_root: Path, number: signal.Signals) -> None:
    workspace = written(tmp_path, pause=f"sleep 4.{os.getpid()}; ")
    mark = f"sleep 4.{os.getpid()}"
    with running_bazel(workspace.folder, output_user_root, number.name) as bazel:
        assert bazel.run("info").status == 0
        words = [str(bazel.program), *bazel.startup_options, "build", "//...", "--nosandbox_debug"]
        words.append(f"--sandbox_writable_path={workspace.place}")
        with subprocess.Popen(
            words, cwd=workspace.folder, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
        ) as client:
            until = time.monotonic() + 120
            while not running(mark) and client.poll() is None and time.monotonic() < until:
                time.sleep(0.1)
            client.send_signal(number)
            client.wait()
        assert settled(mark) == []
        check(workspace, bazel)


def test_a_store_that_is_full(tmp_path: Path, output_user_root: Path) -> None:
    workspace = written(tmp_path)
    workspace.write(
        {"BUILD": BUILD.replace("{pause}", "")}, options=["--max-size", "200k", "--stats-log", str(workspace.log)]
    )
    with running_bazel(workspace.folder, output_user_root, "full") as bazel:
        check(workspace, bazel)


def test_a_store_that_the_sandbox_may_not_write(tmp_path: Path, output_user_root: Path) -> None:
    place = tmp_path / "elsewhere"
    place.mkdir()
    # Bazel's sandbox may write to /tmp, where pytest's folders are.
    with tempfile.TemporaryDirectory(prefix="pytrace-closed-", dir="/var/tmp") as closed:
        workspace = written(tmp_path, options=[], store=f"{closed}/store")
        with running_bazel(workspace.folder, output_user_root, "closed") as bazel:
            log = check(TracedWorkspace(workspace.folder, place), bazel)
    assert "may not be written" in log
    assert "--sandbox_writable_path" in log


def test_a_store_that_is_no_absolute_path(tmp_path: Path, output_user_root: Path) -> None:
    workspace = written(tmp_path, store="relative/store")
    with running_bazel(workspace.folder, output_user_root, "relative") as bazel:
        build = bazel.build("//...")
    assert build.status != 0
    assert "no absolute path" in build.log


def test_a_remote_that_is_down(tmp_path: Path, output_user_root: Path) -> None:
    workspace = written(tmp_path, remote="grpc://127.0.0.1:1")
    with running_bazel(workspace.folder, output_user_root, "down") as bazel:
        check(workspace, bazel)
        bazel.build(command="clean")
        assert workspace.build(bazel, "//...").count("hit") == 4
