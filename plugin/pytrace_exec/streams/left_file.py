# SPDX-License-Identifier: Apache-2.0
"""A regular file on an output: left in place, and read back afterwards if nobody else wrote to it."""

from __future__ import annotations

import fcntl
import os

from pytrace_exec.streams.spool import Pieces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


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


def read_back(
    files: Mapping[int, LeftFile], writes: Sequence[tuple[int, int]], together: bool
) -> dict[int, Pieces] | None:
    """Open the files of some streams at what was written by each, or return None if others wrote as well.

    `writes` are `(stream, size)` in order; `together` says that two streams share one file.
    """
    found: dict[int, Pieces] = {}
    for stream, file in files.items():
        total = sum(size for writer, size in writes if together or writer == stream)
        descriptor = file.open_if_gained(total)
        if descriptor is None:
            for pieces in found.values():
                pieces.close()
            return None
        found[stream] = Pieces(descriptor, _places(file.start, writes, stream, together))
    return found


def _places(start: int, writes: Sequence[tuple[int, int]], stream: int, together: bool) -> list[tuple[int, int]]:
    """Return where in a file the bytes of one stream lie, `(offset, length)`."""
    places = []
    for writer, size in writes:
        if writer == stream:
            places.append((start, size))
        if together or writer == stream:
            start += size
    return places
