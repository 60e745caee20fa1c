# SPDX-License-Identifier: Apache-2.0
"""Taking a blob from a tier that may not have it: room is made once its first bytes are here, not before."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytrace_cas.digest import Digest
    from pytrace_cas.services.backing import Writer


class LateWriter:
    """A writer that is opened when it is first used; a context manager that drops what was not committed.

    A store evicts to make room for a writer. Whoever may read could name large blobs that are nowhere, and empty it.
    """

    def __init__(self, begin: Callable[[], Writer]) -> None:
        self._begin = begin
        self._writer: Writer | None = None

    def __enter__(self) -> LateWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    @property
    def written(self) -> int:
        """Bytes that have arrived."""
        return self._writer.written if self._writer is not None else 0

    def write(self, chunk: bytes | memoryview) -> None:
        """Append bytes; raise `DigestMismatch`, `OutOfSpace`."""
        self._opened().write(chunk)

    def commit(self) -> Digest:
        """Store the blob."""
        return self._opened().commit()

    def discard(self) -> None:
        """Drop what was written; after `commit`, nothing."""
        if self._writer is not None:
            self._writer.discard()

    def _opened(self) -> Writer:
        if self._writer is None:
            self._writer = self._begin()
        return self._writer
