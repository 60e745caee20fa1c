# SPDX-License-Identifier: Apache-2.0
"""`Store`: one directory of blobs and action results, shared by any number of threads and processes.

On the wrapper's hit path: what a hit does not need is imported when it is first used.
"""

from __future__ import annotations

import os

from pytrace_cas.store.counters import Counters
from pytrace_cas.store.index import APPLICATION_ID, DEFAULT_MAX_SIZE, FORMAT, CorruptIndex, Index
from pytrace_cas.store.layout import (
    Layout,
    NetworkFileSystem,
    NoStore,
    StoreIsFile,
    StoreNotWritable,
    unreadable,
)
from pytrace_cas.store.mounts import shared_kind
from pytrace_cas.store.notes import Notes
from pytrace_cas.store.pending import Pending
from pytrace_cas.store.reading import BlobReader, Reader
from pytrace_cas.store.results import Results, StoredResult
from pytrace_cas.store.room import Room

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Self

    from pytrace_cas.digest import Digest, DigestFunction
    from pytrace_cas.store.adding import Adder, BlobWriter
    from pytrace_cas.store.backup import Backup
    from pytrace_cas.store.check import CheckReport
    from pytrace_cas.store.chunks import Chunks
    from pytrace_cas.store.compressed import CompressedReader
    from pytrace_cas.store.events import Event
    from pytrace_cas.store.eviction import Evicted, Evictor
    from pytrace_cas.store.history import History
    from pytrace_cas.store.index import Writing
    from pytrace_cas.store.listing import StoredBlob
    from pytrace_cas.store.spooling import SpoolWriter
    from pytrace_cas.store.uploads import Uploads, UploadWriter


class Store:
    """A durable content-addressed store with an action cache. A context manager.

    Any thread and any number of processes may use one directory at once. When a call that adds returns, what it added
    survives the death of every process, and with `fsync` the loss of power. Digests of different functions never
    meet. The empty blob is always there.
    """

    def __init__(self, layout: Layout, fsync: bool, read_only: bool, compress: bool) -> None:
        self.path = layout.root
        self.waits = False  # for nothing but this machine's disk
        self.read_only = read_only
        self._layout = layout
        self._compress = compress
        self._index = Index(layout, fsync, read_only)
        self._pending = Pending(layout)
        self._counters = Counters(self._index)
        self._notes = Notes(self._index)
        self._reader = Reader(layout, self._index, self._pending, self._counters)
        self._room = Room(self._index, self._new_evictor)
        self._results = Results(self._index, self._room)
        self._adder: Adder | None = None
        self._uploads: Uploads | None = None
        self._chunker: Chunks | None = None

    @classmethod
    def open(
        cls,
        path: bytes | str,
        *,
        max_size: int | None = None,
        min_lifetime: int | None = None,
        fsync: bool = False,
        read_only: bool = False,
        create: bool = True,
        compress: bool = False,
    ) -> Self:
        """Open the store in a directory, making it when there is none and `create`; raise a `StoreError`.

        One is made where nothing is, in an empty directory, or where a killed process had begun one; any other
        directory is `FolderInUse`.
        `max_size` (bytes) is kept in the store; a new one has 10 GiB. So is `min_lifetime` (seconds; 0 at first): for
        that long after they were stored, found or part of a hit, blobs are not evicted. With `compress`, files that are
        added are compressed if that saves something; both forms are read. `StoreNotWritable` from an
        existing store means that it can still be opened with `read_only`.
        """
        layout = Layout(os.path.abspath(os.fsencode(path)))
        _check_place(layout, read_only, create and not read_only)
        store = cls(layout, fsync, read_only, compress)
        try:
            store._begin(max_size, min_lifetime)
        except BaseException:
            store.close()
            raise
        return store

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it; waits for the batch that is being evicted in the background."""
        self._room.close()
        self._pending.close()
        self._index.close()

    # -- blobs

    def missing(self, function: DigestFunction, digests: Iterable[Digest]) -> list[Digest]:
        """Those of the digests that are not here; the others' ages are renewed. Each digest is answered once."""
        return self._adding.missing(function, digests)

    def contains(self, function: DigestFunction, digest: Digest) -> bool:
        """Whether a blob is here; its age is renewed."""
        return not self.missing(function, (digest,))

    def find(self, function: DigestFunction, hash: str) -> Digest | None:
        """Digest of the blob with that hash, for protocols that do not state sizes; None if it is not here."""
        return self._reader.named(function, hash)

    def put(self, function: DigestFunction, data: bytes, digest: Digest | None = None) -> Digest:
        """Store bytes; raise `DigestMismatch` if they are not those of `digest`, `OutOfSpace`."""
        return self._adding.put(function, data, digest)

    def put_file(self, function: DigestFunction, file: int | bytes | str, digest: Digest | None = None) -> Digest:
        """Store a file, open or named, from its start to its end; as `put`. A descriptor's offset is not used."""
        return self._adding.put_file(function, file, digest)

    def put_many(self, function: DigestFunction, items: Iterable[tuple[Digest, bytes]]) -> None:
        """Store many small blobs at once; raise `RefusedBlobs` after the good ones are stored."""
        self._adding.put_many(function, items)

    def writer(self, function: DigestFunction, digest: Digest) -> BlobWriter:
        """Store a blob a chunk at a time; raise `OutOfSpace` at once if it can never fit."""
        return self._adding.writer(function, digest)

    def spool(self, function: DigestFunction, hash: str | None) -> SpoolWriter:
        """Take a blob of unknown size a chunk at a time, of that hash if there is one; raise `OutOfSpace`."""
        from pytrace_cas.store.spooling import SpoolWriter

        return SpoolWriter(self._adding, function, hash)

    def upload(self, name: str, function: DigestFunction, digest: Digest, offset: int) -> UploadWriter:
        """Begin an upload, or go on with one, of this process or another, at its `offset`; raise `WrongOffset`.

        What it has brought is kept over the end of the process, and found again under its name.
        """
        return self._uploading.begin(name, function, digest, offset)

    def uploaded(self, name: str) -> int:
        """Bytes that an unfinished upload has brought, which it can go on behind."""
        return self._uploading.committed(name)

    def expire_uploads(self) -> None:
        """Drop unfinished uploads that nobody went on with for an hour, and the oldest of too many."""
        self._uploading.expire()

    def get(self, function: DigestFunction, digest: Digest) -> bytes:
        """All of a blob, verified; raise `BlobNotFound`."""
        return self._reader.get(function, digest)

    def peek(self, function: DigestFunction, digest: Digest) -> bytes:
        """As `get`, for who only looks at what is stored: nothing is renewed."""
        return self._reader.get(function, digest, None)

    def open_blob(
        self, function: DigestFunction, digest: Digest, offset: int = 0, *, verify: bool = False
    ) -> BlobReader:
        """Open a blob for reading; raise `BlobNotFound`. With `verify` (from offset 0) its end may be `BlobCorrupt`."""
        return BlobReader(self._reader, function, digest, offset, verify)

    def open_compressed(self, function: DigestFunction, digest: Digest, offset: int = 0) -> CompressedReader:
        """Open a blob from an offset on as a zstd stream; raise `BlobNotFound`. From 0 on it is verified."""
        from pytrace_cas.store.compressed import CompressedReader

        return CompressedReader(self.open_blob(function, digest, offset, verify=not offset), offset)

    def copy_to(self, function: DigestFunction, digest: Digest, target: int) -> None:
        """Put a blob's verified bytes into an empty open file; raise `BlobNotFound` and leave it empty."""
        self._reader.copy_to(function, digest, target)

    # -- chunks

    def split(
        self,
        function: DigestFunction,
        digest: Digest,
        chunking: int,
        cut: Callable[[Iterable[bytes]], Iterable[bytes]],
    ) -> tuple[int, list[Digest]]:
        """The number of the function that a blob is cut with, and its chunks, which are blobs here.

        One that is not cut yet is cut by `cut`, whose number is `chunking`; its chunks take no room but for rows.
        Raise `BlobNotFound`.
        """
        return self._chunks.split(function, digest, chunking, cut)

    def splice(self, function: DigestFunction, digest: Digest, chunks: Iterable[Digest], chunking: int) -> None:
        """Make a blob of chunks, of which no copy is made; raise `BlobNotFound`, `DigestMismatch`, `OutOfSpace`."""
        self._chunks.splice(function, digest, chunks, chunking)

    # -- action results

    def get_action_result(self, function: DigestFunction, instance: str, digest: Digest) -> bytes | None:
        """A result's message if every blob that it needs is here; all of them are renewed."""
        return self._results.get(function, instance, digest)

    def peek_action_result(self, function: DigestFunction, instance: str, digest: Digest) -> bytes | None:
        """As `get_action_result`, for who only looks at what is stored: nothing is renewed."""
        return self._results.get(function, instance, digest, renew=False)

    def get_action_result_by_hash(self, function: DigestFunction, instance: str, hash: str) -> bytes | None:
        """As `get_action_result` where the size is not known: the one stored last."""
        return self._results.get_by_hash(function, instance, hash)

    def put_action_result(
        self,
        function: DigestFunction,
        instance: str,
        digest: Digest,
        message: bytes,
        needs: Iterable[Digest],
        *,
        allow_missing: bool = False,
        keep_complete: bool = False,
        mutable: bool = False,
    ) -> None:
        """Store a result and the digests it needs in place of an earlier one; raise `MissingBlobs`, `OutOfSpace`.

        With `allow_missing` a result is kept without all its blobs and answered once they are here; with
        `keep_complete` it does not take the place of one that was stored with all of them. An earlier one that said
        otherwise is told by `replaced_results`, unless the entry is `mutable`, as a list is.
        """
        self._results.put(function, instance, digest, message, needs, allow_missing, keep_complete, mutable)

    def replaced_results(self, function: DigestFunction, instance: str, digest: Digest) -> list[tuple[int, bytes]]:
        """Messages that stood under a key before and said otherwise (bounded), the last first, each with its time."""
        return self._results.replaced(function, instance, digest)

    def keep_other_result(self, function: DigestFunction, instance: str, digest: Digest, message: bytes) -> None:
        """Note what a run gave that was not stored: `replaced_results` tells it, and nothing is answered from it."""
        self._results.keep_other(function, instance, digest, message)

    def replaced_keys(self) -> list[tuple[DigestFunction, str, Digest]]:
        """Function, instance and digest of each key that `replaced_results` tells something of, the last first."""
        return self._results.replaced_keys()

    def results_needing(
        self, function: DigestFunction, instance: str, digest: Digest, limit: int = 64
    ) -> list[StoredResult]:
        """The results that need a blob, or were stored along with it; those stored last first."""
        return self._results.needing(function, instance, digest, limit)

    def needs_of(self, function: DigestFunction, instance: str, digest: Digest) -> list[Digest]:
        """Every blob that a result needs or that was stored along with it, in no order."""
        return self._results.needs(function, instance, digest)

    def remove_action_result(
        self, function: DigestFunction, instance: str, digest: Digest, *, incomplete: bool = False
    ) -> bool:
        """Drop a result, with `incomplete` only if it was stored without all its blobs; say whether there was one."""
        return self._results.remove(function, instance, digest, incomplete)

    def find_needed(self, function: DigestFunction, hash: str) -> Digest | None:
        """Digest of a blob with that hash that a result needs, here or not; None if no result does."""
        return self._results.needed(function, hash)

    def action_results(
        self, function: DigestFunction | None = None, instance: str | None = None, *, newest_first: bool = False
    ) -> Iterator[StoredResult]:
        """List the results, complete or not, in the order in which they were stored."""
        return self._results.all(function, instance, newest_first)

    def put_opaque(self, instance: str, key: str, body: bytes) -> None:
        """Store a body that is no action result, under a key that no digest reaches."""
        self._results.put_opaque(instance, key, body)

    def get_opaque(self, instance: str, key: str) -> bytes | None:
        """The body that was stored under a key."""
        return self._results.get_opaque(instance, key)

    # -- notes

    def setting(self, name: str) -> str | None:
        """Value of a setting, None if it has none."""
        return self._notes.setting(name)

    def set_setting(self, name: str, value: str) -> None:
        """Give a setting a value."""
        self._notes.set_setting(name, value)

    def generation(self, scope: str) -> str | None:
        """Present generation of a scope; None: it was never invalidated."""
        return self._notes.generation(scope)

    def set_generation(self, scope: str, value: str) -> None:
        """Begin a generation of a scope; generations are never evicted."""
        self._notes.set_generation(scope, value)

    def unite_generations(self, generations: Mapping[str, str]) -> None:
        """Begin the generations of some scopes; of two values of one scope, the one that sorts first stays."""
        self._notes.unite_generations(generations)

    def generations(self) -> dict[str, str]:
        """The generation of every scope that has one."""
        return self._notes.generations()

    def remember(self, kind: str, key: bytes, value: bytes) -> None:
        """Note a value (up to 64 KiB); of each kind the 4096 last used are kept."""
        self._notes.remember(kind, key, value)

    def recall(self, kind: str, key: bytes) -> bytes | None:
        """The value that was noted under a key."""
        return self._notes.recall(kind, key)

    def forget(self, kind: str, key: bytes) -> None:
        """Drop a note if there is one."""
        self._notes.forget(kind, key)

    def count(self, name: str, amount: int = 1) -> None:
        """Add to a statistic; never waits, never fails."""
        self._counters.count(name, amount)

    def record(self, counts: Iterable[str], events: Iterable[Event] = ()) -> None:
        """Add one to each of some statistics, and write down what happened, in one go; never waits, never fails."""
        self._counters.record([(name, 1) for name in counts], events)

    def record_counts(self, counts: Iterable[tuple[str, int]], events: Iterable[Event] = ()) -> None:
        """As `record`, of statistics with what is to be added to each."""
        self._counters.record(counts, events)

    def fold(self) -> None:
        """Bring what was counted and written down into the index, where it can be asked for, unless read only."""
        self._counters.fold()

    @property
    def history(self) -> History:
        """What happened: hits, runs, requests, and statistics by hour."""
        from pytrace_cas.store.history import History

        return History(self._index)

    def index_uri(self) -> str:
        """The index for SQLite, to be read beside another database: `ATTACH DATABASE`."""
        return self._index.reading_uri()

    def exclusive(self) -> Writing:
        """Keep every other writer of the store away: `with store.exclusive()`."""
        return self._index.write()

    def counters(self) -> dict[str, int]:
        """Every statistic."""
        return self._counters.totals()

    def reset_counters(self) -> None:
        """Forget every statistic."""
        self._counters.reset()

    # -- size

    @property
    def max_size(self) -> int:
        """The limit in bytes."""
        return self.size()[1]

    def size(self) -> tuple[int, int]:
        """Bytes in use and the limit."""
        with self._index.read() as db:
            used, limit = db.execute("SELECT bytes, max_size FROM store").fetchone()
        return used, limit

    def entries(self) -> tuple[int, int]:
        """How many blobs and how many results there are."""
        with self._index.read() as db:
            blobs, results = db.execute("SELECT blobs, results FROM store").fetchone()
        return blobs, results

    def blobs_called(self, beginning: str, limit: int) -> list[tuple[DigestFunction, Digest]]:
        """The blobs whose hash begins with these hexadecimal digits, so many at most."""
        from pytrace_cas.store.listing import blobs_called

        return blobs_called(self._index, beginning, limit)

    def blobs(self, sort: str = "time", limit: int = 100) -> list[StoredBlob]:
        """The blobs that were used last (`time`), or the largest (`size`)."""
        from pytrace_cas.store.listing import list_blobs

        return list_blobs(self._index, sort, limit)

    def evict(self, down_to: int | None = None, older_than: float | None = None, dry_run: bool = False) -> Evicted:
        """Evict the least recently used until `down_to` bytes are left, and what was not used for `older_than` seconds.

        With both, what is old, until that size is reached; with neither, down to the low-water mark.
        """
        return self._room.evictor().evict(down_to, older_than, dry_run)

    def keep_spare(self) -> None:
        """Keep 8 MiB of the disk, if there is so much, to evict with once it is full."""
        from pytrace_cas.store.spare import keep

        keep(self._layout)

    def check(self, read_data: bool = False, repair: bool = False) -> CheckReport:
        """Prove the store's invariants, at rest or in use; with `read_data` every byte is hashed."""
        from pytrace_cas.store.check import check_store

        return check_store(self._layout, self._index, self._reader, self._pending, read_data, repair)

    def back_up(self, target: bytes) -> Backup:
        """Copy the index, as it is at one moment, to a file outside the store; raise `BackupFailed`."""
        from pytrace_cas.store.backup import back_up

        return back_up(self._index, target)

    @property
    def _adding(self) -> Adder:
        if self._adder is None:
            from pytrace_cas.store.adding import Adder

            self._adder = Adder(self._layout, self._index, self._pending, self._room, self._reader, self._compress)
        return self._adder

    @property
    def _uploading(self) -> Uploads:
        if self._uploads is None:
            from pytrace_cas.store.uploads import Uploads

            self._uploads = Uploads(self._layout, self._index, self._room, self._adding)
        return self._uploads

    @property
    def _chunks(self) -> Chunks:
        if self._chunker is None:
            from pytrace_cas.store.chunks import Chunks

            self._chunker = Chunks(self._layout, self._index, self._pending, self._room, self._reader, self._adding)
        return self._chunker

    def _new_evictor(self) -> Evictor:
        from pytrace_cas.store.eviction import Evictor

        return Evictor(self._layout, self._index, self._pending, self._counters)

    def _begin(self, max_size: int | None, min_lifetime: int | None) -> None:
        """See that the index is there and of our format, and keep the limits."""
        if not os.path.lexists(self._layout.index):
            if self.read_only:
                raise NoStore(self.path)
            from pytrace_cas.store.schema import create_index

            create_index(self._layout, DEFAULT_MAX_SIZE if max_size is None else max_size)
        try:
            limit, lifetime = self._known_limits()
        except CorruptIndex:
            from pytrace_cas.store.mark import is_ours
            from pytrace_cas.store.schema import UnknownFormat

            if not is_ours(self._layout):
                raise UnknownFormat(self.path, 0) from None
            raise
        if max_size not in (None, limit):
            with self._index.write() as db:
                db.execute("UPDATE store SET max_size = ?", (max_size,))
            self._room.relieve()
        if min_lifetime not in (None, lifetime):
            with self._index.write() as db:
                db.execute("UPDATE store SET min_lifetime = ?", (min_lifetime,))

    def _known_limits(self) -> tuple[int, int]:
        """The store's limit and its shortest lifetime, once its index is known to be ours and of our format."""
        with self._index.read() as db:
            (application,) = db.execute("PRAGMA application_id").fetchone()
            (format,) = db.execute("PRAGMA user_version").fetchone()
            if (application, format) != (APPLICATION_ID, FORMAT):
                from pytrace_cas.store.schema import migrate

                migrate(db, self.path, self.read_only)
            limit, lifetime = db.execute("SELECT max_size, min_lifetime FROM store").fetchone()
        return int(limit), int(lifetime)


def _check_place(layout: Layout, read_only: bool, create: bool) -> None:
    """Raise what is wrong with a directory before anything is written there."""
    root = layout.root
    existing = root
    while not os.path.lexists(existing):
        existing = os.path.dirname(existing)
    if not os.path.isdir(existing):
        raise StoreIsFile(existing) if create or existing == root else NoStore(root)
    if not os.access(existing, os.X_OK):  # what is in it is not told from what is absent
        raise unreadable(root, existing, f"{os.fsdecode(existing)} may not be entered")
    is_there = os.path.lexists(layout.index)
    if not is_there and not create:
        raise NoStore(root)
    if kind := shared_kind(existing):
        raise NetworkFileSystem(root, kind)
    if existing == root and not os.access(root, os.R_OK):
        raise unreadable(root, root, "its folder may not be read")
    if existing == root and not is_there:
        from pytrace_cas.store.mark import refuse_used

        refuse_used(layout)
    if not read_only and not os.access(existing, os.W_OK | os.X_OK):
        raise StoreNotWritable(root, f"{os.fsdecode(existing)} may not be written")
