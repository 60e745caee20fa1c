# SPDX-License-Identifier: Apache-2.0
"""Blobs that have no bytes of their own: ranges of another blob's file, and lists of chunks. Reading them.

A range depends on its file, a list on its chunks, of which some may be ranges; triggers (`schema.PARTS`) drop what
depends with what it depends on, and renew what is depended on with what depends. So a row is enough to say that a
blob is here, whatever its form.
"""

from __future__ import annotations

from bisect import bisect_right

from pytrace_cas.digest import Digest
from pytrace_cas.store.reading import BlobNotFound, BlobReader

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _sqlite3 as sqlite

    from pytrace_cas.digest import DigestFunction
    from pytrace_cas.store.index import Index
    from pytrace_cas.store.reading import Reader

OWN, RANGE, LIST = 0, 1, 2  # `blobs.form`

_SOURCE = """SELECT s.hash, s.size, b.start FROM blobs b JOIN blobs s ON s.id = b.source
WHERE b.id = ? AND b.form = 1 AND s.form = 0"""
_CHUNKS = """SELECT p.start, c.hash, c.size FROM parts p JOIN blobs c ON c.id = p.chunk
WHERE p.whole = ? ORDER BY p.start"""


class Range:
    """Part of another blob, which is open, and readable when it is evicted."""

    __slots__ = ("_digest", "_function", "_reader", "_source", "_start")
    fd = None

    def __init__(
        self, reader: Reader, function: DigestFunction, digest: Digest, source: BlobReader, start: int
    ) -> None:
        self._reader = reader
        self._function = function
        self._digest = digest
        self._source = source
        self._start = start

    def pread(self, count: int, offset: int) -> bytes:
        """At most `count` bytes from an offset; none behind the end."""
        try:
            return self._source.pread(max(0, min(count, self._digest.size_bytes - offset)), self._start + offset)
        except BlobNotFound as error:
            raise type(error)(self._reader.layout.root, self._function, self._digest) from None

    def close(self) -> None:
        """Let go of the other blob."""
        self._source.close()


class Joined:
    """Chunks one after the other, each opened when it is reached: one that went meanwhile is `BlobNotFound`."""

    __slots__ = ("_chunks", "_digest", "_function", "_open", "_position", "_reader", "_starts")
    fd = None

    def __init__(
        self, reader: Reader, function: DigestFunction, digest: Digest, chunks: list[tuple[int, Digest]]
    ) -> None:
        self._reader = reader
        self._function = function
        self._digest = digest
        self._starts = [start for start, _ in chunks]
        self._chunks = [chunk for _, chunk in chunks]
        self._position = -1
        self._open: BlobReader | None = None

    def pread(self, count: int, offset: int) -> bytes:
        """At most `count` bytes of one chunk from an offset; none behind the end."""
        if offset >= self._digest.size_bytes or not count:
            return b""
        position = bisect_right(self._starts, offset) - 1
        try:
            if position != self._position or self._open is None:
                self.close()
                self._open = BlobReader(self._reader, self._function, self._chunks[position], 0, False)
                self._position = position
            return self._open.pread(count, offset - self._starts[position])
        except BlobNotFound as error:
            raise type(error)(self._reader.layout.root, self._function, self._digest) from None

    def close(self) -> None:
        """Let go of the chunk that is open."""
        if self._open is not None:
            self._open.close()
            self._open = None


def open_parts(
    reader: Reader, index: Index, function: DigestFunction, digest: Digest, id: int, form: int
) -> Range | Joined | None:
    """Open a range or a list; None if it changed meanwhile, or depends on what is not there."""
    if form == LIST:
        with index.read() as db:
            chunks = chunks_of_row(db, id)
        return Joined(reader, function, digest, chunks) if are_whole(chunks, digest.size_bytes) else None
    with index.read() as db:
        row = db.execute(_SOURCE, (id,)).fetchone()
    if row is None or row[2] + digest.size_bytes > row[1]:
        return None
    try:
        source = BlobReader(reader, function, Digest(bytes(row[0]).hex(), row[1]), 0, False)
    except BlobNotFound:
        return None
    return Range(reader, function, digest, source, row[2])


def chunks_of_row(db: sqlite.Connection, id: int) -> list[tuple[int, Digest]]:
    """The chunks of a blob and where in it they begin, in order; none if it is not cut."""
    return [(start, Digest(bytes(hash).hex(), size)) for start, hash, size in db.execute(_CHUNKS, (id,))]


def are_whole(chunks: list[tuple[int, Digest]], size: int) -> bool:
    """Whether chunks follow one another and come to that size."""
    end = 0
    for start, chunk in chunks:
        if start != end:
            return False
        end += chunk.size_bytes
    return bool(chunks) and end == size


def drop_damaged(reader: Reader, index: Index, function: DigestFunction, digest: Digest) -> None:
    """Drop a range or a list that does not have its digest, after what it depends on has been looked at.

    What is damaged of that goes to quarantine, and takes along all that depends on it. If it is all good, then the row
    is wrong; it goes unless it says something else by now, written anew by another process, maybe under the same id.
    """
    with index.read() as db:
        before = _said_of(db, function, digest)
    if before is None:
        return
    if all(_is_good(reader, function, one) for one in dict.fromkeys(depends for _, depends in before[1])):
        with index.write() as db:
            if _said_of(db, function, digest) == before:
                db.execute("DELETE FROM blobs WHERE id = ?", before[:1])


def _said_of(
    db: sqlite.Connection, function: DigestFunction, digest: Digest
) -> tuple[int, list[tuple[int, Digest]]] | None:
    """The row of a range or a list, and the blobs that it takes its bytes from; None if there is none."""
    key = (function.number, bytes.fromhex(digest.hash))
    row = db.execute("SELECT id FROM blobs WHERE function = ? AND hash = ? AND form <> 0", key).fetchone()
    if row is None:
        return None
    sources = [(start, Digest(bytes(hash).hex(), size)) for hash, size, start in db.execute(_SOURCE, row)]
    return row[0], sources + chunks_of_row(db, row[0])


def _is_good(reader: Reader, function: DigestFunction, digest: Digest) -> bool:
    try:
        with BlobReader(reader, function, digest, 0, True) as blob:
            for _ in blob:
                pass
    except BlobNotFound:
        return False
    return True
