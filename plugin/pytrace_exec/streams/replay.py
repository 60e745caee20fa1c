# SPDX-License-Identifier: Apache-2.0
"""Writing recorded outputs again, in their order."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytrace_exec.streams.spool import Source


class StreamFailed(Exception):
    """A descriptor took no more bytes; `cause` says why, `begun` whether any byte was written before."""

    def __init__(self, cause: OSError, begun: bool) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.begun = begun


def replay_streams(segments: Sequence[tuple[int, int]], stdout: Source, stderr: Source) -> None:
    """Write `segments` of the two sources to descriptors 1 and 2.

    Raises `StreamFailed` for a reader that has gone (`BrokenPipeError`), a full disk and the like, and EOFError when a
    source is shorter than its segments.
    """
    readers = {1: _Reader(stdout.chunks()), 2: _Reader(stderr.chunks())}
    begun = False
    for stream, length in segments:
        for data in readers[stream].take(length):
            while data:
                try:
                    data = data[_write(stream, data) :]
                except OSError as error:
                    raise StreamFailed(error, begun) from None
                begun = True


class _Reader:
    """Cuts a source's chunks at the lengths asked for."""

    __slots__ = ("_chunks", "_rest")

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def take(self, length: int) -> Iterator[memoryview]:
        """Yield the next `length` bytes."""
        while length:
            if not self._rest:
                data = next(self._chunks, None)
                if data is None:
                    raise EOFError("recorded output is shorter than its segments")
                self._rest = memoryview(data)
            piece = self._rest[:length]
            self._rest = self._rest[len(piece) :]
            length -= len(piece)
            yield piece


def _write(descriptor: int, data: memoryview) -> int:
    """Write as much as is taken at once; return how much. Waits for room."""
    while True:
        try:
            return os.write(descriptor, data)
        except BlockingIOError:
            # Somebody who shares the descriptor made it non-blocking.
            import select

            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.poll()
