# SPDX-License-Identifier: Apache-2.0
"""A real `pytrace-cas serve` process on free ports of loopback."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PYTRACE_CAS = Path(sys.executable).with_name("pytrace-cas")
START_SECONDS, STOP_SECONDS = 90, 30


@attrs.frozen
class RunningServer:
    """Where it listens: `grpc` as a gRPC target, the others as URLs; `store` is its directory."""

    process: subprocess.Popen[str]
    store: Path
    grpc_url: str
    http_url: str

    @property
    def grpc(self) -> str:
        """Target for `grpc.insecure_channel`."""
        return self.grpc_url.removeprefix("grpc://").removeprefix("grpcs://")

    def workers(self) -> list[int]:
        """Its child processes (proc(5), `task/TID/children`)."""
        pid = self.process.pid
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def terminate(self) -> int:
        """Ask it to stop; return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS)

    def stop(self) -> None:
        """Ask it to stop, and leave none behind that does not: raise `RuntimeError` after it is killed."""
        try:
            self.terminate()
        except subprocess.TimeoutExpired:
            self.kill()
            raise RuntimeError(f"the server did not stop within {STOP_SECONDS} s") from None

    def descriptors_open(self) -> int:
        """Count its open descriptors."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def blobs_open(self) -> int:
        """Count the blob files that it holds open."""
        folder, found = f"/proc/{self.process.pid}/fd", 0
        for number in os.listdir(folder):
            with suppress(FileNotFoundError):
                found += os.readlink(f"{folder}/{number}").startswith(f"{self.store}/cas/")
        return found

    def peak_memory(self) -> int:
        """Bytes that it has had in memory at most."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))

    def errors(self) -> str:
        """Return what it wrote on stderr, once it has ended."""
        assert self.process.stderr is not None
        return self.process.stderr.read()

    def kill(self) -> None:
        """End it at once, as a crash does."""
        self.process.kill()
        self.process.wait(STOP_SECONDS)


def server_environment() -> dict[str, str]:
    """Environment without settings of this project, which would reach the server."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTRACE_")}


def start_server(
    store: Path, *options: str, stderr: bool = False, program: Sequence[str] = (str(PYTRACE_CAS),)
) -> RunningServer:
    """Start a server, its log to be read with `stderr`; it is the caller's to stop.

    Raises `RuntimeError` when it ends before it is ready, or is not ready in time.
    """
    # One process, unless a test is about several: what it asks of the process, it then asks of the one that serves.
    arguments = {"--grpc-address": "127.0.0.1:0", "--http-address": "127.0.0.1:0", "--workers": "1"}
    given = [part for name, value in arguments.items() if name not in options for part in (name, value)]
    process = subprocess.Popen(
        [*program, "serve", "--dir", store, *given, *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if stderr else None,
        text=True,
        env=server_environment(),
    )
    words = _first_line(process).split()
    if not words or words[0] != "ready":
        raise RuntimeError(f"the server ended with status {process.wait(STOP_SECONDS)}")
    return RunningServer(process, store, words[1], words[2] if len(words) > 2 else "")


def _first_line(process: subprocess.Popen[str]) -> str:
    """What a server says once it is ready; nothing when it ends before. Raises `RuntimeError` when it does neither."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], START_SECONDS)
    line = process.stdout.readline() if ready else ""
    if not line:
        process.stdout.close()
    if not ready:
        process.kill()
        process.wait()
        raise RuntimeError(f"the server was not ready within {START_SECONDS} s")
    return line


@contextmanager
def running_server(store: Path, *options: str, stderr: bool = False) -> Iterator[RunningServer]:
    """Run a server over a store in that directory, and stop it in the end."""
    server = start_server(store, *options, stderr=stderr)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()
        for stream in (server.process.stdout, server.process.stderr):
            if stream is not None:
                stream.close()
