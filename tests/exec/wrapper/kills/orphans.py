# SPDX-License-Identifier: Apache-2.0
"""What killed processes leave running: adopted by this process, so that none can get away, and waited for."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pytrace_exec.tracer.descendants import descendants

_PR_SET_CHILD_SUBREAPER = 36
SECONDS = 30


class LeftRunning(AssertionError):
    """Processes did not end; `states` are their state letters by command line."""

    def __init__(self, states: dict[str, str]) -> None:
        self.states = states
        super().__init__(f"left running: {states}")


@contextmanager
def adopted() -> Iterator[None]:
    """Adopt all orphans of what is started meanwhile; at the end each of them has ended and is reaped, or it raises."""
    before = set(descendants(os.getpid()))
    _adopt(True)
    try:
        yield
        wait_until_none(lambda: _left(before))
    finally:
        for pid in _left(before):
            os.kill(pid, signal.SIGKILL)
        _adopt(False)


def wait_until_none(left: Callable[[], list[int]]) -> None:
    """Wait until there is none left; raise `LeftRunning` when that takes too long."""
    deadline = time.monotonic() + SECONDS
    while pids := left():
        if time.monotonic() > deadline:
            raise LeftRunning({_words(pid): _state(pid) for pid in pids})
        time.sleep(0.01)


def marked(mark: str) -> list[int]:
    """Living processes that have this among their variables (`NAME=value`)."""
    wanted = b"\0" + os.fsencode(mark) + b"\0"
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            with suppress(OSError):
                if wanted in b"\0" + Path("/proc", name, "environ").read_bytes():
                    found.append(int(name))
    return found


def tracer_of(pid: int) -> int:
    """The process that traces `pid`, 0 if none does or it has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("TracerPid:"):
                return int(line.split()[1])
    return 0


def _adopt(on: bool) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, int(on), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def _left(before: set[int]) -> list[int]:
    """Descendants that are not reaped; reaps those that can be."""
    for pid in descendants(os.getpid()):
        if pid not in before:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
    return [pid for pid in descendants(os.getpid()) if pid not in before]


def _words(pid: int) -> str:
    with suppress(OSError):
        return f"{pid} " + Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    return str(pid)


def _state(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return "gone"
