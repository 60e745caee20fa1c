# SPDX-License-Identifier: Apache-2.0
"""A new index in place of a damaged one, from what can be read of the old and from the files."""

from __future__ import annotations

import _sqlite3 as sqlite
import fcntl
import os
from typing import TYPE_CHECKING

import attrs

from pytrace_cas.digest import FUNCTIONS, Digest
from pytrace_cas.store.adding import DigestMismatch
from pytrace_cas.store.check import CheckReport, Problem
from pytrace_cas.store.history import COLUMNS as HISTORY_COLUMNS
from pytrace_cas.store.index import DEFAULT_MAX_SIZE, CorruptIndex, Index, StoreBusy
from pytrace_cas.store.layout import Layout, StoreNotWritable, remove, unique_name
from pytrace_cas.store.mark import mark
from pytrace_cas.store.pending import Pending
from pytrace_cas.store.reading import BlobNotFound
from pytrace_cas.store.results import OPAQUE, MissingBlobs
from pytrace_cas.store.schema import create_index
from pytrace_cas.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_SHARED_FIRST, _SHARED_SIZE = 0x40000002, 510  # the bytes of a database that each SQLite connection keeps locked
_BY_NUMBER = {function.number: function for function in FUNCTIONS.values()}


def check_directory(path: bytes | str, read_data: bool = False, repair: bool = False) -> CheckReport:
    """Check the store in a directory even if its index is damaged beyond opening; raise what `Store.open` does."""
    try:
        report = _check(path, read_data, repair)
    except CorruptIndex as error:
        report = CheckReport((Problem("index-damaged", str(error)),), 0, 0, 0, 0, 0, 0)
    damage = [problem for problem in report.problems if problem.code == "index-damaged"]
    if not damage or not repair:
        return report
    rebuild(Layout(os.path.abspath(os.fsencode(path))))
    after = _check(path, read_data, repair)
    mended = [attrs.evolve(problem, repaired=True) for problem in damage]
    return attrs.evolve(after, problems=(*mended, *after.problems))


def _check(path: bytes | str, read_data: bool, repair: bool) -> CheckReport:
    try:
        store = Store.open(path, create=False)
    except StoreNotWritable:
        if repair:
            raise
        store = Store.open(path, read_only=True)
    with store:
        return store.check(read_data, repair)


def rebuild(layout: Layout) -> None:
    """Put the index into quarantine and make a new one; raise `StoreBusy` if another process has the store open."""
    mark(layout)  # an older version's store has none, and nothing but its index says that it is one
    old = put_aside(layout)
    salvage = Salvage(old)
    try:
        create_index(layout, salvage.max_size())
        with Store.open(layout.root, min_lifetime=salvage.min_lifetime()) as store:
            salvage.restore_notes(store)
            salvage.restore_blobs(store)
            store.check(repair=True)  # indexes the files
            salvage.restore_parts(store)
            salvage.restore_results(store)
        salvage.restore_history(layout)
    finally:
        salvage.close()


def put_aside(layout: Layout) -> bytes:
    """Move the index into quarantine, return where it is; raise `StoreBusy` if another process has the store open.

    The catalogue goes first: a new index gives ids again that it has seen, and would not look at any more.
    """
    target = layout.quarantine + b"/index.sqlite-" + unique_name()
    fd = os.open(layout.index, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, _SHARED_SIZE, _SHARED_FIRST)
        for suffix in (b"", b"-wal", b"-shm"):
            remove(layout.catalogue + suffix)
        for suffix in (b"-shm", b"-wal", b""):
            if os.path.lexists(layout.index + suffix):
                os.rename(layout.index + suffix, target + suffix)
        # What it names has no row in a new index, and is a blob that was acknowledged all the same.
        pending = Pending(layout)
        pending.forget()
        pending.close()
    except (BlockingIOError, PermissionError):
        raise StoreBusy(layout.root) from None
    finally:
        os.close(fd)
    return target


class Salvage:
    """What can be read of a damaged index: each table up to its first damage."""

    def __init__(self, path: bytes) -> None:
        self._db = sqlite.connect(os.fsdecode(path), isolation_level=None)

    def close(self) -> None:
        """Let go of the damaged index."""
        self._db.close()

    def max_size(self) -> int:
        """The limit that the store had."""
        for (size,) in self._rows("SELECT max_size FROM store"):
            return int(size)
        return DEFAULT_MAX_SIZE

    def min_lifetime(self) -> int:
        """The seconds that it has promised to keep a blob; none in an index of format 1."""
        for (seconds,) in self._rows("SELECT min_lifetime FROM store"):
            return int(seconds)
        return 0

    def restore_notes(self, store: Store) -> None:
        """Settings, generations and notes."""
        for name, value in self._rows("SELECT name, value FROM settings"):
            store.set_setting(name, value)
        for scope, value in self._rows("SELECT scope, value FROM generations"):
            store.set_generation(scope, value)
        for kind, key, value in self._rows("SELECT kind, key, value FROM notes ORDER BY used"):
            store.remember(kind, key, value)

    def restore_history(self, layout: Layout) -> None:
        """Statistics and what happened, as they stand there."""
        index = Index(layout, fsync=False, read_only=False)
        try:
            with index.write() as db:
                for table, columns in HISTORY_COLUMNS.items():
                    marks = ", ".join("?" * len(columns))
                    rows = list(self._rows(f"SELECT {', '.join(columns)} FROM {table}"))
                    db.executemany(f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)
        finally:
            index.close()

    def restore_blobs(self, store: Store) -> None:
        """The blobs that live in the index and still have their digests."""
        for number, hash, size, data in self._rows("SELECT function, hash, size, data FROM blobs"):
            if number in _BY_NUMBER and data:
                try:
                    store.put(_BY_NUMBER[number], data, Digest(hash.hex(), size))
                except DigestMismatch:
                    continue

    def restore_parts(self, store: Store) -> None:
        """Ranges and lists, as far as what they depend on is here: ranges first, on which lists may hang."""
        query = (
            "SELECT id, function, hash, size, chunking FROM blobs WHERE id IN (SELECT whole FROM parts) ORDER BY form"
        )
        for id, number, hash, size, chunking in self._rows(query):
            chunks = (
                "SELECT c.hash, c.size FROM parts p JOIN blobs c ON c.id = p.chunk WHERE p.whole = ? ORDER BY p.start"
            )
            digests = self._digests(chunks, id)
            if number in _BY_NUMBER and digests:
                try:
                    store.splice(_BY_NUMBER[number], Digest(bytes(hash).hex(), size), digests, chunking or 0)
                except (BlobNotFound, DigestMismatch):
                    continue

    def restore_results(self, store: Store) -> None:
        """The results whose references can be read and whose blobs are here."""
        query = "SELECT id, instance, function, hash, size, complete, message FROM results"
        for id, instance, number, hash, size, complete, message in self._rows(query):
            needs = self._needs(id)
            if number == OPAQUE:
                store.put_opaque(instance, os.fsdecode(hash), message)
            elif number in _BY_NUMBER and needs is not None:
                try:
                    store.put_action_result(
                        _BY_NUMBER[number],
                        instance,
                        Digest(hash.hex(), size),
                        message,
                        needs,
                        allow_missing=not complete,
                    )
                except MissingBlobs:
                    continue

    def _needs(self, id: int) -> list[Digest] | None:
        return self._digests("SELECT hash, size FROM refs WHERE result = ?", id)

    def _digests(self, query: str, id: int) -> list[Digest] | None:
        try:
            rows = self._db.execute(query, (id,)).fetchall()
        except sqlite.Error:
            return None
        return [Digest(bytes(hash).hex(), size) for hash, size in rows]

    def _rows(self, query: str) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self._db.execute(query)
        except sqlite.Error:
            return  # the rest of the table cannot be read
