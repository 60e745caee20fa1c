# SPDX-License-Identifier: Apache-2.0
"""Where recorded bytes are kept: in memory while they are few, then in a file without a name."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Protocol

    class Source(Protocol):
        """Bytes that can be read any number of times."""

        @property
        def size(self) -> int:
            """Return how many bytes there are."""

        def chunks(self) -> Iterator[bytes]:
            """Yield them in order, in pieces of moderate size."""

        def close(self) -> None:
            """Give up what holds them."""


_IN_MEMORY = 4 << 20
_CHUNK = 1 << 20


class Spool:
    """Bytes that are appended, then read. Beyond 4 MiB they are in an unnamed file of mode 0600 in `folder`."""

    __slots__ = ("_file", "_folder", "_memory", "size")

    def __init__(self, folder: bytes) -> None:
        self._folder = folder
        self._memory = bytearray()
        self._file = -1
        self.size = 0

    def append(self, data: bytes) -> None:
        """Append. Raises OSError when the file cannot be made or grow."""
        if self._file < 0 and self.size + len(data) > _IN_MEMORY:
            self._file = _unnamed_file(self._folder)
            _write_all(self._file, self._memory)
            self._memory = bytearray()
        if self._file < 0:
            self._memory += data
        else:
            _write_all(self._file, data)
        self.size += len(data)

    def chunks(self) -> Iterator[bytes]:
        """Yield all bytes in order, in pieces of at most 1 MiB."""
        if self._file < 0:
            for start in range(0, self.size, _CHUNK):
                yield bytes(self._memory[start : start + _CHUNK])
        else:
            yield from _file_chunks(self._file, ((0, self.size),))

    def close(self) -> None:
        """Give up the bytes."""
        self._memory = bytearray()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


class Pieces:
    """The bytes at given places, `(offset, length)`, of an open file, whose descriptor this owns."""

    __slots__ = ("_descriptor", "_pieces", "size")

    def __init__(self, descriptor: int, pieces: Sequence[tuple[int, int]]) -> None:
        self._descriptor = descriptor
        self._pieces = pieces
        self.size = sum(length for _, length in pieces)

    def chunks(self) -> Iterator[bytes]:
        """Yield all bytes in order. Raises EOFError when the file has become shorter."""
        return _file_chunks(self._descriptor, self._pieces)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def _file_chunks(descriptor: int, pieces: Sequence[tuple[int, int]]) -> Iterator[bytes]:
    for offset, length in pieces:
        end = offset + length
        while offset < end:
            data = os.pread(descriptor, min(_CHUNK, end - offset), offset)
            if not data:
                raise EOFError("recorded bytes are no longer in their file")
            yield data
            offset += len(data)


def _unnamed_file(folder: bytes) -> int:
    flags = os.O_RDWR | os.O_CLOEXEC
    try:
        return os.open(folder, flags | os.O_TMPFILE, 0o600)
    except (IsADirectoryError, FileNotFoundError, NotADirectoryError, OSError):
        # A file system without O_TMPFILE: a name for an instant.
        name = os.path.join(folder, b".pytrace-%d-%s" % (os.getpid(), os.urandom(8).hex().encode("ascii")))
        descriptor = os.open(name, flags | os.O_CREAT | os.O_EXCL, 0o600)
        os.unlink(name)
        return descriptor


def _write_all(descriptor: int, data: bytes | bytearray) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
