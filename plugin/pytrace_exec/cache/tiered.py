# SPDX-License-Identifier: Apache-2.0
"""The embedded store in front of a remote cache.

Everything a remote sends is verified and kept in the store before it is used, and everything sent to it is taken
from there. Whatever goes wrong with the remote costs a miss.
"""

from __future__ import annotations

from pytrace_cas.recorded.candidates import INDEX
from pytrace_cas.recorded.effects import EFFECTS_PATH
from pytrace_cas.store import DigestMismatch, OutOfSpace, RefusedBlobs
from pytrace_exec.cache.errors import BlobMissing, RemoteFailed, RemoteLacks, RemoteRefused
from pytrace_exec.cache.line import Line
from pytrace_exec.cache.local import LocalCache
from pytrace_exec.cache.received import read_result
from pytrace_exec.cache.remembered import Remembered
from pytrace_exec.cache.remote import Address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pytrace_cas.digest import Digest
    from pytrace_cas.generations import Ledger
    from pytrace_cas.reapi import ActionResult
    from pytrace_cas.store import Store
    from pytrace_exec.cache.errors import RemoteTrouble
    from pytrace_exec.cache.interface import Tier
    from pytrace_exec.cache.remote import Remote, Terms
    from pytrace_exec.options import Options

SMALL = 1 << 18
"""Bytes of the largest blob that is moved in a batch."""
SLOTS = 8
"""Entries that a list of path sets may use in a cache that refuses to overwrite."""
_INLINE = (INDEX, EFFECTS_PATH)
_FRAMING = 128
"""Bytes that a batch spends on the digest and status of each blob."""


def open_tiers(store: Store, url: str, options: Options) -> TieredCache:
    """Put a remote behind a store; it is asked only if the two never met before."""
    address = Address(url, options.instance_name)
    barred = "the local store, which would have to keep what it sends, is read only" if store.read_only else None
    line = Line(address, options, Remembered(store, address.name), barred)
    local = LocalCache(store, line.function, options.instance_name)
    return TieredCache(local, line, address.name, options.remote_only, options.generation_max_age)


class TieredCache(LocalCache):
    """A local store with a remote behind it; with `remote_only` the store holds blobs for it, but no results.

    What is invalidated in the remote is known at most `max_age` seconds late.
    """

    def __init__(self, local: LocalCache, line: Line, name: str, remote_only: bool, max_age: float) -> None:
        super().__init__(local.store, local.function, local.instance)
        self._line = line
        self._at_hand = local
        self._remote = RemoteTier(local, line, name)
        self._tiers: Sequence[Tier] = (self._remote,) if remote_only else (local, self._remote)
        self._name = name
        self._max_age = max_age

    @property
    def tiers(self) -> Sequence[Tier]:
        """Where results are looked up and stored, the nearest first."""
        return self._tiers

    @property
    def at_hand(self) -> LocalCache:
        """The store alone."""
        return self._at_hand

    @property
    def troubles(self) -> Sequence[RemoteTrouble]:
        """What went wrong with the remote so far."""
        return self._line.troubles

    def invalidated(self) -> Ledger | None:
        """What is invalidated here and in the remote, which is asked when that is long known."""
        from pytrace_exec.generations.known import in_tiers

        return in_tiers(self.store, self._line, self._name, self.instance, self._max_age)

    def hang_up(self) -> None:
        """Close the connection; the next question opens another one."""
        self._line.hang_up()

    def send(self, digests: Iterable[Digest]) -> bool:
        """Send blobs of the store to the remote, as far as it lacks them; False: they were not taken."""
        return self._remote.send(digests)

    def get_result(self, action: Digest) -> ActionResult | None:
        """The result under a key from the nearest tier that has it."""
        found = (tier.get_result(action) for tier in self._tiers)
        return next((result for result in found if result is not None), None)

    def get(self, digest: Digest) -> bytes:
        """A blob, verified; raise `BlobMissing`."""
        return self._remote.get(digest)

    def copy_to(self, digest: Digest, fd: int) -> None:
        """Write a blob into an empty file, verified; raise `BlobMissing`."""
        self._remote.bring([digest])
        super().copy_to(digest, fd)


class RemoteTier:
    """The remote as a place for results, by way of the local store. Nothing raises because of the remote."""

    source = "remote"
    slots = SLOTS

    def __init__(self, local: LocalCache, line: Line, name: str) -> None:
        self._local = local
        self._store = local.store
        self._line = line
        self._name = name
        self._unsent: dict[Digest, None] = {}
        self.function = local.function

    @property
    def writable(self) -> bool:
        """Whether results can be sent, as far as is known."""
        return not (self._line.dead or self._line.read_only)

    def get_result(self, action: Digest) -> ActionResult | None:
        """The result under a key; nothing is known of its blobs yet."""
        return self._line.ask(lambda remote, _: self._decoded(remote.get_result(self.function, action, _INLINE)), None)

    def put_result(self, action: Digest, result: ActionResult, along: Iterable[Digest] = ()) -> bool:
        """Send what was put and what the result needs, then the result; raise `BlobMissing` if the store lost any."""
        digests = [*along, *self._unsent, *result.needs()]
        self._unsent.clear()

        def send(remote: Remote, terms: Terms) -> bool:
            if terms.may_write is False:
                return False
            self._send(remote, terms, digests)
            remote.put_result(self.function, action, result.encode())
            return True

        return self._line.ask(send, False)

    def send(self, digests: Iterable[Digest]) -> bool:
        """Send blobs that are in the store; raise `BlobMissing` for one that is not. False: they were not taken."""
        wanted = list(digests)

        def send(remote: Remote, terms: Terms) -> bool:
            self._send(remote, terms, wanted)
            return True

        return self._line.ask(send, False)

    def get(self, digest: Digest) -> bytes:
        """A blob, from the store if it has it; raise `BlobMissing`."""
        try:
            return self._local.get(digest)
        except BlobMissing:
            self.bring([digest])
        return self._local.get(digest)

    def fetch(self, digests: Iterable[Digest]) -> list[Digest]:
        """Bring the blobs of a result into the store; return those that cannot be had."""
        lost = self.bring(digests)
        if lost and not self._line.dead:
            self._line.note(RemoteLacks(self._name, f"blob {lost[0]} of a result that it has cannot be had"))
        return lost

    def bring(self, digests: Iterable[Digest]) -> list[Digest]:
        """Bring blobs into the store as far as the remote has them; return the others."""
        absent = self._local.missing(digests)
        if not absent:
            return []
        self._line.ask(lambda remote, terms: self._receive(remote, terms, absent), None)
        return self._local.missing(absent)

    def put(self, blobs: Mapping[Digest, bytes]) -> None:
        """Keep blobs in the store, and send them with the next result."""
        self._local.put(blobs)
        self._unsent |= dict.fromkeys(blobs)

    def _decoded(self, message: bytes | None) -> ActionResult | None:
        """Read a result, keeping what came along inline; raise `RemoteFailed` for one that makes no sense."""
        if message is None:
            return None
        result = read_result(self._name, self.function, message)
        inline = {file.digest: file.contents for file in result.output_files if file.contents and file.digest}
        self._keep(inline.items())
        for file in result.output_files:
            file.contents = b""
        return result

    def _keep(self, blobs: Iterable[tuple[Digest, bytes]]) -> None:
        try:
            self._store.put_many(self.function, blobs)
        except RefusedBlobs as error:
            raise RemoteFailed(self._name, f"it sent wrong bytes for blob {error.refused[0]}") from error

    def _receive(self, remote: Remote, terms: Terms, digests: Sequence[Digest]) -> None:
        """Fetch into the store what the remote has of some blobs, as far as there is room."""
        small = min(SMALL, terms.batch_bytes)
        try:
            for batch in _batches([digest for digest in digests if digest.size_bytes <= small], terms.batch_bytes):
                self._keep(remote.read_many(self.function, batch))
            for digest in digests:
                if digest.size_bytes > small:
                    self._receive_large(remote, digest)
        except (OutOfSpace, BlobMissing):
            return  # What is not there in the end is missing.

    def _receive_large(self, remote: Remote, digest: Digest) -> None:
        try:
            with self._store.writer(self.function, digest) as writer:
                for chunk in remote.read(self.function, digest):
                    writer.write(chunk)
                writer.commit()
        except DigestMismatch as error:
            raise RemoteFailed(self._name, f"it sent wrong bytes for blob {digest}") from error

    def _send(self, remote: Remote, terms: Terms, digests: Iterable[Digest]) -> None:
        """Send what the remote does not have of some blobs."""
        unique = [digest for digest in dict.fromkeys(digests) if digest.size_bytes]
        absent = remote.missing(self.function, unique)
        largest = max((digest.size_bytes for digest in absent), default=0)
        if 0 < terms.blob_bytes < largest:
            raise RemoteRefused(self._name, f"a blob of {largest} bytes is too large for it")
        small = min(SMALL, terms.batch_bytes)
        for batch in _batches([digest for digest in absent if digest.size_bytes <= small], terms.batch_bytes):
            remote.write_many(self.function, [(digest, self._local.get(digest)) for digest in batch])
        for digest in absent:
            if digest.size_bytes > small:
                with self._local.reader(digest) as blob:
                    remote.write(self.function, digest, blob)


def _batches(digests: Iterable[Digest], limit: int) -> Iterator[list[Digest]]:
    """Groups of at most `limit` bytes, what is said about each blob included."""
    batch: list[Digest] = []
    held = 0
    for digest in digests:
        size = digest.size_bytes + _FRAMING
        if batch and held + size > limit:
            yield batch
            batch, held = [], 0
        batch.append(digest)
        held += size
    if batch:
        yield batch
