# SPDX-License-Identifier: Apache-2.0
"""Adding blobs: verified as they are written, durable when the call returns, each one once.

Small ones become rows. Others are written to `tmp/`, then moved and indexed in one write transaction.
"""

from __future__ import annotations

import os

from pytrace_cas.digest import Digest
from pytrace_cas.store import crashpoints
from pytrace_cas.store.ages import Clock, clock_of
from pytrace_cas.store.index import PATIENCE, OutOfSpace
from pytrace_cas.store.layout import StoreError, move, place_of, sync_directory
from pytrace_cas.store.pieces import LARGE, Pace
from pytrace_cas.store.reading import BlobNotFound, close_found
from pytrace_cas.store.room import charge_of_blob
from pytrace_cas.store.staging import Staged, chunks_of, sweep_if_due

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _sqlite3 as sqlite
    from collections.abc import Iterable

    from pytrace_cas.digest import DigestFunction
    from pytrace_cas.store.index import Index
    from pytrace_cas.store.layout import Layout
    from pytrace_cas.store.pending import Pending
    from pytrace_cas.store.reading import Reader
    from pytrace_cas.store.room import Room

INLINE = 16384  # bytes; a blob of up to this size lives in the index
_LOOKUP = 200  # digests looked up by one statement
_BATCH_BLOBS, _BATCH_BYTES = 1024, 4 << 20  # at most in one transaction of `put_many`

_INSERT = """INSERT INTO blobs (function, hash, size, charge, used, turn, data, packed)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (function, hash) DO UPDATE SET used = excluded.used, turn = excluded.turn"""
_PRESENT = """SELECT hash, size, used NOT BETWEEN ? AND ? OR turn < ?
FROM blobs WHERE function = ? AND hash IN ({})"""
_RENEW = "UPDATE blobs SET used = ?, turn = ? WHERE function = ? AND hash = ?"


class DigestMismatch(StoreError):
    """The bytes are not those of the digest; nothing of them is stored. `found` is their own (None: not looked at)."""

    def __init__(self, path: bytes, digest: Digest, found: Digest | None) -> None:
        super().__init__(path, f"the data has digest {found or 'of another size'}, not {digest}; send it again")
        self.digest = digest
        self.found = found


class UploadTakenOver(StoreError):
    """Another stream, of this process or another, goes on with this upload."""

    def __init__(self, path: bytes) -> None:
        super().__init__(path, "another stream goes on with this upload; ask how far it is")


class RefusedBlobs(StoreError):
    """Some of many blobs did not have their digests: the `refused` ones are not stored, the others are."""

    def __init__(self, path: bytes, refused: list[Digest]) -> None:
        super().__init__(path, f"{len(refused)} of the blobs do not have their digests; send them again")
        self.refused = refused


class BlobWriter:
    """Takes one blob a chunk at a time; nothing is seen of it before `commit`. For one thread; a context manager.

    When `commit` returns, the blob is durable. Leaving without it discards what was written.
    """

    __slots__ = ("_adder", "_digest", "_function", "_parts", "_staged", "written")

    def __init__(self, adder: Adder, function: DigestFunction, digest: Digest) -> None:
        self.written = 0
        self._adder = adder
        self._function = function
        self._digest = digest
        self._parts: list[bytes] = []
        self._staged = adder.reserve(function, digest.size_bytes) if digest.size_bytes > INLINE else None

    def __enter__(self) -> BlobWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    def write(self, chunk: bytes | memoryview) -> None:
        """Append bytes; raise `DigestMismatch` once there are more than the digest's, `OutOfSpace`."""
        self.written += len(chunk)
        if self.written > self._digest.size_bytes:
            raise self._mismatch(None)
        if self._staged is None:
            self._parts.append(bytes(chunk))
        else:
            self._staged.write(chunk)

    def commit(self) -> Digest:
        """Store the blob; raise `DigestMismatch` and store nothing if the bytes are others."""
        if self.written != self._digest.size_bytes:
            raise self._mismatch(None)
        if self._staged is None:
            return self._adder.put(self._function, b"".join(self._parts), self._digest)
        found = Digest(self._staged.hash(), self._staged.size)
        if found != self._digest:
            raise self._mismatch(found)
        self._adder.publish(self._function, found, self._staged, self._staged.path)
        return found

    def discard(self) -> None:
        """Drop what was written; after `commit`, nothing."""
        self._parts.clear()
        if self._staged is not None:
            self._adder.give_up(self._staged)

    def _mismatch(self, found: Digest | None) -> DigestMismatch:
        return DigestMismatch(self._adder.layout.root, self._digest, found)


class Adder:
    """Adds blobs to one store. Any thread may call."""

    def __init__(
        self, layout: Layout, index: Index, pending: Pending, room: Room, reader: Reader, compress: bool
    ) -> None:
        self.layout = layout
        self._compress = compress
        self._index = index
        self._pending = pending
        self._room = room
        self._reader = reader
        self._pace = Pace()

    def missing(self, function: DigestFunction, digests: Iterable[Digest]) -> list[Digest]:
        """The digests that are not here, in order, each once; the others' ages are renewed."""
        checked = map(function.check, digests)
        wanted = {(bytes.fromhex(digest.hash), digest.size_bytes): digest for digest in checked}
        sizes, stale = self._present(function, sorted(hash for hash, _ in wanted))
        if stale and not self._index.read_only:
            with self._index.write() as db:
                clock = clock_of(db)
                for hash in stale:
                    row = (clock.now, clock.turn, function.number, hash)
                    if not db.execute(_RENEW, row).rowcount:
                        del sizes[hash]  # evicted since
        return [digest for (hash, size), digest in wanted.items() if size and sizes.get(hash) != size]

    def put(self, function: DigestFunction, data: bytes, digest: Digest | None = None) -> Digest:
        """Store bytes; raise `DigestMismatch` if they are not the digest's, `OutOfSpace`."""
        found = function.of(data)
        if digest is not None and found != digest:
            raise DigestMismatch(self.layout.root, digest, found)
        if len(data) <= INLINE:
            self._insert(function, [(found, data)])
        elif not self._here(function, found):
            staged = self.stage(function, len(data))
            try:
                staged.fill(data)
                self._publish(function, found, staged)
            finally:
                staged.discard()
        return found

    def put_many(self, function: DigestFunction, items: Iterable[tuple[Digest, bytes]]) -> None:
        """Store many small blobs, 4 MiB of them in a transaction; raise `RefusedBlobs` once the others are stored."""
        refused = []
        batch: list[tuple[Digest, bytes]] = []
        held = 0
        for digest, data in items:
            if function.of(data) != digest:
                refused.append(digest)
            elif len(data) > INLINE:
                self.put(function, data)
            else:
                batch.append((digest, data))
                held += len(data)
            if len(batch) >= _BATCH_BLOBS or held >= _BATCH_BYTES:
                self._insert(function, batch)
                batch, held = [], 0
        self._insert(function, batch)
        if refused:
            raise RefusedBlobs(self.layout.root, refused)

    def put_file(self, function: DigestFunction, file: int | bytes | str, digest: Digest | None = None) -> Digest:
        """Store an open or a named file from its start; what is stored is what was hashed."""
        if not isinstance(file, int):
            fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
            try:
                return self.put_file(function, fd, digest)
            finally:
                os.close(fd)
        size = os.fstat(file).st_size
        if size <= INLINE:
            data = b"".join(bytes(chunk) for chunk in chunks_of(file))
            return self.put(function, data, digest)
        staged = self.stage(function, size)
        try:
            staged.copy(file)
            found = Digest(staged.hash(), staged.size)
            if digest is not None and found != digest:
                raise DigestMismatch(self.layout.root, digest, found)
            if staged.size:
                self.publish(function, found, staged)
            return found
        finally:
            staged.discard()

    def writer(self, function: DigestFunction, digest: Digest) -> BlobWriter:
        """Take a blob a chunk at a time; raise `OutOfSpace` at once if it can never fit."""
        return BlobWriter(self, function, function.check(digest))

    def stage(self, function: DigestFunction, size: int) -> Staged:
        """Begin a file of about that size; raise `OutOfSpace` if the store's limit or the disk is too small for it."""
        self.check_room(size)
        return Staged(self.layout, function)

    def check_room(self, size: int) -> None:
        """Raise `OutOfSpace` if the store's limit or the disk is too small for a file; sweep when that is due."""
        self._room.check(charge_of_blob(size, False))
        disk = os.statvfs(self.layout.root)
        if disk.f_bavail * disk.f_frsize < size:
            raise OutOfSpace(self.layout.root)
        sweep_if_due(self.layout)

    def reserve(self, function: DigestFunction, size: int) -> Staged:
        """Begin a file that is to be of that size, and keep the room for it; raise `OutOfSpace`."""
        staged = self.stage(function, size)
        try:
            self._room.keep(staged.path, charge_of_blob(size, False))
        except BaseException:
            staged.discard()
            raise
        return self.prepare(staged, size)

    def widen(self, staged: Staged, kept: int, size: int) -> int:
        """Keep room for a file that grows to a size beyond what is `kept`; return what is kept then."""
        return self._room.widen(staged.path, kept, charge_of_blob(size, False))

    def prepare(self, staged: Staged, size: int) -> Staged:
        """Have a new file of that size written in the way that suits it; return it."""
        return staged.in_pieces(self._pace) if size >= LARGE else staged

    def give_up(self, staged: Staged) -> None:
        """Let go of a file that room was kept for; nothing happens if it was published."""
        if staged.fd >= 0 and not staged.moved:
            self._room.give_back(staged.path)
        staged.discard()

    def publish(
        self, function: DigestFunction, digest: Digest, staged: Staged, reservation: bytes | None = None
    ) -> None:
        """Move a staged file into place and index it; nothing happens if the blob is here."""
        if not self._here(function, digest):
            self._publish(function, digest, staged, reservation)

    def _publish(
        self, function: DigestFunction, digest: Digest, staged: Staged, reservation: bytes | None = None
    ) -> None:
        staged.settle()
        packed = self._packed(function, digest.size_bytes, staged) if self._compress else None
        if packed is None:
            self._install(function, digest, staged, staged, reservation)
            return
        try:
            self._install(function, digest, staged, packed, reservation)
        finally:
            packed.discard()

    def _packed(self, function: DigestFunction, size: int, staged: Staged) -> Staged | None:
        """Compress a file into another one; None if that saves too little."""
        from pytrace_cas.store.packed import pack

        packed = Staged(self.layout, function)
        try:
            packed.size = pack(staged.fd, size, packed)
            if charge_of_blob(packed.size, False) < charge_of_blob(size, False) and packed.size:
                return packed
        except BaseException:
            packed.discard()
            raise
        packed.discard()
        return None

    def _install(
        self, function: DigestFunction, digest: Digest, staged: Staged, file: Staged, reservation: bytes | None
    ) -> None:
        """Move a file into place, the staged one or one that was made of it, and index it."""
        if self._index.fsync:
            file.sync()
        packed = None if file is staged else file.size
        place = place_of(function.name, digest.hash, packed is not None)
        charge = charge_of_blob(digest.size_bytes if packed is None else packed, False)
        key = (function.number, bytes.fromhex(digest.hash))

        def work(db: sqlite.Connection, clock: Clock) -> None:
            self._pending.settle(db)
            if db.execute(_RENEW, (clock.now, clock.turn, *key)).rowcount:
                return  # in whatever form
            if not staged.is_in_place():
                raise UploadTakenOver(self.layout.root)
            self._pending.announce([place])
            self._move_in(file, place)
            db.execute(_INSERT, (*key, digest.size_bytes, charge, clock.now, clock.turn, None, packed))

        self._room.add(charge, work, reservation)

    def _move_in(self, staged: Staged, place: str) -> None:
        target = self.layout.blob(place)
        made = move(staged.path, target)
        staged.moved = True
        crashpoints.reached("file-moved-in")
        if self._index.fsync:
            folder = os.path.dirname(target)
            sync_directory(folder)
            if made:
                sync_directory(os.path.dirname(folder))
                sync_directory(self.layout.cas)

    def _insert(self, function: DigestFunction, items: list[tuple[Digest, bytes]]) -> None:
        new = [item for item in items if item[1] and not self._here(function, item[0])]
        if not new:
            return
        rows = [
            (function.number, bytes.fromhex(digest.hash), digest.size_bytes, charge_of_blob(len(data), True), data)
            for digest, data in new
        ]

        def work(db: sqlite.Connection, clock: Clock) -> None:
            db.executemany(_INSERT, [(*row[:4], clock.now, clock.turn, row[4], None) for row in rows])

        self._room.add(sum(row[3] for row in rows), work)

    def _here(self, function: DigestFunction, digest: Digest) -> bool:
        """Whether a blob need not be stored again; its age is renewed then. One whose file is gone is dropped."""
        try:
            found = self._reader.find(function, digest, PATIENCE)
        except BlobNotFound:
            return False
        close_found(found)
        return True

    def _present(self, function: DigestFunction, hashes: list[bytes]) -> tuple[dict[bytes, int], list[bytes]]:
        """Sizes of those that have a row, by hash, and the hashes that have to be renewed; best in order."""
        sizes: dict[bytes, int] = {}
        stale: list[bytes] = []
        with self._index.read() as db:
            fresh = clock_of(db).fresh()
            for start in range(0, len(hashes), _LOOKUP):
                part = hashes[start : start + _LOOKUP]
                query = _PRESENT.format(",".join("?" * len(part)))
                for hash, size, is_stale in db.execute(query, (*fresh, function.number, *part)):
                    sizes[hash] = size
                    if is_stale:
                        stale.append(hash)
        return sizes, stale
