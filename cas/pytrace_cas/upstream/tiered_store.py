# SPDX-License-Identifier: Apache-2.0
"""A store with an upstream tier behind it, which the services use in place of the store.

Reads that miss ask the tier; what comes is verified and stored before it is served. Writes are acknowledged once
they are stored here, and go to the tier in the background. Whatever goes wrong with the tier is a miss.
"""

from __future__ import annotations

import logging
import sqlite3
from contextlib import ExitStack
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from pytrace_cas.digest import Digest
from pytrace_cas.services import action_results
from pytrace_cas.services.action_cache import UNKNOWN_SIZE
from pytrace_cas.services.errors import InvalidRequest
from pytrace_cas.services.resource_names import is_reserved
from pytrace_cas.services.result_needs import needs_of
from pytrace_cas.store import BlobNotFound, DigestMismatch, MissingBlobs, StoreError
from pytrace_cas.upstream.flights import Flights
from pytrace_cas.upstream.guarded import Guarded
from pytrace_cas.upstream.late_writer import LateWriter
from pytrace_cas.upstream.metrics import TierMetrics
from pytrace_cas.upstream.pusher import Pusher
from pytrace_cas.upstream.tier import BlobAbsent, TierFailed, TierRefused, TierSkipped
from pytrace_cas.upstream.write_queue import WriteQueue
from pytrace_proto import remote_execution_pb2 as reapi

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pytrace_cas.digest import DigestFunction
    from pytrace_cas.services.backing import SpoolWriter, UploadWriter, Writer
    from pytrace_cas.store import BlobReader, CompressedReader, Evicted, Store
    from pytrace_cas.upstream.tier import Tier

log = logging.getLogger(__name__)
_TROUBLE = (TierFailed, TierRefused)


class TieredStore:
    """Blobs and results of a store and of one tier; a context manager. See `services.backing.Store`.

    Any thread may call. The store stays open: it is the caller's. With `read_only`, nothing is written to the tier.
    """

    waits = True

    def __init__(self, store: Store, tier: Tier, *, read_only: bool = False, fsync: bool = False) -> None:
        self.path = store.path
        self.read_only = store.read_only
        self.metrics = TierMetrics(tier.name)
        self._store = store
        self._tier = Guarded(tier, self.metrics)
        self._queue = WriteQueue(store.path, fsync=fsync)
        self._pusher = None if read_only else Pusher(store, self._queue, self._tier, self.metrics)
        self._blobs: Flights[bool] = Flights()
        self._results: Flights[bytes | None] = Flights()
        self.metrics.watch(lambda: self._tier.breaker.state, self._queue.length)

    def __enter__(self) -> TieredStore:
        if self._pusher is not None:
            self._pusher.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop writing to the tier, and let go of it; what is still to be written is kept."""
        if self._pusher is not None:
            self._pusher.stop()
        self._tier.close()
        self._queue.close()

    def status(self) -> dict[str, object]:
        """Say how the tier does, for `/status`."""
        return {
            "tier": self._tier.name,
            "breaker": self._tier.breaker.state,
            "read_only": self._pusher is None,
            "queue_entries": self._queue.length(),
        }

    # -- blobs

    def missing(self, function: DigestFunction, digests: Iterable[Digest]) -> list[Digest]:
        """Those that are neither here nor, by the tier's own word, there."""
        absent = self._store.missing(function, digests)
        if not absent:
            return absent
        doubted = self._queue.doubted(function, absent)
        try:
            gone = set(self._tier.missing(function, [digest for digest in absent if digest not in doubted]))
        except _TROUBLE:
            return absent
        return [digest for digest in absent if digest in gone or digest in doubted]

    def contains(self, function: DigestFunction, digest: Digest) -> bool:
        """Whether a blob is here; the tier is not asked."""
        return self._store.contains(function, digest)

    def find(self, function: DigestFunction, hash: str) -> Digest | None:
        """Digest of the blob with that hash: from here, from a result that needs it, or from the tier."""
        digest = self._store.find(function, hash) or self._store.find_needed(function, hash)
        if digest is None:
            try:
                digest = self._tier.find(function, hash)
            except _TROUBLE:
                return None
        return digest

    def put(self, function: DigestFunction, data: bytes, digest: Digest | None = None) -> Digest:
        """Store bytes here; later there."""
        self._queue_blobs(function, (digest or function.of(data),))
        found = self._store.put(function, data, digest)
        self._wake()
        return found

    def put_file(self, function: DigestFunction, file: int | bytes | str, digest: Digest | None = None) -> Digest:
        """Store a file here; later there."""
        if digest is not None:
            self._queue_blobs(function, (digest,))
        found = self._store.put_file(function, file, digest)
        if digest is None:
            self._queue_blobs(function, (found,))
        self._wake()
        return found

    def put_many(self, function: DigestFunction, items: Iterable[tuple[Digest, bytes]]) -> None:
        """Store many small blobs here; later there."""
        blobs = list(items)
        self._queue_blobs(function, [digest for digest, _ in blobs])
        self._store.put_many(function, blobs)
        self._wake()

    def writer(self, function: DigestFunction, digest: Digest) -> Writer:
        """Take a blob a chunk at a time; stored here when `commit` returns, later there."""
        return _QueuedWriter(
            self._store.writer(function, digest), lambda: self._queue_blobs(function, (digest,)), self._wake
        )

    def spool(self, function: DigestFunction, hash: str | None) -> SpoolWriter:
        """Take a blob of unknown size; stored here when `commit` returns, later there."""
        writer = self._store.spool(function, hash)
        return _QueuedSpool(writer, lambda: self._queue_blobs(function, (writer.digest,)), self._wake)

    def upload(self, name: str, function: DigestFunction, digest: Digest, offset: int) -> UploadWriter:
        """Begin an upload or go on with one; stored here when `commit` returns, later there."""
        return _QueuedUpload(
            self._store.upload(name, function, digest, offset),
            lambda: self._queue_blobs(function, (digest,)),
            self._wake,
        )

    def uploaded(self, name: str) -> int:
        """Bytes that an unfinished upload has brought here."""
        return self._store.uploaded(name)

    def expire_uploads(self) -> None:
        """Drop unfinished uploads that nobody went on with."""
        self._store.expire_uploads()

    def open_compressed(self, function: DigestFunction, digest: Digest, offset: int = 0) -> CompressedReader:
        """Open a blob as a zstd stream, once all of it is here; raise `BlobNotFound`."""
        try:
            return self._store.open_compressed(function, digest, offset)
        except BlobNotFound:
            if not self._fetch(function, digest):
                raise
        return self._store.open_compressed(function, digest, offset)

    def get(self, function: DigestFunction, digest: Digest) -> bytes:
        """All of a blob, verified; raise `BlobNotFound`."""
        try:
            return self._store.get(function, digest)
        except BlobNotFound:
            if not self._fetch(function, digest):
                raise
        return self._store.get(function, digest)

    def open_blob(
        self, function: DigestFunction, digest: Digest, offset: int = 0, *, verify: bool = False
    ) -> BlobReader:
        """Open a blob for reading, once all of it is here; raise `BlobNotFound`."""
        try:
            return self._store.open_blob(function, digest, offset, verify=verify)
        except BlobNotFound:
            if not self._fetch(function, digest):
                raise
        return self._store.open_blob(function, digest, offset, verify=verify)

    def split(
        self,
        function: DigestFunction,
        digest: Digest,
        chunking: int,
        cut: Callable[[Iterable[bytes]], Iterable[bytes]],
    ) -> tuple[int, list[Digest]]:
        """Name a blob's chunks, once all of it is here; tiers have it whole. Raise `BlobNotFound`."""
        if not self._store.contains(function, digest):
            self._fetch(function, digest)
        return self._store.split(function, digest, chunking, cut)

    def splice(self, function: DigestFunction, digest: Digest, chunks: Iterable[Digest], chunking: int) -> None:
        """Make a blob of chunks, which are here or there; tiers get it whole. Raise `BlobNotFound`."""
        wanted = list(chunks)
        for absent in self._store.missing(function, wanted):
            self._fetch(function, absent)
        self._queue_blobs(function, (digest,))
        self._store.splice(function, digest, wanted, chunking)
        self._wake()

    def _fetch(self, function: DigestFunction, digest: Digest) -> bool:
        """Bring a blob from the tier, once for all who want it now; say whether it is here."""
        return self._blobs.share((function.number, digest), lambda: self._bring(function, digest))

    def _bring(self, function: DigestFunction, digest: Digest) -> bool:
        if self._store.contains(function, digest):
            return True  # it came while this call was on its way
        try:
            with LateWriter(lambda: self._store.writer(function, digest)) as writer:
                self._tier.read(function, digest, writer)
            return True
        except (BlobAbsent, DigestMismatch):
            self._note(lambda: self._queue.doubt(function, digest))
        except TierSkipped:
            pass
        except _TROUBLE as error:
            log.warning("reading from upstream: %s", error)
        except StoreError as error:
            log.warning("a blob from upstream cannot be kept: %s", error)
        return False

    # -- action results

    def get_action_result(self, function: DigestFunction, instance: str, digest: Digest) -> bytes | None:
        """A result whose blobs are all here or there; a record of this server's own, only if they are here."""
        message = self._store.get_action_result(function, instance, digest)
        # No tier has a result under the size that stands for any: it has it under a size, or by hash.
        if message is not None or digest.size_bytes == UNKNOWN_SIZE or is_reserved(instance):
            return message
        return self._fetch_result(function, instance, digest)

    def get_action_result_by_hash(self, function: DigestFunction, instance: str, hash: str) -> bytes | None:
        """As `get_action_result` where the size is not known; a body of another kind that is here goes first."""
        message = self._store.get_action_result_by_hash(function, instance, hash)
        if message is not None or self._store.get_opaque(instance, hash) is not None:
            return message
        digest = self._store.find(function, hash) or Digest(hash, UNKNOWN_SIZE)
        return self._fetch_result(function, instance, digest)

    def _fetch_result(self, function: DigestFunction, instance: str, digest: Digest) -> bytes | None:
        key = (function.number, instance, digest)
        return self._results.share(key, lambda: self._bring_result(function, instance, digest))

    def _bring_result(self, function: DigestFunction, instance: str, digest: Digest) -> bytes | None:
        try:
            message = self._tier.get_result(function, instance, digest)
        except _TROUBLE:
            return None
        if message is None:
            return None
        with ExitStack() as held:
            try:
                bare, needs = self._read_result(function, message, held)
            except (DecodeError, InvalidRequest, StoreError) as error:
                log.warning("a result from upstream cannot be used: %s", error)
                self.metrics.asked("get_result", "malformed")
                return None
            return self._answer(function, instance, digest, bare, needs)

    def _answer(
        self, function: DigestFunction, instance: str, digest: Digest, bare: bytes, needs: list[Digest]
    ) -> bytes | None:
        """What came from upstream, if all of it is here or there."""
        if self.missing(function, needs):
            # What is kept of it here says no more than the tier did.
            self._store.remove_action_result(function, instance, digest, incomplete=True)
            self.metrics.asked("get_result", "incomplete")
            return None
        return self._keep_result(function, instance, digest, bare, needs)

    def _read_result(self, function: DigestFunction, message: bytes, held: ExitStack) -> tuple[bytes, list[Digest]]:
        """Check a result as if a client had sent it; return it without inlined bytes, and what it needs."""
        result = reapi.ActionResult.FromString(message)
        action_results.check_fields(result, function)
        bare, blobs = action_results.take_inlined(result, function)
        self._store.put_many(function, blobs)
        needs = [need for need in held.enter_context(needs_of(self, bare, function)) if need.size_bytes]
        return bare.SerializeToString() if blobs else message, needs

    def _keep_result(
        self, function: DigestFunction, instance: str, digest: Digest, message: bytes, needs: list[Digest]
    ) -> bytes:
        """Keep a result, to be answered from here once its blobs are; one that a client has stored meanwhile wins."""
        try:
            self._store.put_action_result(
                function, instance, digest, message, needs, allow_missing=True, keep_complete=True
            )
            return self._store.get_action_result(function, instance, digest) or message
        except StoreError as error:
            log.warning("a result from upstream cannot be kept: %s", error)
            return message

    def put_action_result(
        self, function: DigestFunction, instance: str, digest: Digest, message: bytes, needs: Iterable[Digest]
    ) -> None:
        """Store a result here, with all that it needs; later there, but for this server's own records.

        Raise `MissingBlobs` with those that are neither here nor there.
        """
        wanted = list(needs)
        if self._pusher is not None and not is_reserved(instance):
            self._note(lambda: self._queue.add_result(function, instance, digest))
        try:
            self._store.put_action_result(function, instance, digest, message, wanted)
        except MissingBlobs as error:
            # The client was told that these are there, and did not send them.
            gone = set(self.missing(function, error.missing))
            if not [need for need in error.missing if need not in gone and self._fetch(function, need)]:
                raise
            self._store.put_action_result(function, instance, digest, message, wanted)
        self._wake()

    def remove_action_result(self, function: DigestFunction, instance: str, digest: Digest) -> bool:
        """Drop a result from here."""
        return self._store.remove_action_result(function, instance, digest)

    def put_opaque(self, instance: str, key: str, body: bytes) -> None:
        """Store a body here; tiers know no such bodies."""
        self._store.put_opaque(instance, key, body)

    def get_opaque(self, instance: str, key: str) -> bytes | None:
        """The body that was stored here."""
        return self._store.get_opaque(instance, key)

    def generations(self) -> dict[str, str]:
        """What was invalidated here; a tier's own clients know of theirs."""
        return self._store.generations()

    def unite_generations(self, generations: Mapping[str, str]) -> None:
        """Note here what was invalidated."""
        self._store.unite_generations(generations)

    # -- size

    def size(self) -> tuple[int, int]:
        """Bytes in use here, and the limit."""
        return self._store.size()

    def evict(self, down_to: int | None = None, older_than: float | None = None, dry_run: bool = False) -> Evicted:
        """Evict from here."""
        return self._store.evict(down_to, older_than, dry_run)

    def counters(self) -> dict[str, int]:
        """Every statistic of the store."""
        return self._store.counters()

    def _queue_blobs(self, function: DigestFunction, digests: Iterable[Digest]) -> None:
        """Let blobs that are about to be stored be written to the tier."""
        wanted = [digest for digest in digests if digest.size_bytes]
        if wanted and self._pusher is not None:
            self._note(lambda: self._queue.add_blobs(function, wanted))

    def _note(self, write: Callable[[], int | None]) -> None:
        """Write to the queue's file. When that fails, storing here goes on: that is what is acknowledged."""
        try:
            left_out = write()
        except sqlite3.Error as error:
            log.warning("the queue for upstream cannot be written: %s", error)
            self.metrics.dropped("unwritable")
            return
        if left_out:
            self.metrics.dropped("full", left_out)

    def _wake(self) -> None:
        if self._pusher is not None:
            self._pusher.wake()


class _QueuedWriter:
    """A store's writer whose blob is queued before it is seen."""

    def __init__(self, writer: Writer, queue: Callable[[], None], wake: Callable[[], None]) -> None:
        self._writer = writer
        self._queue = queue
        self._wake = wake

    @property
    def written(self) -> int:
        """Bytes that have arrived, in earlier streams too."""
        return self._writer.written

    def write(self, chunk: bytes | memoryview) -> None:
        """Append bytes."""
        self._writer.write(chunk)

    def commit(self) -> Digest:
        """Store the blob here."""
        self._queue()
        digest = self._writer.commit()
        self._wake()
        return digest

    def discard(self) -> None:
        """Drop what was written."""
        self._writer.discard()


class _QueuedSpool(_QueuedWriter):
    """The same of one whose size shows at its end."""

    def __init__(self, writer: SpoolWriter, queue: Callable[[], None], wake: Callable[[], None]) -> None:
        super().__init__(writer, queue, wake)
        self._spool = writer

    @property
    def digest(self) -> Digest:
        """Digest of what has arrived."""
        return self._spool.digest


class _QueuedUpload(_QueuedWriter):
    """The same of one that can be left and gone on with."""

    def __init__(self, writer: UploadWriter, queue: Callable[[], None], wake: Callable[[], None]) -> None:
        super().__init__(writer, queue, wake)
        self._upload = writer

    def waits(self, count: int) -> bool:
        """Whether so many more bytes have to wait for the disk."""
        return self._upload.waits(count)

    def leave(self) -> None:
        """Keep what was written for whoever goes on."""
        self._upload.leave()
