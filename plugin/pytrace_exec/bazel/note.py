# SPDX-License-Identifier: Apache-2.0
"""The note of a workspace: what its traced actions read beside declared inputs since its digest was last changed.

It lies in the store, `workspaces.sqlite`. Bazel asks an action again as soon as the digest is another one than it was
asked under. So a digest is random and never comes back, and when it changes all facts go: every action that is still
wanted is asked again, and notes its facts anew. So the note needs no list of actions, keeps nothing of those that are
gone, and losing it costs one round of questions.
"""

from __future__ import annotations

import _sqlite3 as sqlite
import os
import time

from pytrace_cas.recorded.places import Places
from pytrace_cas.recorded.subjects import decode_subject, encode_subject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytrace_cas.recorded.subjects import Subject

FILE = b"workspaces.sqlite"
MAX_FACTS = 100_000
"""Of one workspace. More are not noted: the digest then changes at every build."""
MAX_WORKSPACES = 256
_SECONDS = 10.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS workspaces(
    folder BLOB PRIMARY KEY, digest TEXT NOT NULL, volatile TEXT, used INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS facts(
    folder BLOB, function TEXT, subject BLOB, value BLOB, action TEXT NOT NULL,
    PRIMARY KEY (folder, function, subject, value)) WITHOUT ROWID;
"""
_NEW = "INSERT OR IGNORE INTO workspaces VALUES (?, ?, NULL, ?)"


class NoteFailed(Exception):
    """The note cannot be read or written; the message says why."""


class Noted:
    """One fact of a note: the digest function of its value, the subject, the value, and an action that read it."""

    __slots__ = ("action", "function", "subject", "value")

    def __init__(self, function: str, subject: Subject, value: bytes, action: str) -> None:
        self.function = function
        self.subject = subject
        self.value = value
        self.action = action


class Note:
    """The note of one workspace in a store that can be written. Any number of processes may use it at once."""

    def __init__(self, store: bytes, workspace: bytes) -> None:
        self._path = os.path.join(store, FILE)
        self._folder = os.path.realpath(workspace)
        self._places = Places(b"/")

    def record(self, action: str, facts: Mapping[Subject, bytes], function: str, *, volatile: bool) -> None:
        """Add an action's facts; `volatile`: it has to be asked at every build. Raise `NoteFailed`."""
        rows = [
            (self._folder, function, encode_subject(subject, self._places), value, action)
            for subject, value in facts.items()
        ]
        try:
            with self._open() as database:
                database.execute("BEGIN IMMEDIATE")
                database.execute(_NEW, (self._folder, _random(), int(time.time())))
                database.executemany("INSERT OR IGNORE INTO facts VALUES (?,?,?,?,?)", rows)
                count = database.execute("SELECT count(*) FROM facts WHERE folder = ?", (self._folder,)).fetchone()[0]
                if count > MAX_FACTS:
                    database.execute("DELETE FROM facts WHERE folder = ?", (self._folder,))
                if volatile or count > MAX_FACTS:
                    reason = action if volatile else f"more than {MAX_FACTS} facts"
                    database.execute("UPDATE workspaces SET volatile = ? WHERE folder = ?", (reason, self._folder))
        except sqlite.Error as error:
            raise NoteFailed(f"what was read beside declared inputs is not noted: {error}") from None

    def read(self) -> tuple[str, str | None, list[Noted]]:
        """The digest, which action has to be asked in any case, and every fact. Raise `NoteFailed`."""
        try:
            with self._open() as database:
                now = int(time.time())
                database.execute(_NEW, (self._folder, _random(), now))
                database.execute("UPDATE workspaces SET used = ? WHERE folder = ?", (now, self._folder))
                row = database.execute("SELECT digest, volatile FROM workspaces WHERE folder = ?", (self._folder,))
                digest, volatile = row.fetchone()
                query = "SELECT function, subject, value, action FROM facts WHERE folder = ?"
                found = database.execute(query, (self._folder,)).fetchall()
            facts = [Noted(fun, decode_subject(sub, self._places), value, act) for fun, sub, value, act in found]
        except (sqlite.Error, ValueError) as error:
            raise NoteFailed(f"the note of {os.fsdecode(self._folder)} cannot be read: {error}") from None
        return digest, volatile, facts

    def renew(self) -> str:
        """Begin a new digest, under which nothing is noted yet; return it. Raise `NoteFailed`."""
        digest = _random()
        try:
            with self._open() as database:
                database.execute("BEGIN IMMEDIATE")
                database.execute("DELETE FROM facts WHERE folder = ?", (self._folder,))
                query = "INSERT OR REPLACE INTO workspaces VALUES (?, ?, NULL, ?)"
                database.execute(query, (self._folder, digest, int(time.time())))
                self._forget_oldest(database)
        except sqlite.Error as error:
            raise NoteFailed(f"the note of {os.fsdecode(self._folder)} cannot be written: {error}") from None
        return digest

    def _forget_oldest(self, database: sqlite.Connection) -> None:
        query = "SELECT folder FROM workspaces ORDER BY used DESC LIMIT -1 OFFSET ?"
        for (folder,) in database.execute(query, (MAX_WORKSPACES,)).fetchall():
            database.execute("DELETE FROM facts WHERE folder = ?", (folder,))
            database.execute("DELETE FROM workspaces WHERE folder = ?", (folder,))

    def _open(self) -> sqlite.Connection:
        """Open the database, made for the user alone; leaving its context commits."""
        try:
            os.close(os.open(self._path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise NoteFailed(f"{os.fsdecode(self._path)} cannot be written: {error.strerror}") from None
        database = sqlite.connect(os.fsdecode(self._path), timeout=_SECONDS, isolation_level="DEFERRED")
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=NORMAL")
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'facts'").fetchone():
            database.executescript(_SCHEMA)
        return database


def _random() -> str:
    return os.urandom(16).hex()
