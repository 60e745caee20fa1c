# SPDX-License-Identifier: Apache-2.0
"""`--timeout`: the command and what it started are ended as a user would end them, by Ctrl-C's milder kin.

SIGTERM first; what is still there after a grace gets SIGKILL.
"""

from __future__ import annotations

import os
import signal

from pytrace_exec.tracer.descendants import descendants, send

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
        for pid in descendants(os.getpid()):
            send(pid, signal.SIGKILL if last else signal.SIGTERM)
            send(pid, signal.SIGCONT)  # a stopped process gets nothing else
        signal.setitimer(signal.ITIMER_REAL, GRACE)
