# SPDX-License-Identifier: Apache-2.0
"""A regular file on an output: left in place, and read back afterwards if nobody else wrote to it."""

from __future__ import annotations

import fcntl
import os


class LeftFile:
    """Where the command's writes will begin in the file on `descriptor`, noted before it runs."""

    __slots__ = ("_append", "_descriptor", "_size", "start")

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._append = bool(fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_APPEND)
        self._size = os.fstat(descriptor).st_size
        self.start = self._size if self._append else os.lseek(descriptor, 0, os.SEEK_CUR)

    def open_if_gained(self, total: int) -> int | None:
        """Return a new descriptor to read the file, if it gained exactly `total` bytes from `start` on.

        The gain is proved by the offset, which all who inherited the descriptor share, and by the size; appending
        moves no offset of those who write elsewhere, so there the size alone decides.
        """
        size = os.fstat(self._descriptor).st_size
        end = self.start + total
        if size != max(self._size, end):
            return None
        if total and not self._append and os.lseek(self._descriptor, 0, os.SEEK_CUR) != end:
            return None
        try:
            return os.open(b"/proc/self/fd/%d" % self._descriptor, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
        except OSError:
            return None
