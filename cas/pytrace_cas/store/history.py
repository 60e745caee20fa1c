# SPDX-License-Identifier: Apache-2.0
"""What happened, as the index keeps it: hits of each result, runs without one, requests, statistics by hour.

All of it is bounded: by `DAYS`, runs by `RUNS_KEPT`, and what is kept of each result by how many results there are.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import attrs

from pytrace_cas.digest import FUNCTIONS, Digest, MalformedDigest
from pytrace_cas.recorded.places import MalformedText, unescape

if TYPE_CHECKING:
    import _sqlite3 as sqlite
    from collections.abc import Iterable

    from pytrace_cas.digest import DigestFunction
    from pytrace_cas.store.index import Index

DAYS = 90
RUNS_KEPT = 10_000
GONE_KEPT = 10_000
"""Rows of results that are gone may stay so many, beside as many as there are results."""

REQUEST_FIELDS = ("tool", "version", "invocation", "correlated", "mnemonic", "target", "configuration")

COLUMNS = {
    "counters": ("name", "value"),
    "hits": ("function", "hash", "size", "instance", "hits", "last"),
    "hours": ("hour", "name", "value"),
    "replaced": ("function", "hash", "size", "instance", "time", "message"),
    "requests": ("function", "hash", "size", "instance", "kind", "time", *REQUEST_FIELDS),
    "runs": ("time", "outcome", "instance", "function", "weak", "action", "command", "reasons"),
}
"""The tables of what happened: no other table of the index hangs on them."""

_HIT = """INSERT INTO hits (function, hash, size, instance, hits, last) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET hits = hits + excluded.hits, last = max(last, excluded.last)"""
_RUN = """INSERT INTO runs (time, outcome, function, instance, weak, action, command, reasons)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""
_REQUEST = f"""INSERT INTO requests (kind, function, hash, size, instance, time, {", ".join(REQUEST_FIELDS)})
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET time = excluded.time, {", ".join(f"{name} = excluded.{name}" for name in REQUEST_FIELDS)}"""
_HOUR = """INSERT INTO hours (hour, name, value) VALUES (?, ?, ?)
ON CONFLICT DO UPDATE SET value = value + excluded.value"""
_DROP_GONE = """DELETE FROM {0} WHERE (SELECT count(*) FROM {0}) > (SELECT {1} * results + ? FROM store)
AND NOT EXISTS (SELECT 1 FROM results r WHERE r.function = {0}.function AND r.hash = {0}.hash
AND r.instance = {0}.instance AND r.size = {0}.size)"""
_BY_NUMBER = {function.number: function for function in FUNCTIONS.values()}


@attrs.frozen
class Run:
    """A command that was run since no stored result answered. Digests are texts, empty where there was none.

    `time`: seconds of Unix time; `outcome`: miss, not_stored, bypass or error; `command`: with places as `%R`, quoted
    for a shell; `reasons`: a JSON list of objects.
    """

    time: int
    outcome: str
    function: DigestFunction | None
    instance: str
    weak: str
    action: str
    command: str
    reasons: str


@attrs.frozen
class Request:
    """The last request of its `kind` (stored, asked) for a result: what its `RequestMetadata` said."""

    kind: str
    time: int
    tool: str
    version: str
    invocation: str
    correlated: str
    mnemonic: str
    target: str
    configuration: str


class History:
    """Reads what happened; `Store.fold` first brings it up to date. Any thread may call."""

    def __init__(self, index: Index) -> None:
        self._index = index

    def hours(self, since: int = 0) -> list[tuple[int, str, int]]:
        """Statistics by hour: the hour's beginning (seconds of Unix time), name and count, in order."""
        query = "SELECT hour * 3600, name, value FROM hours WHERE hour >= ? ORDER BY hour, name"
        with self._index.read() as db:
            return db.execute(query, (since // 3600,)).fetchall()

    def runs(self, command: str | None = None, limit: int = 100) -> list[Run]:
        """The last runs without a stored result, the last first; those of one command where given."""
        where = "" if command is None else "WHERE command = ?"
        query = f"""SELECT time, outcome, function, instance, weak, action, command, reasons
        FROM runs {where} ORDER BY id DESC LIMIT ?"""
        with self._index.read() as db:
            rows = db.execute(query, (limit,) if command is None else (command, limit)).fetchall()
        return [Run(row[0], row[1], _BY_NUMBER.get(row[2]), *row[3:]) for row in rows]

    def requests(self, function: DigestFunction, instance: str, action: Digest) -> list[Request]:
        """Who stored a result, and who asked for it last."""
        query = f"""SELECT kind, time, {", ".join(REQUEST_FIELDS)} FROM requests
        WHERE function = ? AND hash = ? AND instance = ? AND size = ? ORDER BY kind"""
        key = (function.number, bytes.fromhex(action.hash), instance, action.size_bytes)
        with self._index.read() as db:
            return [Request(*row) for row in db.execute(query, key)]


def keep_hours(db: sqlite.Connection, counts: Iterable[tuple[int, str, int]]) -> None:
    """Add counts to their hours; once in each new hour, drop what is too old."""
    now = int(time.time()) // 3600
    fresh = db.execute("SELECT 1 FROM hours WHERE hour = ? LIMIT 1", (now,)).fetchone() is None
    db.executemany(_HOUR, counts)
    if fresh:
        oldest = now - DAYS * 24
        db.execute("DELETE FROM hours WHERE hour < ?", (oldest,))
        db.execute("DELETE FROM hits WHERE last < ?", (oldest * 3600,))
        db.execute("DELETE FROM requests WHERE time < ?", (oldest * 3600,))
        db.execute("DELETE FROM runs WHERE time < ?", (oldest * 3600,))
        for table, rows in (("hits", 1), ("requests", 2)):
            db.execute(_DROP_GONE.format(table, rows), (GONE_KEPT,))


def keep_event(db: sqlite.Connection, line: bytes) -> None:
    """Keep what a line of `events` says; one that cannot be read says nothing."""
    try:
        kind, *fields = [unescape(word).decode("utf-8", "surrogateescape") for word in line.split(b"\t")]
        match kind, fields:
            case "hit", [when, function, action, instance, times]:
                db.execute(_HIT, (int(function), *_named(action), _plain(instance), int(times), int(when)))
            case "run", [when, outcome, function, *texts] if len(texts) == 5:
                db.execute(_RUN, (int(when), outcome, int(function), *map(_plain, texts)))
                db.execute("DELETE FROM runs WHERE id <= (SELECT max(id) FROM runs) - ?", (RUNS_KEPT,))
            case "request", [when, of, function, action, instance, *texts] if len(texts) == len(REQUEST_FIELDS):
                key = (of, int(function), *_named(action), _plain(instance))
                db.execute(_REQUEST, (*key, int(when), *map(_plain, texts)))
    except (ValueError, MalformedText, MalformedDigest, OverflowError):
        return


def _named(digest: str) -> tuple[bytes, int]:
    named = Digest.parse(digest)
    return bytes.fromhex(named.hash), named.size_bytes


def _plain(text: str) -> str:
    """Text that SQLite takes: what was no UTF-8 is shown as such."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
