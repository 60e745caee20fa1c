# SPDX-License-Identifier: Apache-2.0
"""Reading a blob as a zstd stream, from any offset of the blob."""

from __future__ import annotations

from pytrace_cas.compression import FRAME, deflate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytrace_cas.store.reading import BlobReader


class CompressedReader:
    """An open blob as frames; what they hold together is the blob from the reader's offset on. A context manager.

    There is always a frame: that of nothing is empty.
    """

    __slots__ = ("_blob", "_offset", "_remaining", "_sent")

    def __init__(self, blob: BlobReader, offset: int) -> None:
        self._blob = blob
        self._offset = offset
        self._remaining = blob.size - offset
        self._sent = False

    def __enter__(self) -> CompressedReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def next(self) -> bytes:
        """The next frame, which is shorter than 2 MiB; none at the end. Raise `BlobCorrupt`."""
        if self._sent and not self._remaining:
            return b""
        # Up to where a stored frame begins; the frames from there on are given as they lie.
        size = min(FRAME - self._offset % FRAME, self._remaining)
        frame = self._blob.stored_frame() or deflate(self._read(size))
        self._offset += size
        self._remaining -= size
        self._sent = True
        return frame

    def _read(self, size: int) -> bytes:
        parts = []
        while size:
            data = self._blob.read(size)
            if not data:
                raise self._blob.cut_short()
            parts.append(data)
            size -= len(data)
        return b"".join(parts)

    def __iter__(self) -> Iterator[bytes]:
        while frame := self.next():
            yield frame

    def close(self) -> None:
        """Let go of the blob."""
        self._blob.close()
