# SPDX-License-Identifier: Apache-2.0
"""Writing recorded outputs again, in their order."""

from __future__ import annotations

import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytrace_exec.streams.spool import Source


def replay_streams(segments: Sequence[tuple[int, int]], stdout: Source, stderr: Source) -> None:
    """Write `segments` of the two sources to descriptors 1 and 2.

    Who no longer reads is met as the command would have met it: this process ends by SIGPIPE. Raises OSError for
    other failures (a full disk), and EOFError when a source is shorter than its segments.
    """
    readers = {1: _Reader(stdout.chunks()), 2: _Reader(stderr.chunks())}
    try:
        for stream, length in segments:
            for data in readers[stream].take(length):
                _write(stream, data)
    except BrokenPipeError:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGPIPE)
        raise


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


def _write(descriptor: int, data: memoryview) -> None:
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:
            # Somebody who shares the descriptor made it non-blocking.
            import select

            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.poll()
