# SPDX-License-Identifier: Apache-2.0
"""Appending to a large file in aligned pieces: past the page cache where that is the faster way.

Most of what a large upload costs a server is the copy into pages that were not in the cache before. A direct write
(O_DIRECT) has no such copy, but waits for the disk. Which is faster depends on the machine and on the hour, so the
time of each piece is taken, and the slower way is tried again now and then.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import time

PIECE = 1 << 20  # bytes
LARGE = 4 << 20  # a file of this size is written in pieces
_IDLE_BUFFERS = 4  # kept by a process for the files to come
_TRY_AGAIN = 32  # the slower way is taken for one of so many pieces
_WEIGHT, _SPIKE = 8, 4  # a new time counts for an eighth, and for at most four times what was usual

_BROKEN = -1  # held, from the moment a piece is being written until it is

_buffers: list[mmap.mmap] = []


class Pace:
    """What a piece took lately, written directly or not. Any thread may call; a time that is lost does no harm."""

    def __init__(self) -> None:
        self._usual = {False: 0.0, True: 0.0}  # seconds; 0: not tried yet
        self._turn = 0

    def direct(self) -> bool:
        """Whether the next piece is to be written directly."""
        faster = self._usual[True] < self._usual[False]
        self._turn += 1
        return faster if self._turn % _TRY_AGAIN or self._usual[True] == float("inf") else not faster

    def took(self, direct: bool, seconds: float) -> None:
        """Count a piece that was written."""
        usual = self._usual[direct]
        self._usual[direct] = usual + (min(seconds, usual * _SPIKE) - usual) / _WEIGHT if usual else seconds

    def refused(self) -> None:
        """Count a file system that has no direct writes."""
        self._usual[True] = float("inf")


class Pieces:
    """Appends to one file that is open for writing, at its end. For one thread at a time.

    What `append` was given may still be in memory; `finish` writes the rest. Both raise `OSError`, and again and again
    once a piece could not be written.
    """

    __slots__ = ("_buffer", "_direct", "_fd", "_flags", "_held", "_pace")

    def __init__(self, fd: int, pace: Pace) -> None:
        self._fd = fd
        self._pace = pace
        self._flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        self._direct = False
        self._buffer = _take_buffer()
        self._held = 0

    def fills(self, count: int) -> bool:
        """Whether so many more bytes fill a piece, which is then written."""
        return self._held + count >= PIECE

    def append(self, chunk: bytes | memoryview) -> None:
        """Take bytes; write each piece that is full."""
        self._check()
        rest = memoryview(chunk)
        while rest:
            part = rest[: PIECE - self._held]
            self._buffer[self._held : self._held + len(part)] = part
            self._held += len(part)
            rest = rest[len(part) :]
            if self._held == PIECE:
                self._write_piece()

    def finish(self) -> None:
        """Write what is left; the file is as any other then, and this is of no more use."""
        self._check()
        try:
            self._set_direct(False)
            write_all(self._fd, memoryview(self._buffer)[: self._held])
        finally:
            self._held = 0
            _give_buffer(self._buffer)

    def _write_piece(self) -> None:
        self._held = _BROKEN
        direct = self._set_direct(self._pace.direct())
        began = time.perf_counter()
        rest = memoryview(self._buffer)
        while rest:
            try:
                rest = rest[os.write(self._fd, rest) :]
            except OSError as error:
                if error.errno != errno.EINVAL or not self._direct:
                    raise
                if len(rest) == PIECE:
                    self._pace.refused()
                self._set_direct(False)  # what is left of a piece may not be aligned either
        self._held = 0
        if direct == self._direct:
            self._pace.took(direct, time.perf_counter() - began)

    def _check(self) -> None:
        if self._held == _BROKEN:
            raise OSError(errno.EIO, "an earlier part of the file could not be written")

    def _set_direct(self, direct: bool) -> bool:
        if direct != self._direct:
            try:
                fcntl.fcntl(self._fd, fcntl.F_SETFL, self._flags | os.O_DIRECT if direct else self._flags)
            except OSError as error:
                if error.errno != errno.EINVAL or not direct:
                    raise
                self._pace.refused()
                return False
            self._direct = direct
        return direct


def write_all(fd: int, chunk: bytes | memoryview) -> None:
    """Write every byte; write(2) may take fewer."""
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(fd, rest) :]


def _take_buffer() -> mmap.mmap:
    """Memory that begins at a page, as direct writes want it."""
    try:
        return _buffers.pop()
    except IndexError:
        return mmap.mmap(-1, PIECE)


def _give_buffer(buffer: mmap.mmap) -> None:
    if len(_buffers) < _IDLE_BUFFERS:
        _buffers.append(buffer)
