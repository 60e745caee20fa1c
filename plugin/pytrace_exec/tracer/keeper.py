# SPDX-License-Identifier: Apache-2.0
"""A small process of ours that stays behind when the command left others running.

strace's filter cannot be taken off a process: detached from its tracer, every traced call would fail with ENOSYS. So
such processes stay traced for as long as they live. The keeper empties the log that nobody parses any more, so that
strace never waits, and goes on pumping outputs that stood for the caller's. It ends when they have.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal

from pytrace_exec.tracer.descendants import send

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_exec.tracer.watch import Streams

_READ = 1 << 18
# How often it is asked who still holds an output, in milliseconds.
_LOOK = 500


def traced_by(tracer: int) -> list[int]:
    """Return the processes that a tracer is attached to."""
    line = b"\nTracerPid:\t%d\n" % tracer
    return [pid for pid in _processes() if line in _status(pid)]


def tracer_of(pid: int) -> int:
    """Return the process that traces `pid`, or 0 if none does or `pid` has ended."""
    for line in _status(pid).splitlines():
        if line.startswith(b"TracerPid:"):
            return int(line.split()[1])
    return 0


def _processes() -> list[int]:
    return [int(name) for name in os.listdir(b"/proc") if name.isdigit()]


def _status(pid: int) -> bytes:
    return _read(f"/proc/{pid}/status")


def _command_line(pid: int) -> list[bytes]:
    return _read(f"/proc/{pid}/cmdline").split(b"\0")


def _read(name: str) -> bytes:
    try:
        with open(name, "rb", buffering=0) as file:
            return file.read(1 << 16)
    except OSError:
        return b""


def _holds(pid: int, place: os.stat_result) -> bool:
    """Whether a process has a descriptor that leads to `place`."""
    folder = f"/proc/{pid}/fd"
    try:
        numbers = os.listdir(folder)
    except OSError:
        return False
    for number in numbers:
        with contextlib.suppress(OSError):
            if os.path.samestat(os.stat(f"{folder}/{number}"), place):
                return True
    return False


def end_trials(log: bytes) -> None:
    """Kill children of a tracer that was killed while it tried out what it may do: strace's would stay stopped."""
    for pid in _processes():
        if log in _command_line(pid):
            send(pid, signal.SIGKILL)


def close_unheld(streams: Streams, tracer: int) -> None:
    """Close outputs that of all others only strace still holds: it inherits the command's stderr and keeps it."""
    for outlet in streams.sources():
        if tracer and not any(_holds(pid, outlet.writing_end()) for pid in traced_by(tracer)):
            outlet.finish()


def leave(log: int, streams: Streams, tracer: int) -> None:
    """Fork a keeper for the log's reading end (-1: none) and all outputs that are still open, and return."""
    if child := os.fork():
        os.waitpid(child, 0)
        return
    try:
        os.setsid()
        if os.fork() == 0:
            _keep(log, streams, tracer)
    finally:
        os._exit(0)


def _keep(log: int, streams: Streams, tracer: int) -> None:
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    os.chdir(b"/")
    streams.stop_recording()
    _close_all_but(streams.kept_by_pumping() | {log})
    while True:
        poll = select.poll()
        asked = streams.polled()
        if log >= 0:
            asked.append((log, select.POLLIN))
        if not asked:
            return
        for descriptor, events in asked:
            poll.register(descriptor, events)
        ready = poll.poll(_LOOK)
        for descriptor, events in ready:
            if descriptor != log:
                streams.ready(descriptor, events)
            elif not os.read(log, _READ):
                log = -1
        if not ready:
            close_unheld(streams, tracer)


def _close_all_but(kept: set[int]) -> None:
    for number in map(int, os.listdir(b"/proc/self/fd")):
        if number not in kept:
            with contextlib.suppress(OSError):
                os.close(number)
