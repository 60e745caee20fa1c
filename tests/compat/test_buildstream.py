# SPDX-License-Identifier: Apache-2.0
"""BuildStream 2.8.1 with its buildbox-casd: our server is its artifact cache, its source cache, and their index."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import attrs
import pytest

from tests.support.server import running_server, server_environment
from tests.support.tools import BUILDSTREAM

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.server import RunningServer

pytestmark = pytest.mark.bubblewrap

PROJECT = {
    "project.conf": "name: compat\nmin-version: 2.0\nelement-path: elements\n",
    "elements/files.bst": "kind: import\nsources:\n- kind: local\n  path: files\n",
    "elements/all.bst": "kind: compose\nbuild-depends:\n- files.bst\nconfig:\n  integrate: false\n",
    "files/small": "small\n",
    "files/deep/large": "0123456789abcdef" * 300_000,
}
CACHES = "cachedir: {cache}\n{kind}:\n  servers:\n  - url: {url}\n    push: true\n"


@attrs.frozen
class Ran:
    """What one user's BuildStream said."""

    log: str

    def queue(self, name: str) -> str:
        """What became of the elements in one queue."""
        (line,) = [line for line in self.log.splitlines() if line.strip().startswith(f"{name} Queue:")]
        return line.partition(":")[2].strip()


@attrs.frozen
class User:
    """One with nothing cached, in front of one kind of cache at the server."""

    home: Path
    project: Path
    server: RunningServer
    kind: str

    def bst(self, *arguments: str) -> Ran:
        """Run BuildStream in the project."""
        self.home.mkdir(exist_ok=True)
        url = self.server.grpc_url.replace("grpc:", "http:")
        config = self.home / "bst.conf"
        config.write_text(CACHES.format(cache=self.home / "cache", kind=self.kind, url=url))
        options = ("--no-interactive", "--no-colors", "-C", str(self.project), "-c", str(config))
        done = subprocess.run(
            [str(BUILDSTREAM.program("bin/bst")), *options, *arguments],
            env=server_environment() | {"HOME": str(self.home)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return Ran(done.stderr)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, content in PROJECT.items():
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return tmp_path / "project"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    BUILDSTREAM.program("bin/bst")
    with running_server(tmp_path / "store", "--remote-asset") as server:
        yield server


def test_artifacts(tmp_path: Path, project: Path, server: RunningServer) -> None:
    cold = User(tmp_path / "cold", project, server, "artifacts").bst("build", "all.bst")
    assert cold.queue("Build").startswith("processed 2, skipped 0")
    assert cold.queue("Push").startswith("processed 2, skipped 0")
    user = User(tmp_path / "warm", project, server, "artifacts")
    warm = user.bst("build", "all.bst")
    assert warm.queue("Pull").startswith("processed 1, skipped 0")
    assert warm.queue("Build").startswith("processed 0, skipped 1")
    user.bst("artifact", "checkout", "all.bst", "--directory", str(tmp_path / "out"))
    for name in ("small", "deep/large"):
        assert (tmp_path / "out" / name).read_text() == PROJECT[f"files/{name}"]


def test_sources(tmp_path: Path, project: Path, server: RunningServer) -> None:
    cold = User(tmp_path / "cold", project, server, "source-caches").bst("source", "push", "files.bst")
    assert cold.queue("Src-push").startswith("processed 1, skipped 0")
    warm = User(tmp_path / "warm", project, server, "source-caches")
    ran = warm.bst("source", "fetch", "files.bst")
    assert ran.queue("Fetch").startswith("processed 1, skipped 0")
    assert "Pulled source" in ran.log
    warm.bst("source", "checkout", "files.bst", "--directory", str(tmp_path / "out"))
    (large,) = (tmp_path / "out").rglob("large")
    assert large.read_text() == PROJECT["files/deep/large"]
