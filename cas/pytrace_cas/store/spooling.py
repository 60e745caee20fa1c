# SPDX-License-Identifier: Apache-2.0
"""Blobs whose size shows only at their end: room is kept for them as they grow."""

from __future__ import annotations

from pytrace_cas.digest import Digest
from pytrace_cas.store.adding import INLINE, DigestMismatch
from pytrace_cas.store.staging import chunks_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_cas.digest import DigestFunction
    from pytrace_cas.store.adding import Adder


class SpoolWriter:
    """Takes one blob a chunk at a time; nothing is seen of it before `commit`. For one thread.

    With `hash`, that is what it has to have. Raises `OutOfSpace` as soon as there is no room for what has come.
    """

    __slots__ = ("_adder", "_function", "_hash", "_kept", "_staged")

    def __init__(self, adder: Adder, function: DigestFunction, hash: str | None) -> None:
        self._adder = adder
        self._function = function
        self._hash = hash
        self._kept = 0
        self._staged = adder.stage(function, 0)

    @property
    def written(self) -> int:
        """Bytes that have come."""
        return self._staged.size

    @property
    def digest(self) -> Digest:
        """Digest of what has come."""
        return Digest(self._staged.hash(), self._staged.size)

    def write(self, chunk: bytes | memoryview) -> None:
        """Append bytes; raise `OutOfSpace`."""
        size = self._staged.size + len(chunk)
        if size > INLINE:
            self._kept = self._adder.widen(self._staged, self._kept, size)
        self._staged.write(chunk)

    def commit(self) -> Digest:
        """Store the blob; raise `DigestMismatch` and store nothing if it has another hash."""
        found = self.digest
        if self._hash not in (None, found.hash):
            raise DigestMismatch(self._adder.layout.root, Digest(str(self._hash), found.size_bytes), found)
        if found.size_bytes <= INLINE:
            data = b"".join(bytes(chunk) for chunk in chunks_of(self._staged.fd))
            self._adder.put(self._function, data, found)
        else:
            self._adder.publish(self._function, found, self._staged, self._staged.path)
        self.discard()
        return found

    def discard(self) -> None:
        """Drop what was written; after `commit`, nothing."""
        if self._kept:
            self._adder.give_up(self._staged)
        else:
            self._staged.discard()
