# SPDX-License-Identifier: Apache-2.0
"""Splitting blobs into chunks and splicing chunks into blobs, without storing a byte twice.

A file that is split keeps its bytes, and its chunks become ranges of it; a spliced blob is a list of its chunks. Either
is one transaction of rows: no file moves, but for those of chunks whose bytes turn out to lie in a file as well.
"""

from __future__ import annotations

from pytrace_cas.digest import Digest
from pytrace_cas.store import crashpoints
from pytrace_cas.store.adding import INLINE, DigestMismatch
from pytrace_cas.store.layout import place_of
from pytrace_cas.store.parts import LIST, OWN, RANGE, are_whole, chunks_of_row
from pytrace_cas.store.pending import BATCH
from pytrace_cas.store.reading import CHUNK, BlobNotFound, BlobReader
from pytrace_cas.store.room import PART, ROW
from pytrace_cas.store.staging import empty_trash

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _sqlite3 as sqlite
    from collections.abc import Callable, Iterable, Iterator

    from pytrace_cas.digest import DigestFunction
    from pytrace_cas.store.adding import Adder
    from pytrace_cas.store.ages import Clock
    from pytrace_cas.store.index import Index
    from pytrace_cas.store.layout import Layout
    from pytrace_cas.store.pending import Pending
    from pytrace_cas.store.reading import Reader
    from pytrace_cas.store.room import Room

    Cut = Callable[[Iterable[bytes]], Iterable[bytes]]

MOST_PARTS = 50_000  # chunks of one blob: their digests fit into one message
_RENEW = "UPDATE blobs SET used = ?, turn = ? WHERE id = ?"
_FIND = "SELECT id, form, data IS NULL, chunking FROM blobs WHERE function = ? AND hash = ? AND size = ?"
_ADD = """INSERT INTO blobs (function, hash, size, charge, used, turn, data, form, source, start, chunking)
VALUES (?, ?, ?, ?, ?, ?, x'', ?, ?, ?, ?)"""
# Chunks of a file that have their bytes elsewhere too, and that no other blob's bytes hang on.
_DOUBLE = f"""SELECT c.id, c.hash, c.data IS NULL, c.packed IS NOT NULL, min(p.start)
FROM parts p JOIN blobs c ON c.id = p.chunk
WHERE p.whole = ? AND c.form = 0 AND c.id <> p.whole AND NOT EXISTS (SELECT 1 FROM blobs r WHERE r.source = c.id)
GROUP BY c.id LIMIT {BATCH}"""
_BECOME_RANGE = "UPDATE blobs SET form = 1, source = ?, start = ?, data = x'', packed = NULL, charge = ? WHERE id = ?"


class NotSplit(BlobNotFound):
    """The blob is here, but is not cut and cannot be: it has too many chunks, or the store may not be written."""


class Chunks:
    """Splits and splices the blobs of one store. Any thread may call."""

    def __init__(
        self, layout: Layout, index: Index, pending: Pending, room: Room, reader: Reader, adder: Adder
    ) -> None:
        self._layout = layout
        self._index = index
        self._pending = pending
        self._room = room
        self._reader = reader
        self._adder = adder

    def split(self, function: DigestFunction, digest: Digest, chunking: int, cut: Cut) -> tuple[int, list[Digest]]:
        """The function that a blob is cut with, and its chunks, which are here; all of them are renewed.

        A blob that is not cut is cut now. Raise `BlobNotFound`, `BlobCorrupt`, `OutOfSpace`.
        """
        self._see(function, digest)
        if not digest.size_bytes:
            return chunking, []
        known = self._known(function, digest)
        if known is not None:
            return known
        if not self._is_file(function, digest):
            return chunking, [digest]
        chunks = list(self._digests(function, digest, cut))
        if len(chunks) == 1:
            return chunking, [digest]
        if len(chunks) > MOST_PARTS or self._index.read_only:
            raise NotSplit(self._layout.root, function, digest)
        self._keep_chunks(function, digest, chunks, chunking)
        known = self._known(function, digest)
        if known is None:
            raise BlobNotFound(self._layout.root, function, digest)  # evicted at once: the store is too small
        return known

    def splice(self, function: DigestFunction, digest: Digest, chunks: Iterable[Digest], chunking: int) -> None:
        """Make a blob of chunks that are here; raise `BlobNotFound` of a chunk, `DigestMismatch`, `OutOfSpace`.

        If the blob is here, it stays as it is, and those of the chunks that are here are renewed.
        """
        function.check(digest)
        parts = [function.check(chunk) for chunk in chunks if chunk.size_bytes]
        size = sum(part.size_bytes for part in parts)
        if size != digest.size_bytes:
            raise DigestMismatch(self._layout.root, digest, None)
        missing = self._adder.missing(function, parts)
        if not self._adder.missing(function, [digest]):
            self._learn(function, digest, parts, chunking)
            return
        if missing:
            raise BlobNotFound(self._layout.root, function, missing[0])
        if self._may_be_list(function, parts):
            self._verify(function, digest, parts)
            self._insert_list(function, digest, parts, chunking)
        else:
            self._copy(function, digest, parts)

    def _see(self, function: DigestFunction, digest: Digest) -> None:
        BlobReader(self._reader, function, digest, 0, False).close()

    def _row(self, db: sqlite.Connection, function: DigestFunction, digest: Digest) -> tuple[int, int, int, int] | None:
        key = (function.number, bytes.fromhex(digest.hash), digest.size_bytes)
        row: tuple[int, int, int, int] | None = db.execute(_FIND, key).fetchone()
        return row

    def _is_file(self, function: DigestFunction, digest: Digest) -> bool:
        with self._index.read() as db:
            row = self._row(db, function, digest)
        return row is not None and row[1] == OWN and bool(row[2])

    def _known(self, function: DigestFunction, digest: Digest) -> tuple[int, list[Digest]] | None:
        with self._index.read() as db:
            row = self._row(db, function, digest)
            parts = chunks_of_row(db, row[0]) if row else []
        chunks = [chunk for _, chunk in parts]
        if row is None or not are_whole(parts, digest.size_bytes) or self._adder.missing(function, chunks):
            return None
        return row[3], chunks

    def _digests(self, function: DigestFunction, digest: Digest, cut: Cut) -> Iterator[Digest]:
        with BlobReader(self._reader, function, digest, 0, True) as blob:
            for chunk in cut(blob):
                yield function.of(chunk)

    def _keep_chunks(self, function: DigestFunction, digest: Digest, chunks: list[Digest], chunking: int) -> None:
        """Let chunks that were found in a file be ranges of it, unless it is cut by now."""

        def work(db: sqlite.Connection, clock: Clock) -> None:
            row = self._row(db, function, digest)
            if row is None or row[1] != OWN or not row[2] or chunks_of_row(db, row[0]):
                return
            db.execute("UPDATE blobs SET chunking = ? WHERE id = ?", (chunking, row[0]))
            db.execute(_RENEW, (clock.now, clock.turn, row[0]))
            start = 0
            for chunk in chunks:
                known = self._row(db, function, chunk)
                if known is None:
                    id = _add(db, function, chunk, ROW + PART, clock, (RANGE, row[0], start, None))
                else:
                    id = known[0]
                    db.execute(_RENEW, (clock.now, clock.turn, id))
                db.execute("INSERT INTO parts VALUES (?, ?, ?)", (row[0], start, id))
                start += chunk.size_bytes

        self._room.add((ROW + PART) * len(set(chunks)), work)
        crashpoints.reached("split")
        while self._give_up_doubles(function, digest):
            pass

    def _give_up_doubles(self, function: DigestFunction, digest: Digest) -> bool:
        """Drop the files of chunks that lie in a larger file as well, a batch of them; say whether there were some."""
        with self._index.write() as db:
            self._pending.settle(db)
            row = self._row(db, function, digest)
            doubles = db.execute(_DOUBLE, row[:1]).fetchall() if row and row[1] == OWN and row[2] else []
            if row is None or not doubles:
                return False
            files = [
                place_of(function.name, bytes(hash).hex(), bool(packed))
                for _, hash, in_file, packed, _ in doubles
                if in_file
            ]
            self._pending.announce(files)
            for id, _, _, _, start in doubles:
                db.execute(_BECOME_RANGE, (row[0], start, ROW + PART, id))
            # A file is never older than what hangs on it.
            (newest,) = db.execute("SELECT max(used) FROM blobs WHERE source = ?", row[:1]).fetchone()
            (last,) = db.execute("SELECT max(turn) FROM blobs WHERE source = ?", row[:1]).fetchone()
            db.execute("UPDATE blobs SET used = max(used, ?), turn = max(turn, ?) WHERE id = ?", (newest, last, row[0]))
        crashpoints.reached("doubles-dropped")
        with self._index.write() as db:
            self._pending.settle(db)
        empty_trash(self._layout)
        return True

    def _learn(self, function: DigestFunction, digest: Digest, chunks: list[Digest], chunking: int) -> None:
        """Keep the client's chunks of a blob that is here uncut in a file, if they are what they are said to be."""
        if not 1 < len(chunks) <= MOST_PARTS or len(chunks) * INLINE > digest.size_bytes:
            return
        if self._is_file(function, digest) and self._known(function, digest) is None:
            with BlobReader(self._reader, function, digest, 0, True) as blob:
                right = _are_chunks(function, blob, chunks)
            if right:
                self._keep_chunks(function, digest, chunks, chunking)

    def _may_be_list(self, function: DigestFunction, chunks: list[Digest]) -> bool:
        """Whether chunks are worth keeping apart: not tiny, not too many, no lists themselves."""
        if len(chunks) > MOST_PARTS or len(chunks) * INLINE > sum(chunk.size_bytes for chunk in chunks):
            return False
        with self._index.read() as db:
            rows = [self._row(db, function, chunk) for chunk in set(chunks)]
        return all(row is None or row[1] != LIST for row in rows)

    def _verify(self, function: DigestFunction, digest: Digest, chunks: list[Digest]) -> None:
        state = function.new()
        for chunk in chunks:
            with BlobReader(self._reader, function, chunk, 0, False) as blob:
                for data in blob:
                    state.update(data)
        found = Digest(state.hexdigest(), digest.size_bytes)
        if found != digest:
            self._look_for_damage(function, chunks)
            raise DigestMismatch(self._layout.root, digest, found)

    def _look_for_damage(self, function: DigestFunction, chunks: list[Digest]) -> None:
        """Raise `BlobNotFound` if not the client is wrong, but a chunk here."""
        for chunk in dict.fromkeys(chunks):
            with BlobReader(self._reader, function, chunk, 0, True) as blob:
                for _ in blob:
                    pass

    def _copy(self, function: DigestFunction, digest: Digest, chunks: list[Digest]) -> None:
        with self._adder.writer(function, digest) as writer:
            for chunk in chunks:
                with BlobReader(self._reader, function, chunk, 0, False) as blob:
                    for data in blob:
                        writer.write(data)
            try:
                writer.commit()
            except DigestMismatch:
                self._look_for_damage(function, chunks)
                raise

    def _insert_list(self, function: DigestFunction, digest: Digest, chunks: list[Digest], chunking: int) -> None:
        charge = ROW + PART * len(chunks)

        def work(db: sqlite.Connection, clock: Clock) -> None:
            present = self._row(db, function, digest)
            if present is not None:
                db.execute(_RENEW, (clock.now, clock.turn, present[0]))
                return
            id = _add(db, function, digest, charge, clock, (LIST, None, None, chunking))
            start = 0
            for chunk in chunks:
                row = self._row(db, function, chunk)
                if row is None or row[1] == LIST:
                    raise BlobNotFound(self._layout.root, function, chunk)  # evicted since it was read
                db.execute("INSERT INTO parts VALUES (?, ?, ?)", (id, start, row[0]))
                start += chunk.size_bytes
            db.execute(_RENEW, (clock.now, clock.turn, id))  # and the chunks with it

        self._room.add(charge, work)


def _add(
    db: sqlite.Connection,
    function: DigestFunction,
    digest: Digest,
    charge: int,
    clock: Clock,
    form: tuple[int, int | None, int | None, int | None],
) -> int:
    """Insert a blob without bytes of its own; return its row."""
    key = (function.number, bytes.fromhex(digest.hash), digest.size_bytes, charge, clock.now, clock.turn)
    return int(db.execute(_ADD, (*key, *form)).lastrowid or 0)


def _are_chunks(function: DigestFunction, blob: BlobReader, chunks: list[Digest]) -> bool:
    """Whether chunks, which come to all of a blob, are what is in it; they may be of any size."""
    for chunk in chunks:
        state, left = function.new(), chunk.size_bytes
        while left and (data := blob.read(min(left, CHUNK))):
            state.update(data)
            left -= len(data)
        if left or state.hexdigest() != chunk.hash:
            return False
    return True
