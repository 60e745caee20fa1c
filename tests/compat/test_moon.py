# SPDX-License-Identifier: Apache-2.0
"""moon 2.5.5 against a real server, over gRPC and HTTP: a fresh moon is filled from the cache."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.server import running_server, server_environment
from tests.support.tools import MOON

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.server import RunningServer

pytestmark = [pytest.mark.npm, pytest.mark.git]

TASK = """
tasks:
  build:
    command: 'cp in.txt out.txt'
    toolchains: system
    inputs: ['in.txt']
    outputs: ['out.txt']
"""
SETTINGS = """
projects: [app]
telemetry: false
remote:
  host: '{url}'
  api: '{api}'
  cache: {{compression: '{compression}', instanceName: '{instance}'}}
"""
CONTENT = "some input\n" * 100_000


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    program()
    with running_server(tmp_path / "store") as server:
        yield server


def program() -> Path:
    return MOON.program("node_modules/@moonrepo/core-linux-x64-gnu/moon")


def build(workspace: Path, home: Path) -> str:
    """Build in a clean workspace, as somebody with an empty home; return what moon says."""
    shutil.rmtree(workspace / ".moon" / "cache", ignore_errors=True)
    (workspace / "app" / "out.txt").unlink(missing_ok=True)
    done = subprocess.run(
        [str(program()), "run", "app:build"],
        cwd=workspace,
        env=server_environment() | {"HOME": str(home), "MOON_HOME": str(home / "moon"), "PROTO_OFFLINE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (workspace / "app" / "out.txt").read_text() == CONTENT
    return done.stdout


@pytest.mark.parametrize("api", ["grpc", "http"])
def test_a_fresh_moon_is_filled_from_the_cache(server: RunningServer, tmp_path: Path, api: str) -> None:
    workspace = tmp_path / "workspace"
    (workspace / ".moon").mkdir(parents=True)
    (workspace / "app").mkdir()
    (workspace / "app" / "moon.yml").write_text(TASK)
    (workspace / "app" / "in.txt").write_text(CONTENT)
    name = ("-c", "user.name=somebody", "-c", "user.email=somebody@localhost")
    for arguments in (("init", "-q"), (*name, "commit", "-q", "--allow-empty", "-m", "begun")):
        subprocess.run(["git", *arguments], cwd=workspace, check=True)
    url = server.grpc_url if api == "grpc" else server.http_url
    for compression in ("none", "zstd"):
        settings = SETTINGS.format(url=url, api=api, compression=compression, instance=compression)
        (workspace / ".moon" / "workspace.yml").write_text(settings)
        said = [build(workspace, tmp_path / "home") for _ in range(2)]
        assert ["cached from remote" in text for text in said] == [False, True]
