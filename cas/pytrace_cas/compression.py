# SPDX-License-Identifier: Apache-2.0
"""zstd (RFC 8878) with bounded memory, whatever a stream claims or expands to."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FRAME = 1 << 20  # bytes of a blob in each frame that we make
LEVEL = 1  # level 3 costs half as much again for a tenth less
LARGEST_WINDOW_LOG = 23  # 8 MiB, which RFC 8878 asks of every decoder
PIECE = 1 << 18  # bytes that come out at a time
_SLICE = 1 << 14  # bytes that go in at a time: what follows a frame is copied for each frame
_MOST_EMPTY = 1000  # frames without content in a stream, each of which costs as much as one with

_MAKING: dict[int, int] = {
    zstd.CompressionParameter.compression_level: LEVEL,
    zstd.CompressionParameter.checksum_flag: 1,
}
_READING: dict[int, int] = {zstd.DecompressionParameter.window_log_max: LARGEST_WINDOW_LOG}


class CorruptStream(Exception):
    """The bytes are no zstd stream, or one that is not taken here; `why` says what is wrong."""

    def __init__(self, why: str) -> None:
        super().__init__(f"zstd: {why}")
        self.why = why


def deflate(data: bytes | memoryview) -> bytes:
    """Make one frame, with its size and a checksum in it."""
    return zstd.compress(data, options=_MAKING)


def inflate_frame(frame: bytes, size: int) -> bytes:
    """All of one frame that we made; raise `CorruptStream` if there is anything else."""
    decoder = zstd.ZstdDecompressor(options=_READING)
    try:
        data = decoder.decompress(frame, size + 1)
    except zstd.ZstdError as error:
        raise CorruptStream(str(error)) from None
    if len(data) != size or not decoder.eof or decoder.unused_data:
        raise CorruptStream(f"a frame does not hold {size} bytes")
    return data


def pack(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Make one frame of a stream, a piece at a time."""
    maker = zstd.ZstdCompressor(options=_MAKING)
    for chunk in chunks:
        if data := maker.compress(chunk):
            yield data
    yield maker.flush()


def inflate(data: bytes, size: int) -> bytes:
    """What a stream in one piece holds; raise `CorruptStream`, as soon as there are more bytes than `size`."""
    inflater = Inflater()
    whole = bytearray()
    for piece in inflater.feed(data):
        whole += piece
        if len(whole) > size:
            raise CorruptStream(f"more than {size} bytes are compressed in it")
    if not inflater.at_end:
        raise CorruptStream("the stream ends within a frame")
    return bytes(whole)


class Inflater:
    """Frames one after another, from pieces of a stream to pieces of what it holds. For one thread.

    Skippable frames hold nothing. Needed windows above 8 MiB and dictionaries are `CorruptStream`.
    """

    def __init__(self) -> None:
        self._frame: zstd.ZstdDecompressor | None = None
        self._has_content = False
        self._empty = 0

    @property
    def at_end(self) -> bool:
        """Whether the stream may end here: between two frames."""
        return self._frame is None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Give what the next bytes hold, at most `PIECE` at a time; raise `CorruptStream`."""
        for start in range(0, len(data), _SLICE):
            rest = data[start : start + _SLICE]
            while rest:
                if self._frame is None:
                    self._frame = zstd.ZstdDecompressor(options=_READING)
                    self._has_content = False
                yield from self._decode(self._frame, rest)
                rest = self._after(self._frame)

    def _decode(self, frame: zstd.ZstdDecompressor, data: bytes) -> Iterator[bytes]:
        while True:
            try:
                piece = frame.decompress(data, PIECE)
            except zstd.ZstdError as error:
                raise CorruptStream(str(error)) from None
            if piece:
                self._has_content = True
                yield piece
            if frame.eof or (frame.needs_input and len(piece) < PIECE):
                return
            data = b""

    def _after(self, frame: zstd.ZstdDecompressor) -> bytes:
        """What follows a frame that has ended."""
        if not frame.eof:
            return b""
        self._frame = None
        self._empty += not self._has_content
        if self._empty > _MOST_EMPTY:
            raise CorruptStream(f"more than {_MOST_EMPTY} frames are empty")
        return frame.unused_data
