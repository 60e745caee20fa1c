# SPDX-License-Identifier: Apache-2.0
"""`--timeout`: the command and what it started are ended as a user would end them, by Ctrl-C's milder kin.

SIGTERM first; what is still there after a grace gets SIGKILL.
"""

from __future__ import annotations

import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, TracebackType

GRACE = 5.0
"""Seconds between SIGTERM and SIGKILL."""


class TimeLimit:
    """While entered, a timer runs; `reached` says afterwards whether it went off. For the main thread."""

    __slots__ = ("_former", "_seconds", "reached")

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._former: object = None
        self.reached = False

    def __enter__(self) -> TimeLimit:
        if self._seconds is not None:
            self._former = signal.signal(signal.SIGALRM, self._end)
            signal.setitimer(signal.ITIMER_REAL, self._seconds)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._seconds is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._former)  # type: ignore[arg-type]

    def _end(self, number: int, frame: FrameType | None) -> None:
        last, self.reached = self.reached, True
        for pid in _descendants(os.getpid()):
            try:
                os.kill(pid, signal.SIGKILL if last else signal.SIGTERM)
                os.kill(pid, signal.SIGCONT)  # a stopped process gets nothing else
            except (ProcessLookupError, PermissionError):
                continue
        signal.setitimer(signal.ITIMER_REAL, GRACE)


def _descendants(top: int) -> list[int]:
    """Processes that `top` started, theirs, and so on, the nearest first; a tracer is none, having left its parents."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            children.setdefault(_parent(name), []).append(int(name))
    found = [top]
    for pid in found:
        found += children.get(pid, ())
    return found[1:]


def _parent(pid: str) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as status:
            # The name in brackets may hold anything, brackets too.
            return int(status.read(4096).rpartition(b")")[2].split()[1])
    except OSError:
        return 0
