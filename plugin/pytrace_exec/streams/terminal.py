# SPDX-License-Identifier: Apache-2.0
"""A pseudo-terminal that stands for the caller's terminal on an output of the command.

It has the size and the settings of the real one, except that it does not process output: bytes pass as they were
written, into the record as well, and the real terminal does what its own settings say, once. The controlling
terminal stays the real one, so keys, signals and job control work as before. Settings that a program changes through
its output (curses does) are carried over to the real terminal.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import termios

from pytrace_exec.streams.kinds import above_standard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType
    from typing import Any

    from pytrace_exec.streams.outlet import Outlet

_OFLAG = 1


class Terminal:
    """The pair; `command_end` is handed to the command, `our_end` is read by us."""

    __slots__ = ("_real", "_settings", "command_end", "our_end")

    def __init__(self, real: int) -> None:
        self._real = real
        self.our_end, self.command_end = map(above_standard, os.openpty())
        os.set_blocking(self.our_end, False)
        settings = termios.tcgetattr(real)
        settings[_OFLAG] &= ~termios.OPOST
        termios.tcsetattr(self.command_end, termios.TCSANOW, settings)
        self._settings = termios.tcgetattr(self.command_end)
        self.resize()

    def resize(self) -> None:
        """Give it the real terminal's present size."""
        size = fcntl.ioctl(self._real, termios.TIOCGWINSZ, bytes(8))
        fcntl.ioctl(self.our_end, termios.TIOCSWINSZ, size)

    def mirror(self) -> None:
        """Carry over to the real terminal what the command changed in the settings, unless we are in the background."""
        try:
            now = termios.tcgetattr(self.our_end)
            if now == self._settings or os.tcgetpgrp(self._real) != os.getpgrp():
                return
            real = termios.tcgetattr(self._real)
        except (termios.error, OSError):
            return  # It has just been closed, or is not our controlling terminal, where nobody may set anything.
        wanted = _carried_over(self._settings, now, real)
        self._settings = now
        with contextlib.suppress(termios.error):
            termios.tcsetattr(self._real, termios.TCSADRAIN, wanted)


class Resizing:
    """Passes changes of the window's size on to the command from when it is made until `end`. For the main thread."""

    __slots__ = ("_former", "_pid", "_terminals")

    def __init__(self, terminals: Sequence[tuple[Outlet, Terminal]], pid: int) -> None:
        self._terminals = terminals
        self._pid = pid
        self._former = signal.signal(signal.SIGWINCH, self._resized)

    def _resized(self, number: int, frame: FrameType | None) -> None:
        for outlet, terminal in self._terminals:
            if not outlet.closed:
                terminal.resize()
        # The command may have had this signal already, and have read the old size.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(self._pid, signal.SIGWINCH)

    def end(self) -> None:
        """Pass on nothing more: the command's number may soon be another's."""
        signal.signal(signal.SIGWINCH, self._former)


def _carried_over(before: list[Any], now: list[Any], real: list[Any]) -> list[Any]:
    """Apply to `real` what differs between the other two: bits of the modes, and speeds and characters as a whole."""
    modes = [
        (bits & ~(old ^ new)) | (new & (old ^ new))
        for old, new, bits in zip(before[:4], now[:4], real[:4], strict=True)
    ]
    rest = [new if old != new else kept for old, new, kept in zip(before[4:], now[4:], real[4:], strict=True)]
    return modes + rest
