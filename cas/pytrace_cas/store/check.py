# SPDX-License-Identifier: Apache-2.0
"""`check`: prove a store's invariants, at rest or in use, and mend what does not hold.

What looks wrong is looked at again under the write lock before it is reported: a store in use changes meanwhile.
"""

from __future__ import annotations

import os
import time
from functools import partial
from typing import TYPE_CHECKING

import attrs

from pytrace_cas.digest import FUNCTIONS, Digest, DigestFunction, MalformedDigest
from pytrace_cas.store.index import CorruptIndex
from pytrace_cas.store.layout import place_of
from pytrace_cas.store.packed import PackedFile
from pytrace_cas.store.parts import LIST, are_whole, chunks_of_row
from pytrace_cas.store.pending import has_file, is_place, places_of
from pytrace_cas.store.reading import CHUNK, DamagedPack, read_at
from pytrace_cas.store.reservations import KEPT_SECONDS
from pytrace_cas.store.staging import changed, feed, files_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytrace_cas.store.index import Index
    from pytrace_cas.store.layout import Layout
    from pytrace_cas.store.pending import Pending
    from pytrace_cas.store.reading import Reader

    Damage = Callable[[DigestFunction, Digest], str | None]

_PAGE = 500  # rows looked at by one statement
_BY_NUMBER = {function.number: function for function in FUNCTIONS.values()}

_TOTALS = """SELECT (SELECT count(*) FROM blobs), (SELECT count(*) FROM results),
(SELECT ifnull(sum(charge), 0) FROM blobs) + (SELECT ifnull(sum(charge), 0) FROM results), blobs, results, bytes
FROM store"""
_DANGLING = "SELECT DISTINCT result FROM refs WHERE result NOT IN (SELECT id FROM results)"
_INCOMPLETE = """SELECT DISTINCT r.id, r.function, r.hash, r.size FROM results r JOIN refs f ON f.result = r.id
WHERE r.complete AND NOT EXISTS
(SELECT 1 FROM blobs b WHERE b.function = r.function AND b.hash = f.hash AND b.size = f.size)"""
_LOOSE = """SELECT DISTINCT whole FROM parts
WHERE whole NOT IN (SELECT id FROM blobs) OR chunk NOT IN (SELECT id FROM blobs)"""
_RANGE_IS_RIGHT = """SELECT 1 FROM blobs b JOIN blobs s ON s.id = b.source
WHERE b.id = ? AND s.form = 0 AND s.function = b.function AND b.start >= 0 AND b.start + b.size <= s.size"""
# Where the bytes of a row are that is no list.
_PLACE = """SELECT b.function, b.size, ifnull(b.start, 0), iif(s.id IS NULL, b.data, s.data), b.form,
ifnull(s.hash, b.hash), ifnull(s.size, b.size), iif(s.id IS NULL, b.packed, s.packed)
FROM blobs b LEFT JOIN blobs s ON s.id = b.source WHERE b.id = ?"""


@attrs.frozen
class Problem:
    """One thing that does not hold.

    `code` is one of index-damaged, row-malformed, file-missing, file-size, data-corrupt, file-unindexed, file-stray,
    parts-wrong, parts-dangling, totals-wrong, refs-dangling, result-incomplete. `path` is relative to the store.
    """

    code: str
    message: str
    function: str | None = None
    digest: Digest | None = None
    path: bytes | None = None
    row: int | None = None
    repaired: bool = False


@attrs.frozen
class CheckReport:
    """What was looked at, and every problem. `leftovers` are files of killed processes, which a writer sweeps.

    `uploads` are unfinished and can still be gone on with.
    """

    problems: tuple[Problem, ...]
    blobs: int
    results: int
    files: int
    bytes: int
    leftovers: int
    uploads: int

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong now."""
        return all(problem.repaired for problem in self.problems)


def check_store(
    layout: Layout, index: Index, reader: Reader, pending: Pending, read_data: bool, repair: bool
) -> CheckReport:
    """Look at everything, and with `repair` mend each problem when it is found."""
    checker = Checker(layout, index, pending, read_data)
    found = list(checker.problems())
    if repair:
        from pytrace_cas.store.repair import Repairer

        repairer = Repairer(layout, index, reader, pending)
        found = [repairer.mend(problem) for problem in found]
    results, used = (0, 0) if checker.damaged else checker.totals()
    return CheckReport(tuple(found), checker.blobs, results, checker.files, used, *checker.leftovers())


class Checker:
    """Looks for problems in one store; changes nothing but to finish what a killed process left in `pending`."""

    def __init__(self, layout: Layout, index: Index, pending: Pending, read_data: bool) -> None:
        self._layout = layout
        self._index = index
        self._pending = pending
        self._read_data = read_data
        self.blobs = 0
        self.files = 0
        self.damaged = False

    def problems(self) -> Iterator[Problem]:
        """Every problem, one after the other; damage to the index itself ends the search."""
        try:
            yield from self._index_problems()
            if self.damaged:
                return
            yield from self._row_problems()
            yield from self._file_problems()
            yield from self._result_problems()
            yield from self._total_problems()
        except CorruptIndex as error:
            self.damaged = True
            yield Problem("index-damaged", f"SQLite finds the index damaged: {error.why}")

    def totals(self) -> tuple[int, int]:
        """Results and bytes, by the index's own account."""
        with self._index.read() as db:
            results, used = db.execute("SELECT results, bytes FROM store").fetchone()
        return results, used

    def leftovers(self) -> tuple[int, int]:
        """Files in `tmp/`, the trash and of uploads that are over their time; those of uploads that are not."""
        uploads = files_in(self._layout.uploads)
        over = sum(abs(time.time() - changed(path)) >= KEPT_SECONDS for path in uploads)
        left = len(files_in(self._layout.tmp)) + len(files_in(self._layout.trash)) + over
        return left, len(uploads) - over

    def _index_problems(self) -> Iterator[Problem]:
        with self._index.read() as db:
            answers = db.execute("PRAGMA integrity_check(10)").fetchall()
        for (answer,) in answers:
            if answer != "ok":
                self.damaged = True
                yield Problem("index-damaged", f"SQLite finds the index damaged: {answer}")

    def _row_problems(self) -> Iterator[Problem]:
        query = f"""SELECT id, function, hash, size, data IS NULL, packed, form FROM blobs
        WHERE id > ? ORDER BY id LIMIT {_PAGE}"""
        last = 0
        while True:
            with self._index.read() as db:
                rows = db.execute(query, (last,)).fetchall()
            if not rows:
                return
            last = rows[-1][0]
            self.blobs += len(rows)
            for row in rows:
                function = _BY_NUMBER.get(row[1])
                if function is not None:  # a later version may know more functions
                    digest, in_file = Digest(bytes(row[2]).hex(), row[3]), bool(row[4] and not row[6])
                    damage: Damage = self._damage_of_parts if row[6] else self._damage_of_data
                    if in_file:
                        damage = partial(self._damage_of_file, packed=row[5])
                    place = place_of(function.name, digest.hash, row[5] is not None) if in_file else None
                    yield from self._blob_problems(row[0], function, digest, damage, place)

    def _blob_problems(
        self, id: int, function: DigestFunction, digest: Digest, damage: Damage, place: str | None
    ) -> Iterator[Problem]:
        try:
            function.check(digest)
        except MalformedDigest as error:
            yield Problem("row-malformed", f"row {id} of blobs names no blob: {error}", row=id)
            return
        code = damage(function, digest)
        # A blob that was evicted meanwhile has lost its row first; one that is back since has its file again.
        if code and self._has_row(id, function, digest) and damage(function, digest):
            path = _shown(place) if place else None
            yield Problem(code, f"{function.name}:{digest} {_SAID[code]}", function.name, digest, path, id)

    def _damage_of_file(self, function: DigestFunction, digest: Digest, packed: int | None) -> str | None:
        path = self._layout.blob(place_of(function.name, digest.hash, packed is not None))
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return "file-missing"
        try:
            if os.fstat(fd).st_size != (digest.size_bytes if packed is None else packed):
                return "file-size"
            if packed is not None:
                return self._damage_of_frames(function, digest, fd)
            state = function.new()
            if self._read_data and (feed(fd, state), state.hexdigest()) != (digest.size_bytes, digest.hash):
                return "data-corrupt"
        finally:
            os.close(fd)
        return None

    def _damage_of_frames(self, function: DigestFunction, digest: Digest, fd: int) -> str | None:
        state = function.new()
        try:
            frames = PackedFile(fd, digest.size_bytes)
            if not self._read_data:
                return None
            for data in frames:
                state.update(data)
        except DamagedPack:
            return "data-corrupt"
        return None if state.hexdigest() == digest.hash else "data-corrupt"

    def _damage_of_data(self, function: DigestFunction, digest: Digest) -> str | None:
        query = "SELECT length(data), data FROM blobs WHERE function = ? AND hash = ? AND data IS NOT NULL AND form = 0"
        with self._index.read() as db:
            row = db.execute(query, (function.number, bytes.fromhex(digest.hash))).fetchone()
        if row is None or (row[0] == digest.size_bytes and not self._read_data):
            return None
        return None if function.of(bytes(row[1])) == digest else "data-corrupt"

    def _damage_of_parts(self, function: DigestFunction, digest: Digest) -> str | None:
        key = (function.number, bytes.fromhex(digest.hash))
        with self._index.read() as db:
            row = db.execute("SELECT id, form FROM blobs WHERE function = ? AND hash = ? AND form <> 0", key).fetchone()
            if row is None:
                return None
            wrong = db.execute(_RANGE_IS_RIGHT, row[:1]).fetchone() is None
            if row[1] == LIST:
                wrong = not are_whole(chunks_of_row(db, row[0]), digest.size_bytes)
        if wrong or not self._read_data:
            return "parts-wrong" if wrong else None
        try:
            state = function.new()
            for data in self._bytes_of(row[0]):
                state.update(data)
        except (OSError, DamagedPack):
            return "data-corrupt"  # a file that is missing is told of as well
        return None if state.hexdigest() == digest.hash else "data-corrupt"

    def _bytes_of(self, id: int) -> Iterator[bytes]:
        """What a row stands for, as far as it can be had; nothing is dropped on the way."""
        with self._index.read() as db:
            row = db.execute(_PLACE, (id,)).fetchone()
            chunks = db.execute("SELECT chunk FROM parts WHERE whole = ? ORDER BY start", (id,)).fetchall()
        if row is None:
            return
        number, size, start, data, form, hash, source_size, packed = row
        if form == LIST:
            for (chunk,) in chunks:
                yield from self._bytes_of(chunk)
        elif data is not None:
            yield bytes(data)[start : start + size]
        else:
            place = place_of(_BY_NUMBER[number].name, bytes(hash).hex(), packed is not None)
            fd = os.open(self._layout.blob(place), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                file = fd if packed is None else PackedFile(fd, source_size)
                while size and (piece := read_at(file, min(size, CHUNK), start)):
                    yield piece
                    start += len(piece)
                    size -= len(piece)
            finally:
                os.close(fd)

    def _has_row(self, id: int, function: DigestFunction, digest: Digest) -> bool:
        query = "SELECT 1 FROM blobs WHERE id = ? AND function = ? AND hash = ?"
        with self._index.read() as db:
            key = (id, function.number, bytes.fromhex(digest.hash))
            return db.execute(query, key).fetchone() is not None

    def _file_problems(self) -> Iterator[Problem]:
        for folder, _, names in os.walk(self._layout.cas):
            for name in names:
                self.files += 1
                place = os.fsdecode((folder + b"/" + name)[len(self._layout.cas) + 1 :])
                if is_place(place):
                    if not self._is_indexed(place):
                        code = "file-unindexed"
                        yield Problem(code, f"cas/{place} {_SAID[code]}", place.partition("/")[0], path=_shown(place))
                elif "/" not in place or place.partition("/")[0] in FUNCTIONS:
                    yield Problem("file-stray", f"cas/{place} {_SAID['file-stray']}", path=_shown(place))

    def _is_indexed(self, place: str) -> bool:
        """Whether a file has a row or is gone meanwhile; looked at again while nothing can move."""
        with self._index.read() as db:
            if has_file(db, place):
                return True
        if self._index.read_only:
            return place in places_of(self._layout)
        with self._index.write() as db:
            self._pending.settle(db)
            return has_file(db, place) or not os.path.lexists(self._layout.blob(place))

    def _result_problems(self) -> Iterator[Problem]:
        with self._index.read() as db:
            dangling = db.execute(_DANGLING).fetchall()
            incomplete = db.execute(_INCOMPLETE).fetchall()
            loose = db.execute(_LOOSE).fetchall()
        for (id,) in loose:
            yield Problem(
                "parts-dangling", f"parts of blob {id}, which is not there, or of which a chunk is not", row=id
            )
        for (id,) in dangling:
            yield Problem("refs-dangling", f"references of result {id}, which is not there", row=id)
        for id, number, hash, size in incomplete:
            function, digest = _BY_NUMBER.get(number), Digest(bytes(hash).hex(), size)
            name = function.name if function else str(number)
            yield Problem(
                "result-incomplete", f"result {name}:{digest} needs a blob that is gone", name, digest, row=id
            )

    def _total_problems(self) -> Iterator[Problem]:
        with self._index.read() as db:
            row = db.execute(_TOTALS).fetchone()
        if row[:3] != row[3:]:
            yield Problem("totals-wrong", f"blobs, results and bytes are {row[:3]}, the index says {row[3:]}")


_SAID = {
    "data-corrupt": "does not have its digest",
    "file-missing": "has no file",
    "file-size": "has a file of another size",
    "file-stray": "is no blob's file",
    "file-unindexed": "is not in the index",
    "parts-wrong": "does not come to its size, or depends on what is not there",
}


def _shown(place: str) -> bytes:
    return b"cas/" + os.fsencode(place)
