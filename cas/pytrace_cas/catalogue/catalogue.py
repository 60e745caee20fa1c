# SPDX-License-Identifier: Apache-2.0
"""`Catalogue`: the actions of a store listed, searched and called by name."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import attrs

from pytrace_cas.catalogue import database
from pytrace_cas.catalogue.catching_up import catch_up
from pytrace_cas.catalogue.conditions import Conditions
from pytrace_cas.catalogue.extraction import LARGEST
from pytrace_cas.catalogue.query import InvalidQuery, Match, Query, path_match
from pytrace_cas.catalogue.references import AmbiguousReference, UnknownReference
from pytrace_cas.catalogue.rows import LIST, ActionRow
from pytrace_cas.catalogue.statistics import Statistics
from pytrace_cas.digest import FUNCTIONS, Digest, MalformedDigest
from pytrace_cas.nondeterminism import nondeterministic
from pytrace_cas.reapi import ActionResult
from pytrace_cas.recorded.candidates import index_digest, parse_index
from pytrace_cas.store import BlobNotFound, OutOfSpace, StoreBusy
from pytrace_cas.store.history import DAYS
from pytrace_cas.store.layout import StoreError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from pytrace_cas.catalogue.catching_up import Progress
    from pytrace_cas.store import Store

SORTS = {"time": "a.id", "size": "a.output_size", "hits": "ifnull(h.hits, 0)"}
MOST = 1000
"""Rows of one page at most."""

_BY_NUMBER = {function.number: function for function in FUNCTIONS.values()}
_HEX = re.compile(r"[0-9a-f]{4,128}")
_FIELDS = ("target", "mnemonic", "tool", "invocation")
_REQUEST = """(SELECT q.{0} FROM store.requests q WHERE q.function = a.function AND q.hash = a.hash
AND q.instance = a.instance AND q.size = a.size AND q.{0} <> '' ORDER BY q.kind DESC LIMIT 1)"""
_FROM = """FROM actions a CROSS JOIN store.results r ON r.id = a.id AND r.hash = a.hash
LEFT JOIN store.hits h ON h.function = a.function AND h.hash = a.hash AND h.instance = a.instance AND h.size = a.size
"""
_SELECT = f"""SELECT a.id, a.instance, a.function, a.hash, a.size, a.kind, a.program, a.command, a.cwd, a.exit_code,
r.stored, r.used, ifnull(h.hits, 0), ifnull(h.last, 0), a.output_size, a.inputs, a.outputs, a.root, a.labels,
a.target, a.mnemonic, {", ".join(_REQUEST.format(name) for name in _FIELDS)}
{_FROM}"""


class CatalogueFailed(StoreError):
    """The catalogue can be neither used nor made anew; `why` is SQLite's word for it."""

    def __init__(self, path: bytes, why: str) -> None:
        shown = os.fsdecode(path)
        super().__init__(path, f"the catalogue of the store in {shown} failed ({why}); free disk space, or delete it")
        self.why = why


@attrs.frozen
class Page:
    """Rows in the order that was asked for; `cursor` goes on behind them, None at the end."""

    rows: tuple[ActionRow, ...]
    cursor: str | None


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
            conditions = Conditions.of(query, _roots(db) if _names_path(query) else ())
            if query.nondeterministic:
                found = (one.action.hash for one in nondeterministic(self._store))
                conditions.add("lower(hex(a.hash)) IN (SELECT value FROM json_each(?))", json.dumps(list(found)))
            return self._page(db, conditions, sort, max(1, min(limit, MOST)), cursor)

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

    def _page(self, db: sqlite3.Connection, conditions: Conditions, sort: str, limit: int, cursor: str | None) -> Page:
        key = SORTS[sort]
        if cursor is not None:
            value, id = _read_cursor(cursor)
            if sort == "time":
                conditions.add("a.id < ?", id)
            else:
                conditions.add(f"({key}, a.id) < (?, ?)", value, id)
        order = "a.id DESC" if sort == "time" else f"{key} DESC, a.id DESC"
        # The rows of the page are chosen first: what else is told of a row is then asked for these alone.
        chosen = f"SELECT a.id {_FROM} WHERE {conditions} ORDER BY {order} LIMIT ?"
        query = f"{_SELECT} WHERE a.id IN ({chosen}) ORDER BY {order}"
        found = [_row(row) for row in db.execute(query, (*conditions.parameters, limit + 1))]
        rows = tuple(found[:limit])
        if len(found) <= limit:
            return Page(rows, None)
        last = rows[-1]
        return Page(rows, f"{ {'time': last.id, 'size': last.size, 'hits': last.hits}[sort] }.{last.id}")

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
        rows = self._page(db, conditions, "time", 6, None).rows
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


def _read_cursor(cursor: str) -> tuple[int, int]:
    value, dot, id = cursor.partition(".")
    if not dot or not value.isdecimal() or not id.isdecimal() or len(cursor) > 40:
        raise InvalidQuery(cursor, "give a cursor as the page before told it")
    return int(value), int(id)


def _row(row: tuple[Any, ...]) -> ActionRow:
    held = dict(zip(("target", "mnemonic"), row[19:21], strict=True))
    said = dict(zip(_FIELDS, row[21:25], strict=True))
    return ActionRow(
        id=row[0],
        instance=row[1],
        function=_BY_NUMBER[row[2]],
        digest=Digest(bytes(row[3]).hex(), row[4]),
        kind=row[5],
        program=row[6],
        command=row[7],
        cwd=row[8],
        exit_code=row[9],
        stored=row[10],
        used=row[11],
        hits=row[12],
        last_hit=row[13],
        size=row[14],
        inputs=row[15],
        outputs=row[16],
        root=row[17],
        labels=json.loads(row[18]) if row[18] else {},
        **{name: said[name] or held.get(name, "") for name in _FIELDS},
    )
