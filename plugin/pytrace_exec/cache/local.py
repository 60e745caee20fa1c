# SPDX-License-Identifier: Apache-2.0
"""The embedded store as an action cache and its blobs."""

from __future__ import annotations

from pytrace_cas.reapi import ActionResult, MalformedMessage
from pytrace_cas.recorded.candidates import index_digest
from pytrace_cas.store import BlobNotFound, MissingBlobs
from pytrace_exec.cache.errors import BlobMissing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytrace_cas.digest import Digest, DigestFunction
    from pytrace_cas.generations import Ledger
    from pytrace_cas.store import BlobReader, Store
    from pytrace_exec.cache.errors import RemoteTrouble
    from pytrace_exec.cache.interface import Tier


class LocalCache:
    """One instance and one digest function of a store. Errors of the store pass through (`StoreError`)."""

    source = "local"
    slots = 1

    def __init__(self, store: Store, function: DigestFunction, instance: str = "") -> None:
        self.store = store
        self.function = function
        self.instance = instance
        self.writable = not store.read_only

    @property
    def tiers(self) -> Sequence[Tier]:
        """Where results are looked up and stored, the nearest first."""
        return (self,)

    @property
    def at_hand(self) -> LocalCache:
        """What is here, without asking a remote."""
        return self

    @property
    def troubles(self) -> Sequence[RemoteTrouble]:
        """What went wrong with a remote so far."""
        return ()

    def invalidated(self) -> Ledger | None:
        """What is known to be invalidated, as far as it can concern runs over this cache; None: nothing."""
        generations = self.store.generations()
        if not generations:
            return None
        from pytrace_exec.generations.known import in_store

        return in_store(generations, self.instance)

    def hang_up(self) -> None:
        """Close connections, which a command that is started now would find in this process."""

    def get_result(self, action: Digest) -> ActionResult | None:
        """The result under a key, if everything it needs is here."""
        message = self.store.get_action_result(self.function, self.instance, action)
        if message is None:
            return None
        try:
            return ActionResult.decode(message)
        except MalformedMessage:
            return None

    def put_result(self, action: Digest, result: ActionResult, along: Iterable[Digest] = ()) -> bool:
        """Keep a result whose blobs are all here; raise `BlobMissing` otherwise. What goes `along` ages with it."""
        needs = [*result.needs(), *along]
        changing = index_digest(result) is not None  # a list of path sets
        try:
            self.store.put_action_result(self.function, self.instance, action, result.encode(), needs, mutable=changing)
        except MissingBlobs as error:
            raise BlobMissing(error.missing[0]) from None
        return True

    def missing(self, digests: Iterable[Digest]) -> list[Digest]:
        """Which blobs are not here."""
        return self.store.missing(self.function, digests)

    def get(self, digest: Digest) -> bytes:
        """A blob, verified; raise `BlobMissing`."""
        try:
            return self.store.get(self.function, digest)
        except BlobNotFound:
            raise BlobMissing(digest) from None

    def fetch(self, digests: Iterable[Digest]) -> list[Digest]:
        """Do nothing: a result is answered only when all its blobs are here."""
        return []

    def reader(self, digest: Digest) -> BlobReader:
        """A blob to be read a piece at a time, verified at its end; raise `BlobMissing`."""
        try:
            return self.store.open_blob(self.function, digest, verify=True)
        except BlobNotFound:
            raise BlobMissing(digest) from None

    def copy_to(self, digest: Digest, fd: int) -> None:
        """Write a blob into an empty file, verified; raise `BlobMissing`."""
        try:
            self.store.copy_to(self.function, digest, fd)
        except BlobNotFound:
            raise BlobMissing(digest) from None

    def put(self, blobs: Mapping[Digest, bytes]) -> None:
        """Keep blobs."""
        self.store.put_many(self.function, blobs.items())

    def put_file(self, path: bytes) -> Digest:
        """Keep the content of a file."""
        return self.store.put_file(self.function, path)
