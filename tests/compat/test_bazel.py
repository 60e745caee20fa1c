# SPDX-License-Identifier: Apache-2.0
"""Bazel 4.2.3 against a real server: cold, then a fresh output base with every action a remote hit."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.bazel import BAZEL, Bazel, running_bazel
from tests.support.server import running_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.server import RunningServer

pytestmark = [
    pytest.mark.bazel,
    pytest.mark.slow,
    pytest.mark.skipif(BAZEL is None, reason="Bazel is not installed (Debian: bazel-bootstrap)"),
]

GENRULES, PLAIN = 120, 80

BUILD = f"""
load(":upper.bzl", "upper")

[genrule(
    name = "gen%d" % n,
    srcs = ["input.txt"],
    outs = ["gen%d.out" % n, "gen%d.log" % n],
    cmd = "(cat $(SRCS); echo %d) > $(location gen%d.out); head -c 40000 /dev/zero > $(location gen%d.log)"
        % (n, n, n),
) for n in range({GENRULES})]

[upper(
    name = "upper%d" % n,
    src = "gen%d.out" % n,
) for n in range({PLAIN})]
"""

UPPER = """
def _upper_impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name + ".txt")
    folder = ctx.actions.declare_directory(ctx.label.name + ".d")
    ctx.actions.run_shell(
        inputs = [ctx.file.src],
        outputs = [out, folder],
        command = "tr a-z A-Z < $1 > $2; mkdir -p $3/deep; cp $1 $3/deep/copy; ln -s deep/copy $3/link; echo done",
        arguments = [ctx.file.src.path, out.path, folder.path],
    )
    return [DefaultInfo(files = depset([out, folder]))]

upper = rule(implementation = _upper_impl, attrs = {"src": attr.label(allow_single_file = True)})
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Write a workspace of many cheap actions."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    (folder / "WORKSPACE").write_text('workspace(name = "compat")\n')
    (folder / "BUILD").write_text(BUILD)
    (folder / "upper.bzl").write_text(UPPER)
    (folder / "input.txt").write_text("some input\n")
    return folder


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    with running_server(tmp_path / "store") as server:
        yield server


@pytest.fixture(scope="module")
def output_user_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Hold what Bazel unpacks of itself, for all tests."""
    root = tmp_path_factory.mktemp("bazel")
    yield root
    subprocess.run(["chmod", "-R", "u+w", root], check=True)
    shutil.rmtree(root)


def outputs(bazel: Bazel) -> dict[str, bytes]:
    """Read everything that was built."""
    out = bazel.workspace / "bazel-bin"
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("protocol", ["grpc", pytest.param("http", marks=pytest.mark.soak)])
def test_a_fresh_output_base_is_filled_from_the_cache(
    workspace: Path, output_user_root: Path, server: RunningServer, protocol: str
) -> None:
    url = server.grpc_url if protocol == "grpc" else server.http_url
    built = []
    for number in range(2):
        with running_bazel(workspace, output_user_root, f"base{number}") as bazel:
            build = bazel.build("//...", f"--remote_cache={url}")
            assert build.status == 0, build.log
            built.append((build.processes, outputs(bazel)))
    (cold, first), (warm, second) = built
    assert "remote cache hit" not in cold
    assert warm["remote cache hit"] == GENRULES + PLAIN
    assert set(warm) <= {"remote cache hit", "internal"}
    assert first == second
    assert len(first) == 2 * GENRULES + 3 * PLAIN
