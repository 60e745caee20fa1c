# SPDX-License-Identifier: Apache-2.0
"""Reading a blob as a zstd stream, from any offset of the blob."""

from __future__ import annotations

from pytrace_cas.compression import FRAME, deflate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_cas.store.reading import BlobReader


class CompressedReader:
    """An open blob as frames; what they hold together is the blob from the reader's offset on. A context manager.

    There is always a frame: that of nothing is empty.
    """

    __slots__ = ("_blob", "_remaining", "_sent")

    def __init__(self, blob: BlobReader, remaining: int) -> None:
        self._blob = blob
        self._remaining = remaining
        self._sent = False

    def __enter__(self) -> CompressedReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def next(self) -> bytes:
        """The next frame, which is shorter than 2 MiB; none at the end. Raise `BlobCorrupt`."""
        if self._sent and not self._remaining:
            return b""
        data = self._blob.read(FRAME)
        if len(data) < min(FRAME, self._remaining):
            raise self._blob.cut_short()
        self._remaining -= len(data)
        self._sent = True
        return deflate(data)

    def close(self) -> None:
        """Let go of the blob."""
        self._blob.close()
