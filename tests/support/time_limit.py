# SPDX-License-Identifier: Apache-2.0
"""An end to a test that hangs: it fails by name, says what it waited for, and what it started is killed.

The limit is a little shorter than pytest's `faulthandler_timeout`, which ends the whole process: that is left for a
test that no signal reaches, or that hangs again while it tidies up.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest

from pytrace_exec.tracer.descendants import descendants, send

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import FrameType

SHARE = 5 / 6  # of `faulthandler_timeout`
_TICKS = os.sysconf("SC_CLK_TCK")


@attrs.frozen
class TimeLimit:
    """A pytest plug-in; `seconds` for each test, with its fixtures. 0: no limit."""

    seconds: float

    @classmethod
    def of(cls, config: pytest.Config) -> TimeLimit:
        """The limit that goes with a session's `faulthandler_timeout`."""
        return cls(float(config.getini("faulthandler_timeout") or 0) * SHARE)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self) -> Generator[None, object, object]:
        """Let one test run, and not for ever."""
        began = time.clock_gettime(time.CLOCK_BOOTTIME)

        def end(number: int, frame: FrameType | None) -> None:
            running = _started_since(began)
            said = f"not done after {self.seconds:.0f} s\n{_told(running)}{_threads()}"
            for pid in running:  # else the test would go on to wait for it
                send(pid, signal.SIGKILL)
            pytest.fail(said)

        former = signal.signal(signal.SIGALRM, end)
        left, _ = signal.setitimer(signal.ITIMER_REAL, self.seconds)
        try:
            return (yield)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, former)
            if left:  # a session within a test
                signal.setitimer(signal.ITIMER_REAL, left)


def _started_since(began: float) -> list[int]:
    """Processes below this one that were started after a time, in seconds since boot."""
    return [pid for pid in descendants(os.getpid()) if _start(pid) >= began - 1 / _TICKS]


def _start(pid: int) -> float:
    """When a process was started (proc(5), the 22nd field of `stat`)."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19]) / _TICKS
    except OSError:
        return 0.0


def _told(pids: list[int]) -> str:
    """A line for each process: its state and its command line."""
    return "".join(f"running: {pid} {_state(pid)}\n" for pid in pids)


def _state(pid: int) -> str:
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
    except OSError:
        return "ended"
    return f"{state.decode()} {words.decode(errors='replace')[:300]}"


def _threads() -> str:
    """Where the other threads stand; pytest says it of the main one."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return "".join(
        f"thread {names.get(number)}:\n{''.join(traceback.format_stack(frame, 8))}"
        for number, frame in sys._current_frames().items()
        if number != threading.main_thread().ident
    )
