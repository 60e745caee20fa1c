# SPDX-License-Identifier: Apache-2.0
"""The rows of one page: chosen by their order first, then told in full."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any

import attrs

from pytrace_cas.catalogue.query import InvalidQuery
from pytrace_cas.catalogue.rows import ActionRow
from pytrace_cas.digest import FUNCTIONS, Digest

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytrace_cas.catalogue.conditions import Conditions

SORTS = {"time": "a.id", "size": "a.output_size", "hits": "h.hits"}
MOST_HITS = MOST_ID = (1 << 63) - 1

_BY_NUMBER = {function.number: function for function in FUNCTIONS.values()}
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
# The hits of a result that is so far down among the most used, and what has as many or more.
_LEAST = "SELECT hits FROM store.hits WHERE hits <= ? ORDER BY hits DESC LIMIT 1 OFFSET ?"
_AMONG = """a.id IN (SELECT b.id FROM store.hits q CROSS JOIN actions b ON b.hash = q.hash
AND b.function = q.function AND b.instance = q.instance AND b.size = q.size WHERE q.hits >= ? AND q.hits <= ?)"""
_SPARE = 50


@attrs.frozen
class Page:
    """Rows in the order that was asked for; `cursor` goes on behind them, None at the end."""

    rows: tuple[ActionRow, ...]
    cursor: str | None


def read_page(db: sqlite3.Connection, conditions: Conditions, sort: str, limit: int, cursor: str | None) -> Page:
    """The rows for which conditions hold, behind a cursor; raise `InvalidQuery` for one that is none."""
    after = None if cursor is None else _read_cursor(cursor)
    if sort == "hits":
        found = _by_hits(db, conditions, limit, after or (MOST_HITS, MOST_ID))
    else:
        if after is not None:
            by_id = sort == "time"
            condition = "a.id < ?" if by_id else f"({SORTS[sort]}, a.id) < (?, ?)"
            conditions = conditions.narrowed(condition, *(after[1:] if by_id else after))
        found = _rows(db, conditions, sort, limit)
    rows = tuple(found[:limit])
    return Page(rows, None if len(found) <= limit else _cursor_behind(rows[-1], sort))


def checked_page(
    db: sqlite3.Connection,
    conditions: Conditions,
    sort: str,
    limit: int,
    cursor: str | None,
    wanted: Callable[[ActionRow], bool],
) -> Page:
    """As `read_page`, of the rows that are `wanted` by what SQL cannot ask."""
    kept: list[ActionRow] = []
    while True:
        page = read_page(db, conditions, sort, limit + 1, cursor)
        for row in page.rows:
            if not wanted(row):
                continue
            if len(kept) == limit:
                return Page(tuple(kept), _cursor_behind(kept[-1], sort))
            kept.append(row)
        cursor = page.cursor
        if cursor is None:
            return Page(tuple(kept), None)


def _by_hits(db: sqlite3.Connection, conditions: Conditions, limit: int, after: tuple[int, int]) -> list[ActionRow]:
    """So many rows and one more: looked for among the most used first, then among all that were, then among others.

    What was never used is no row of `hits`: so nothing is to be sorted that has none.
    """
    most, id = after
    found: list[ActionRow] = []
    if most:
        behind = conditions.narrowed(f"({SORTS['hits']}, a.id) < (?, ?)", most, id)
        (among,) = db.execute(_LEAST, (most, 2 * limit + _SPARE)).fetchone() or (1,)
        for least in sorted({among, 1}, reverse=True):
            found = _rows(db, behind.narrowed(_AMONG, least, most), "hits", limit)
            if len(found) > limit:
                return found
        id = MOST_ID
    unused = conditions.narrowed("h.hits IS NULL AND a.id < ?", id)
    return found + _rows(db, unused, "time", limit - len(found))


def _rows(db: sqlite3.Connection, conditions: Conditions, sort: str, limit: int) -> list[ActionRow]:
    """So many rows and one more, which tells that there are more."""
    order = "a.id DESC" if sort == "time" else f"{SORTS[sort]} DESC, a.id DESC"
    # The rows of the page are chosen first: what else is told of a row is then asked for these alone.
    chosen = f"SELECT a.id {_FROM} WHERE {conditions} ORDER BY {order} LIMIT ?"
    query = f"{_SELECT} WHERE a.id IN ({chosen}) ORDER BY {order}"
    return [_row(row) for row in db.execute(query, (*conditions.parameters, limit + 1))]


def _cursor_behind(row: ActionRow, sort: str) -> str:
    return f"{ {'time': row.id, 'size': row.size, 'hits': row.hits}[sort] }.{row.id}"


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
