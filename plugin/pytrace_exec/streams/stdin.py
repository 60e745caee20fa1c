# SPDX-License-Identifier: Apache-2.0
"""The command's standard input: known by its offset when it is a file, read ahead when that was asked for."""

from __future__ import annotations

import os
import select

from pytrace_exec.streams import kinds
from pytrace_exec.streams.spool import Spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_READ = 1 << 18


def offset(descriptor: int = 0) -> int | None:
    """Return where a regular file on a descriptor stands, or None if none is there.

    The offset is shared with the command: asked before and after a run it tells what was consumed.
    """
    return os.lseek(descriptor, 0, os.SEEK_CUR) if kinds.classify(descriptor) == kinds.FILE else None


class ReadAhead:
    """All that a caller's pipe on descriptor 0 brings, read to its end, then fed to the command through one.

    What the command does not read is lost to those who share the pipe: the price of knowing it beforehand.
    """

    __slots__ = ("_chunks", "_rest", "_writer", "command_end", "spool")

    def __init__(self, folder: bytes) -> None:
        self.spool = Spool(folder)
        self.command_end = -1
        self._writer = -1
        self._rest = memoryview(b"")
        self._chunks: Iterator[bytes] = iter(())

    def read_all(self, descriptor: int = 0) -> None:
        """Read to the end, waiting as long as that takes. Raises OSError."""
        while data := os.read(descriptor, _READ):
            self.spool.append(data)

    def open(self) -> None:
        """Make the pipe through which the command is fed."""
        self.command_end, self._writer = map(kinds.above_standard, os.pipe2(os.O_CLOEXEC))
        os.set_blocking(self._writer, False)
        self._chunks = self.spool.chunks()
        self._refill()

    def hand_over(self) -> None:
        """Close our copy of the command's end."""
        if self.command_end >= 0:
            os.close(self.command_end)
            self.command_end = -1

    def polled(self) -> list[tuple[int, int]]:
        """Return what to ask `poll` for; nothing when all is fed or nobody reads."""
        return [(self._writer, select.POLLOUT)] if self._writer >= 0 else []

    def ready(self, descriptor: int, events: int) -> None:
        """Feed what is taken now."""
        try:
            while self._writer >= 0:
                self._rest = self._rest[os.write(self._writer, self._rest) :]
                self._refill()
        except BlockingIOError:
            return
        except BrokenPipeError:
            self.close_writer()

    def _refill(self) -> None:
        if not self._rest:
            self._rest = memoryview(next(self._chunks, b""))
        if not self._rest:
            self.close_writer()

    def close_writer(self) -> None:
        """End the feeding."""
        if self._writer >= 0:
            os.close(self._writer)
            self._writer = -1
