# SPDX-License-Identifier: Apache-2.0
"""`check --repair`: mend each problem without losing what is good.

Files without a row are indexed once they are hashed; rows without good bytes go, with the results that need them.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import attrs

from pytrace_cas.digest import FUNCTIONS, Digest, DigestFunction
from pytrace_cas.store.ages import clock_of
from pytrace_cas.store.layout import PACKED, move, unique_name
from pytrace_cas.store.packed import PackedFile, size_of
from pytrace_cas.store.pending import has_file
from pytrace_cas.store.reading import BlobNotFound, BlobReader, DamagedPack
from pytrace_cas.store.room import charge_of_blob
from pytrace_cas.store.staging import feed

if TYPE_CHECKING:
    import _sqlite3 as sqlite

    from pytrace_cas.store.check import Problem
    from pytrace_cas.store.index import Index
    from pytrace_cas.store.layout import Layout
    from pytrace_cas.store.pending import Pending
    from pytrace_cas.store.reading import Reader

_RECOUNT = """UPDATE store SET blobs = (SELECT count(*) FROM blobs), results = (SELECT count(*) FROM results),
bytes = (SELECT ifnull(sum(charge), 0) FROM blobs) + (SELECT ifnull(sum(charge), 0) FROM results)"""


class Repairer:
    """Mends one store, at rest or in use."""

    def __init__(self, layout: Layout, index: Index, reader: Reader, pending: Pending) -> None:
        self._layout = layout
        self._index = index
        self._reader = reader
        self._pending = pending

    def mend(self, problem: Problem) -> Problem:
        """Mend one problem; return it with `repaired` as it turned out."""
        match problem.code:
            case "file-missing" | "file-size" | "data-corrupt":
                self._drop_damaged(problem)
            case "file-unindexed":
                self._index_file(problem)
            case "file-stray":
                self._quarantine(problem.path or b"")
            case "row-malformed":
                self._execute("DELETE FROM blobs WHERE id = ?", problem.row)
            case "parts-wrong":
                self._execute("DELETE FROM blobs WHERE id = ? AND form <> 0", problem.row)
            case "parts-dangling":
                self._execute("DELETE FROM parts WHERE whole = ?", problem.row)
            case "refs-dangling":
                self._execute("DELETE FROM refs WHERE result = ?", problem.row)
            case "result-incomplete":
                self._execute("DELETE FROM results WHERE id = ?", problem.row)
            case "totals-wrong":
                self._execute(_RECOUNT)
            case _:
                return problem  # index-damaged: `rebuild`, which needs the store for itself
        return attrs.evolve(problem, repaired=True)

    def _execute(self, statement: str, *values: object) -> None:
        with self._index.write() as db:
            db.execute(statement, values)

    def _drop_damaged(self, problem: Problem) -> None:
        """Read the blob through: what the reader finds wrong it drops, unless it has become good meanwhile."""
        assert problem.function is not None
        assert problem.digest is not None
        try:
            with BlobReader(self._reader, FUNCTIONS[problem.function], problem.digest, 0, True) as blob:
                for _ in blob:
                    pass
        except BlobNotFound:
            return

    def _index_file(self, problem: Problem) -> None:
        assert problem.path is not None
        path = self._layout.root + b"/" + problem.path
        place = os.fsdecode(problem.path).removeprefix("cas/")
        function = FUNCTIONS[place.partition("/")[0]]
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return
        try:
            is_packed = place.endswith(PACKED)
            digest = _digest_of(function, fd, is_packed)
            if digest.hash != place.rpartition("/")[2].removesuffix(PACKED) or not digest.size_bytes:
                self._quarantine(problem.path)
                return
            with self._index.write() as db:
                self._pending.settle(db)
                same = os.path.lexists(path) and os.path.samestat(os.lstat(path), os.fstat(fd))
                if not same or has_file(db, place):
                    return
                if _has_row(db, function.number, digest):
                    self._quarantine(problem.path)  # the row has its bytes elsewhere, or in another form
                else:
                    _insert(db, function.number, digest, os.fstat(fd).st_size, is_packed)
        finally:
            os.close(fd)

    def _quarantine(self, path: bytes) -> None:
        try:
            move(self._layout.root + b"/" + path, _quarantined(self._layout, path))
        except FileNotFoundError:
            return


def _quarantined(layout: Layout, name: bytes) -> bytes:
    return layout.quarantine + b"/" + name.replace(b"/", b"-") + b"-" + unique_name()


def _digest_of(function: DigestFunction, fd: int, is_packed: bool) -> Digest:
    """Digest of the blob that a file holds; of frames that are damaged, the empty blob's."""
    state = function.new()
    if not is_packed:
        size = feed(fd, state)
        return Digest(state.hexdigest(), size)
    try:
        size = size_of(fd)
        for data in PackedFile(fd, size):
            state.update(data)
    except DamagedPack:
        return function.empty_digest()
    return Digest(state.hexdigest(), size)


def _has_row(db: sqlite.Connection, number: int, digest: Digest) -> bool:
    query = "SELECT 1 FROM blobs WHERE function = ? AND hash = ?"
    return db.execute(query, (number, bytes.fromhex(digest.hash))).fetchone() is not None


def _insert(db: sqlite.Connection, number: int, digest: Digest, file_size: int, is_packed: bool) -> None:
    clock = clock_of(db)
    charge = charge_of_blob(file_size, False)
    packed = file_size if is_packed else None
    row = (number, bytes.fromhex(digest.hash), digest.size_bytes, charge, clock.now, clock.turn, packed)
    db.execute("INSERT INTO blobs (function, hash, size, charge, used, turn, packed) VALUES (?, ?, ?, ?, ?, ?, ?)", row)
