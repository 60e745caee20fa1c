# SPDX-License-Identifier: Apache-2.0
"""Files of compressed blobs: independent zstd frames, and a table of them at the end.

Any zstd decoder reads the file as the blob, since the table is a skippable frame (RFC 8878, 3.1.2). The table says
where each frame begins and what its CRC-32 is: so a frame can be sent as it lies, and a read from inside a blob decodes
only the frames that it needs.
"""

from __future__ import annotations

import os
import struct
from array import array
from zlib import crc32

from pytrace_cas.compression import FRAME, CorruptStream, deflate, inflate_frame
from pytrace_cas.store.reading import DamagedPack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytrace_cas.store.staging import Staged

MAGIC = b"PTRFRAM1"
_SKIPPABLE = 0x184D2A5B
_HEAD = struct.Struct("<II")  # the skippable frame's magic and length
_ENTRY = struct.Struct("<II")  # of each frame: its bytes in the file, their CRC-32
_TAIL = struct.Struct("<QIII8s")  # bytes of the blob, of it in a frame, frames, CRC-32 of all before it, MAGIC
_TRIAL = 1  # frames after which it is told whether a blob shrinks
_SHARE = 16  # at least a sixteenth must be saved


class PackedFile:
    """An open file of frames; memory is 12 bytes a frame and the last one that was decoded. For one thread at a time.

    Owns the descriptor, unless it raises `DamagedPack` when it is made.
    """

    __slots__ = ("_checks", "_decoded", "_starts", "fd", "size")
    frame_size = FRAME

    def __init__(self, fd: int, size: int) -> None:
        self.fd = fd
        self.size = size
        self._decoded = (-1, b"")
        count = -(-size // FRAME)
        length = count * _ENTRY.size + _TAIL.size
        table_at = os.fstat(fd).st_size - _HEAD.size - length
        table = os.pread(fd, _HEAD.size + length, max(0, table_at))
        body, tail = table[_HEAD.size : -_TAIL.size], table[-_TAIL.size :]
        expected = table_tail(size, count, body)
        if table_at < 0 or table[: _HEAD.size] != _HEAD.pack(_SKIPPABLE, length) or tail != expected:
            raise DamagedPack("its table is damaged")
        self._starts = array("Q", [0])
        self._checks = array("I")
        for packed, check in _ENTRY.iter_unpack(body):
            self._starts.append(self._starts[-1] + packed)
            self._checks.append(check)
        if self._starts[-1] != table_at:
            raise DamagedPack("its frames do not fill it")

    def frame(self, number: int) -> bytes:
        """One frame as it lies in the file; raise `DamagedPack`."""
        start, end = self._starts[number], self._starts[number + 1]
        data = os.pread(self.fd, end - start, start)
        if len(data) != end - start or crc32(data) != self._checks[number]:
            raise DamagedPack(f"frame {number} is damaged")
        return data

    def data(self, number: int) -> bytes:
        """What one frame holds; raise `DamagedPack`."""
        try:
            return inflate_frame(self.frame(number), min(FRAME, self.size - number * FRAME))
        except CorruptStream as error:
            raise DamagedPack(f"frame {number}: {error.why}") from None

    def __iter__(self) -> Iterator[bytes]:
        """All that the frames hold, one after another."""
        return (self.data(number) for number in range(len(self._checks)))

    def pread(self, count: int, offset: int) -> bytes:
        """At most `count` bytes of one frame from an offset of the blob; none behind its end. Raise `DamagedPack`."""
        if offset >= self.size or not count:
            return b""
        number, start = divmod(offset, FRAME)
        if self._decoded[0] != number:
            self._decoded = (number, self.data(number))
        return self._decoded[1][start : start + count]

    def close(self) -> None:
        """Close the file."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def pack(source: int, size: int, target: Staged) -> int:
    """Write an open file as frames into an empty one; return its size, 0 if that saves too little."""
    entries = bytearray()
    total = 0
    for count, at in enumerate(range(0, size, FRAME), 1):
        data = os.pread(source, FRAME, at)
        if len(data) != min(FRAME, size - at):
            return 0  # not the file that it was
        frame = deflate(data)
        target.fill(frame)
        entries += _ENTRY.pack(len(frame), crc32(frame))
        total += len(frame)
        taken = min(size, at + FRAME)
        if (count == _TRIAL or taken == size) and total > taken - taken // _SHARE:
            return 0
    table = _HEAD.pack(_SKIPPABLE, len(entries) + _TAIL.size) + entries + table_tail(size, count, bytes(entries))
    target.fill(table)
    return total + len(table)


def table_tail(size: int, count: int, entries: bytes) -> bytes:
    """Make the end of a table."""
    check = crc32(struct.pack("<QII", size, FRAME, count), crc32(entries))
    return _TAIL.pack(size, FRAME, count, check, MAGIC)


def size_of(fd: int) -> int:
    """Bytes of the blob in a file of frames, by its own word; raise `DamagedPack`."""
    at = os.fstat(fd).st_size - _TAIL.size
    tail = os.pread(fd, _TAIL.size, max(0, at))
    if at < 0 or tail[-len(MAGIC) :] != MAGIC:
        raise DamagedPack("it has no table")
    size: int = _TAIL.unpack(tail)[0]
    if -(-size // FRAME) * _ENTRY.size > at:
        raise DamagedPack("its table is damaged")
    return size
