# SPDX-License-Identifier: Apache-2.0
"""The embedded store as an action cache and its blobs."""

from __future__ import annotations

from pytrace_cas.reapi import ActionResult, MalformedMessage
from pytrace_cas.store import BlobNotFound, MissingBlobs
from pytrace_exec.cache.errors import BlobMissing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytrace_cas.digest import Digest, DigestFunction
    from pytrace_cas.store import Store


class LocalCache:
    """One instance and one digest function of a store. Errors of the store pass through (`StoreError`)."""

    source = "local"

    def __init__(self, store: Store, function: DigestFunction, instance: str = "") -> None:
        self.store = store
        self.function = function
        self.instance = instance
        self.writable = not store.read_only

    def get_result(self, action: Digest) -> ActionResult | None:
        """The result under a key, if everything it needs is here."""
        message = self.store.get_action_result(self.function, self.instance, action)
        if message is None:
            return None
        try:
            return ActionResult.decode(message)
        except MalformedMessage:
            return None

    def put_result(self, action: Digest, result: ActionResult) -> None:
        """Keep a result whose blobs are all here; raise `BlobMissing` otherwise."""
        try:
            self.store.put_action_result(self.function, self.instance, action, result.encode(), result.needs())
        except MissingBlobs as error:
            raise BlobMissing(error.missing[0]) from None

    def missing(self, digests: Iterable[Digest]) -> list[Digest]:
        """Which blobs are not here."""
        return self.store.missing(self.function, digests)

    def get(self, digest: Digest) -> bytes:
        """A blob, verified; raise `BlobMissing`."""
        try:
            return self.store.get(self.function, digest)
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
