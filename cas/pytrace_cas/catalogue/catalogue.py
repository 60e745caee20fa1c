# SPDX-License-Identifier: Apache-2.0
"""`Catalogue`: the actions of a store listed, searched and called by name."""

from __future__ import annotations

import os
import re
import sqlite3
import threading
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from pytrace_cas.catalogue import database
from pytrace_cas.catalogue.catching_up import catch_up
from pytrace_cas.catalogue.conditions import Conditions
from pytrace_cas.catalogue.extraction import LARGEST
from pytrace_cas.catalogue.pages import SORTS, Page, checked_page, read_page
from pytrace_cas.catalogue.query import InvalidQuery, Match, Query, path_match
from pytrace_cas.catalogue.references import AmbiguousReference, UnknownReference
from pytrace_cas.catalogue.rows import LIST, ActionRow
from pytrace_cas.catalogue.statistics import Statistics
from pytrace_cas.digest import Digest, MalformedDigest
from pytrace_cas.nondeterminism import known_of
from pytrace_cas.reapi import ActionResult
from pytrace_cas.recorded.candidates import index_digest, parse_index
from pytrace_cas.store import BlobNotFound, OutOfSpace, StoreBusy
from pytrace_cas.store.history import DAYS
from pytrace_cas.store.layout import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from pytrace_cas.catalogue.catching_up import Progress
    from pytrace_cas.store import Store

MOST = 1000
"""Rows of one page at most."""

COMMON = 10_000
"""Requests from which on a condition on them is asked of each action in turn, which ends when the page is full."""

_HEX = re.compile(r"[0-9a-f]{4,128}")


class CatalogueFailed(StoreError):
    """The catalogue can be neither used nor made anew; `why` is SQLite's word for it."""

    def __init__(self, path: bytes, why: str) -> None:
        shown = os.fsdecode(path)
        super().__init__(path, f"the catalogue of the store in {shown} failed ({why}); free disk space, or delete it")
        self.why = why


class Catalogue:
    """What is in a store. A context manager; any thread may call, one at a time is answered.

    Each question first brings the catalogue up to date, which takes long when it is made; `progress` is told how far
    that is. Nothing of the store is changed or renewed by asking.
    """

    def __init__(self, store: Store, progress: Progress | None = None) -> None:
        self._store = store
        self._progress = progress
        self._db: sqlite3.Connection | None = None
        self._inode = 0
        self._lock = threading.RLock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database; the next question would open it again."""
        with self._lock:
            if self._db is not None:
                self._db.close()
            self._db = None

    def refresh(self) -> None:
        """Bring the catalogue up to date, making it anew when it is damaged or gone."""
        with self._lock:
            self._fold()
            try:
                self._catch_up()
                return
            except database.Unusable:
                self.close()
            except sqlite3.DatabaseError as error:
                self.close()
                if not database.is_damage(error):
                    raise CatalogueFailed(self._store.path, str(error)) from error
            try:
                database.make(self._store)
                self._catch_up()
            except (database.Unusable, sqlite3.DatabaseError) as error:
                self.close()
                raise CatalogueFailed(self._store.path, str(error)) from error

    def actions(
        self, query: Query | None = None, sort: str = "time", limit: int = 100, cursor: str | None = None
    ) -> Page:
        """Actions that a query wants, the last stored, the largest or the most used first; raise `InvalidQuery`."""
        if sort not in SORTS:
            raise InvalidQuery(sort, f"sort by {', '.join(SORTS)}")
        query = query or Query()
        with self._lock:
            db = self._fresh()
            conditions = Conditions.of(query, _roots(db) if _names_path(query) else (), partial(_is_common, db))
            limit = max(1, min(limit, MOST))
            if query.nondeterministic:
                return checked_page(db, conditions, sort, limit, cursor, self._gave_others)
            return read_page(db, conditions, sort, limit, cursor)

    def reading(self, path: str, limit: int = 100, cursor: str | None = None) -> Page:
        """Actions that read a path, or looked at it: relative to the root, absolute, a glob, or a folder with `/`."""
        return self.actions(Query(reads=path_match(path)), limit=limit, cursor=cursor)

    def writing(self, path: str, limit: int = 100, cursor: str | None = None) -> Page:
        """Actions that made, changed or removed a path, as `reading` spells it."""
        return self.actions(Query(writes=path_match(path)), limit=limit, cursor=cursor)

    def count(self, query: Query | None = None) -> int:
        """How many actions a query wants."""
        with self._lock:
            db = self._fresh()
            conditions = Conditions.of(query or Query())
            counted = f"SELECT count(*) FROM actions a CROSS JOIN store.results r ON r.id = a.id WHERE {conditions}"
            return int(db.execute(counted, conditions.parameters).fetchone()[0])

    def resolve(self, reference: str, instance: str | None = None) -> ActionRow:
        """The action that a text names; raise `UnknownReference` or `AmbiguousReference`.

        A digest (HASH, HASH/SIZE, HASH-SIZE), the unique beginning of one (4 digits at least), `latest`, or a path
        that it wrote, as `writing` spells it: the one stored last. A list of path sets leads to its first result.
        """
        with self._lock:
            row = self.resolve_digest(reference, instance)
            if row is None and reference:
                where = None if instance is None else Match(instance)
                query = Query(writes=path_match(reference, exact=True), instance=where)
                row = next(iter(self.actions(query, limit=1).rows), None)
            if row is None:
                raise UnknownReference(reference)
            return row

    def resolve_digest(self, reference: str, instance: str | None = None) -> ActionRow | None:
        """As `resolve`, but for paths; None if there is no such digest."""
        with self._lock:
            db = self._fresh()
            if reference == "latest":
                rows = self.actions(Query(instance=None if instance is None else Match(instance)), limit=1).rows
            else:
                rows = self._by_digest(db, reference, instance)
            return self._led_to(rows[0]) if rows else None

    def statistics(self, since: float | None = None) -> Statistics:
        """What was counted by hour, of the last `since` seconds (90 days when not given)."""
        begin = int(time.time() - (DAYS * 86400 if since is None else since))
        self._fold()
        return Statistics.of(self._store.history.hours(begin), begin)

    # -- inside

    def _gave_others(self, row: ActionRow) -> bool:
        """Whether results of it are known whose outputs really differ."""
        return known_of(self._store, row.function, row.instance, row.digest) is not None

    def _fold(self) -> None:
        """Bring what was counted into the index; where that cannot be written now, it is told the next time."""
        with suppress(StoreBusy, OutOfSpace):
            self._store.fold()

    def _fresh(self) -> sqlite3.Connection:
        self.refresh()
        assert self._db is not None
        return self._db

    def _catch_up(self) -> None:
        if self._db is not None and self._inode and self._inode != database.inode(self._store):
            self.close()
        if self._db is None:
            self._db, self._inode = database.open_database(self._store)
        catch_up(self._db, self._store, self._progress)

    def _by_digest(self, db: sqlite3.Connection, reference: str, instance: str | None) -> tuple[ActionRow, ...]:
        """Results of a digest, or of the beginning of one."""
        try:
            digest = Digest.parse(reference.replace("-", "/"))
            low = high = bytes.fromhex(digest.hash)
            size: int | None = digest.size_bytes
        except (MalformedDigest, ValueError):
            if not _HEX.fullmatch(reference):
                return ()
            size = None
            low = bytes.fromhex(reference if len(reference) % 2 == 0 else reference + "0")
            high = bytes.fromhex(reference + "f" * (128 - len(reference)))
        conditions = Conditions()
        conditions.add("a.hash >= ? AND a.hash <= ?", low, high)
        if size is not None:
            conditions.add("a.size = ?", size)
        if instance is not None:
            conditions.add("a.instance = ?", instance)
        rows = read_page(db, conditions, "time", 6, None).rows
        if len({row.digest for row in rows}) > 1:
            real = tuple(row for row in rows if row.kind != LIST)
            if len({row.digest for row in real}) > 1 or not real:
                raise AmbiguousReference(reference, list(rows[:5]), len(rows) > 5)
            return real
        return rows

    def _led_to(self, row: ActionRow) -> ActionRow:
        """The result that a list of path sets last led to, if it is still there."""
        if row.kind != LIST:
            return row
        message = self._db.execute("SELECT message FROM store.results WHERE id = ?", (row.id,)).fetchone()  # type: ignore[union-attr]
        index = index_digest(ActionResult.decode(bytes(message[0]))) if message else None
        try:
            read = index is not None and index.size_bytes <= LARGEST
            sets = parse_index(self._store.peek(row.function, index)).sets if index is not None and read else []
        except BlobNotFound:
            return row
        for _, action in sets:
            for found in self._by_digest(self._fresh(), str(action), row.instance):
                return found
        return row


def _roots(db: sqlite3.Connection) -> list[str]:
    """Roots of results, to which an absolute path may belong."""
    return [row[0] for row in db.execute("SELECT DISTINCT root FROM actions WHERE root <> '' LIMIT 1000")]


def _names_path(query: Query) -> bool:
    return any(match is not None for match in (query.path, query.reads, query.writes))


def _is_common(db: sqlite3.Connection, condition: str, parameters: Sequence[str]) -> bool:
    """Whether a condition on the requests holds for so many that they are better not gathered first."""
    counted = f"SELECT count(*) FROM (SELECT 1 FROM store.requests q WHERE {condition} LIMIT {COMMON})"
    return bool(db.execute(counted, parameters).fetchone()[0] == COMMON)
