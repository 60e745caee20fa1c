# SPDX-License-Identifier: Apache-2.0
"""What is still to be written upstream: `upstream.sqlite` beside the store's index, shared by all processes.

An entry is written before the blob or the result that it names is stored, so that nothing is acknowledged without
one; an entry whose blob never came, or was evicted, is dropped. What the tier said wrongly is noted here too, for
all processes. docs/upstream.md has the format.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import attrs

from pytrace_cas.digest import Digest
from pytrace_cas.services.digests import BY_NUMBER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pytrace_cas.digest import DigestFunction

log = logging.getLogger(__name__)

LONGEST = 200_000
"""Entries that are kept; what comes then is not written upstream."""
LONGEST_WAIT = 300.0
"""Seconds between two tries of one entry, at most."""
DOUBT_SECONDS = 3600.0
"""How long a tier is not believed that it has a blob which it could not give."""
_DOUBTS = 10_000
_PATIENCE = 30.0
_FORMAT = 1
_APPLICATION_ID = 0x70797571  # "pyuq"
_BLOB, _RESULT = 0, 1
_LOOKUP = 200

_TABLES = """
CREATE TABLE IF NOT EXISTS entries (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  kind INTEGER NOT NULL,
  function INTEGER NOT NULL,
  instance TEXT NOT NULL,
  hash BLOB NOT NULL,
  size INTEGER NOT NULL,
  added REAL NOT NULL,
  due REAL NOT NULL,
  tries INTEGER NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS entries_by_key ON entries (hash, kind, function, instance, size);
CREATE INDEX IF NOT EXISTS entries_by_due ON entries (due, id);
CREATE TABLE IF NOT EXISTS length (entries INTEGER NOT NULL);
INSERT INTO length SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM length);
CREATE TRIGGER IF NOT EXISTS entry_added AFTER INSERT ON entries BEGIN UPDATE length SET entries = entries + 1; END;
CREATE TRIGGER IF NOT EXISTS entry_dropped AFTER DELETE ON entries BEGIN UPDATE length SET entries = entries - 1; END;
CREATE TABLE IF NOT EXISTS doubts (
  function INTEGER NOT NULL,
  hash BLOB NOT NULL,
  size INTEGER NOT NULL,
  since REAL NOT NULL,
  PRIMARY KEY (hash, function, size)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS doubts_by_age ON doubts (since);
"""
_KEY = "hash = ? AND kind = ? AND function = ? AND instance = ? AND size = ?"


@attrs.frozen
class Entry:
    """A blob, or with an `instance` the result of an action, to be written upstream; `added` in Unix time."""

    id: int
    function: DigestFunction
    digest: Digest
    instance: str | None
    added: float
    tries: int


class WriteQueue:
    """The queue of one store. Any thread and any number of processes may use it at once."""

    def __init__(
        self, folder: bytes, *, fsync: bool = False, longest: int = LONGEST, clock: Callable[[], float] = time.time
    ) -> None:
        self._path = os.fsdecode(folder) + "/upstream.sqlite"
        self._longest = longest
        self._clock = clock
        self._lock = threading.Lock()
        self._db = self._open(fsync)

    def _open(self, fsync: bool) -> sqlite3.Connection:
        try:
            return _connect(self._path, fsync)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            aside = f"{self._path}.damaged-{os.urandom(4).hex()}"
            log.warning("%s is damaged (%s): moved to %s, what it held will not be written", self._path, error, aside)
            os.rename(self._path, aside)
            return _connect(self._path, fsync)

    def add_blobs(self, function: DigestFunction, digests: Iterable[Digest]) -> int:
        """Note blobs that are about to be stored; return how many did not fit into the queue."""
        return self._add([(bytes.fromhex(d.hash), _BLOB, function.number, "", d.size_bytes) for d in digests])

    def add_result(self, function: DigestFunction, instance: str, digest: Digest) -> int:
        """Note a result that is about to be stored; as `add_blobs`."""
        return self._add([(bytes.fromhex(digest.hash), _RESULT, function.number, instance, digest.size_bytes)])

    def _add(self, keys: Sequence[tuple[bytes, int, int, str, int]]) -> int:
        now = self._clock()
        with self._writing() as db:
            room = max(0, self._longest - _length(db))
            # A new row in place of an older one: who writes the older one upstream now does not end this one.
            for key in keys:
                room += db.execute(f"DELETE FROM entries WHERE {_KEY}", key).rowcount
            query = (
                "INSERT INTO entries (hash, kind, function, instance, size, added, due, tries) VALUES (?,?,?,?,?,?,?,0)"
            )
            db.executemany(query, [(*key, now, now) for key in dict.fromkeys(keys[:room])])
        return max(0, len(keys) - room)

    def due(self, count: int) -> list[Entry]:
        """The entries whose time has come, oldest first; those of functions that are not known here are left."""
        marks = ",".join("?" * len(BY_NUMBER))
        query = f"""SELECT id, function, hash, size, kind, instance, added, tries FROM entries
        WHERE due <= ? AND function IN ({marks}) ORDER BY due, id LIMIT ?"""
        with self._lock:
            rows = self._db.execute(query, (self._clock(), *BY_NUMBER, count)).fetchall()
        return [
            Entry(id, BY_NUMBER[function], Digest(hash.hex(), size), instance if kind else None, added, tries)
            for id, function, hash, size, kind, instance, added, tries in rows
        ]

    def done(self, entries: Iterable[Entry]) -> None:
        """Forget entries, written or given up."""
        with self._writing() as db:
            db.executemany("DELETE FROM entries WHERE id = ?", [(entry.id,) for entry in entries])

    def later(self, entry: Entry) -> None:
        """Try an entry again, each time after twice the wait."""
        wait = min(2.0 ** min(entry.tries, 20), LONGEST_WAIT)
        with self._writing() as db:
            db.execute("UPDATE entries SET tries = tries + 1, due = ? WHERE id = ?", (self._clock() + wait, entry.id))

    def age(self, entry: Entry) -> float:
        """Seconds since an entry was added."""
        return self._clock() - entry.added

    def length(self) -> int:
        """How many entries there are."""
        with self._lock:
            return _length(self._db)

    def doubt(self, function: DigestFunction, digest: Digest) -> None:
        """Note that the tier did not give a blob, or gave another one."""
        with self._writing() as db:
            now = self._clock()
            row = (function.number, bytes.fromhex(digest.hash), digest.size_bytes, now)
            db.execute("INSERT OR REPLACE INTO doubts VALUES (?, ?, ?, ?)", row)
            db.execute("DELETE FROM doubts WHERE since < ?", (now - DOUBT_SECONDS,))
            query = "SELECT since FROM doubts ORDER BY since DESC LIMIT 1 OFFSET ?"
            db.execute(f"DELETE FROM doubts WHERE since <= ({query})", (_DOUBTS,))

    def trust(self, function: DigestFunction, digest: Digest) -> None:
        """Note that the tier has the blob now."""
        row = (bytes.fromhex(digest.hash), function.number, digest.size_bytes)
        with self._writing() as db:
            db.execute("DELETE FROM doubts WHERE hash = ? AND function = ? AND size = ?", row)

    def doubted(self, function: DigestFunction, digests: Sequence[Digest]) -> set[Digest]:
        """Those of the digests that the tier is not believed to have."""
        oldest, found = self._clock() - DOUBT_SECONDS, set()
        for start in range(0, len(digests), _LOOKUP):
            part = [bytes.fromhex(digest.hash) for digest in digests[start : start + _LOOKUP]]
            marks = ",".join("?" * len(part))
            query = f"SELECT hash, size FROM doubts WHERE function = ? AND since > ? AND hash IN ({marks})"
            with self._lock:
                rows = self._db.execute(query, (function.number, oldest, *part)).fetchall()
            found |= {Digest(hash.hex(), size) for hash, size in rows}
        return found

    def close(self) -> None:
        """Close the file; what is in it stays."""
        with self._lock:
            self._db.close()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise


def _connect(path: str, fsync: bool) -> sqlite3.Connection:
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    db = sqlite3.connect(path, _PATIENCE, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA synchronous = {'FULL' if fsync else 'NORMAL'}")
        db.execute("BEGIN IMMEDIATE")
        (found,) = db.execute("PRAGMA user_version").fetchone()
        if found not in (0, _FORMAT):
            raise sqlite3.DatabaseError(f"format {found} is not known")
        for statement in _statements():
            db.execute(statement)
        db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {_FORMAT}")
        db.execute("COMMIT")
    except BaseException:
        db.close()
        raise
    return db


def _statements() -> Iterator[str]:
    """The statements that make the tables; `executescript` would end the transaction that they belong to."""
    pending = ""
    for line in _TABLES.splitlines():
        pending += line + "\n"
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""


def _length(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT entries FROM length").fetchone()[0])
