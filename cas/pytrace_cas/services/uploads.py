# SPDX-License-Identifier: Apache-2.0
"""Uploads that are not complete: who writes them now, and what is kept of broken ones (WIRE 13, 33, 35, 38-40).

An upload is known by its full resource name, since one uuid may serve for several blobs. The stream that writes
it owns it. When the stream breaks, what has arrived is kept for a while, with its hash state, so that the client
can carry on; nothing survives the process.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from pytrace_cas.services.errors import InvalidRequest, UploadTakenOver

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytrace_cas.services.backing import Store
    from pytrace_cas.services.resource_names import ResourceName

MOST_KEPT = 256
KEPT_SECONDS = 3600.0


class Partial:
    """Bytes of one upload in the store's scratch space; `lock` guards writing and changing hands."""

    def __init__(self, store: Store, name: str, resource: ResourceName) -> None:
        self.name = name
        self.lock = threading.Lock()
        self.owner: object | None = None
        self.left_at = 0.0
        self._writer = store.writer(resource.function, resource.digest)

    @property
    def size(self) -> int:
        """Bytes that have arrived."""
        return self._writer.written

    def write(self, owner: object, data: bytes) -> None:
        """Append; raise `UploadTakenOver` when it belongs to another stream by now."""
        with self.lock:
            self._check(owner)
            self._writer.write(data)

    def commit(self, owner: object) -> None:
        """Make it a blob; raise `DigestMismatch`, `OutOfSpace`, `UploadTakenOver`."""
        with self.lock:
            self._check(owner)
            self._writer.commit()

    def _check(self, owner: object) -> None:
        if self.owner is not owner:
            raise UploadTakenOver(self.name)

    def discard(self) -> None:
        """Drop what has arrived; after a commit, nothing happens."""
        self._writer.discard()


class Uploads:
    """All partial uploads of a server; safe to call from many threads."""

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._partials: dict[str, Partial] = {}

    def take(self, name: str, resource: ResourceName, offset: int, owner: object) -> Partial:
        """Give `owner` the upload of that name at that offset; raise `InvalidRequest` for a wrong offset.

        A stream may begin at 0 again although something is kept: clients that never ask for the status do.
        While another stream is writing, it then writes for itself; at the other's offset, it takes over.
        """
        with self._lock:
            self._expire()
            known = self._partials.get(name)
            if known is not None and (known.owner is None if not offset else offset == known.size):
                return self._hand_over(known, owner)
            if offset:
                expected = known.size if known else 0
                raise InvalidRequest("write_offset", f"{offset} is not {expected}, where the upload stands")
            fresh = Partial(self._store, name, resource)
            fresh.owner = owner
            if known is None:
                self._partials[name] = fresh
            return fresh

    @staticmethod
    def _hand_over(partial: Partial, owner: object) -> Partial:
        # The lock lets a write in progress end first; the old owner's next one is refused.
        with partial.lock:
            partial.owner = owner
        return partial

    def committed(self, name: str) -> int:
        """Bytes that have arrived under that name."""
        with self._lock:
            partial = self._partials.get(name)
            return partial.size if partial else 0

    def leave(self, partial: Partial, owner: object) -> None:
        """Keep what a broken stream has brought, unless another one writes under the name."""
        with self._lock:
            if partial.owner is not owner:
                return
            partial.owner = None
            if self._partials.get(partial.name) is not partial or not partial.size:
                self._remove(partial)
                return
            partial.left_at = self._clock()

    def drop(self, partial: Partial, owner: object) -> None:
        """Forget an upload that is complete or wrong, so that the next one begins at 0."""
        with self._lock:
            if partial.owner is owner:
                self._remove(partial)

    def _remove(self, partial: Partial) -> None:
        if self._partials.get(partial.name) is partial:
            del self._partials[partial.name]
        partial.discard()

    def _expire(self) -> None:
        """Drop those that nobody came back for, and the oldest ones beyond the number that is kept."""
        left = sorted((p for p in self._partials.values() if p.owner is None), key=lambda p: p.left_at)
        oldest = self._clock() - KEPT_SECONDS
        for index, partial in enumerate(left):
            if partial.left_at < oldest or index < len(left) - MOST_KEPT:
                self._remove(partial)

    def close(self) -> None:
        """Drop everything."""
        with self._lock:
            for partial in list(self._partials.values()):
                self._remove(partial)
