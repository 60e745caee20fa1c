# SPDX-License-Identifier: Apache-2.0
"""The file `catalogue.sqlite`: made when it is not there, made anew when it is damaged or of another form.

Paths are kept once; paths of one folder that results read (or wrote) together are a group, kept once as well, since
most results share most of their folders. What a dropped result leaves in groups is never read again, and goes when
the catalogue is made anew.
"""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING

from pytrace_cas.store.layout import FILE_MODE, Layout, remove, unique_name

if TYPE_CHECKING:
    from pytrace_cas.store import Store

FORM = 1
"""Of the tables below: a catalogue of another form is made anew."""

TABLES = """
CREATE TABLE state (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  seen INTEGER NOT NULL,
  actions INTEGER NOT NULL,
  dropped INTEGER NOT NULL
);
INSERT INTO state VALUES (1, 0, 0, 0);
CREATE TABLE actions (
  id INTEGER PRIMARY KEY,
  instance TEXT NOT NULL,
  function INTEGER NOT NULL,
  hash BLOB NOT NULL,
  size INTEGER NOT NULL,
  kind TEXT NOT NULL,
  program TEXT NOT NULL,
  command TEXT NOT NULL,
  cwd TEXT NOT NULL,
  exit_code INTEGER NOT NULL,
  output_size INTEGER NOT NULL,
  inputs INTEGER NOT NULL,
  outputs INTEGER NOT NULL,
  root TEXT NOT NULL,
  labels TEXT NOT NULL,
  target TEXT NOT NULL,
  mnemonic TEXT NOT NULL
);
CREATE INDEX actions_by_hash ON actions (hash);
CREATE INDEX actions_by_size ON actions (output_size, id);
CREATE TABLE paths (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE);
CREATE TABLE groups (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, written INTEGER NOT NULL);
CREATE TABLE members (path INTEGER, grp INTEGER, PRIMARY KEY (path, grp)) WITHOUT ROWID;
CREATE TABLE used (grp INTEGER, action INTEGER, PRIMARY KEY (grp, action)) WITHOUT ROWID;
"""
PATIENCE = 30.0


class Unusable(Exception):
    """The catalogue cannot be used as it is: it is damaged, or not one of this form."""


def open_database(store: Store) -> tuple[sqlite3.Connection, int]:
    """Open the catalogue of a store, and say which inode it is; one in memory (inode 0) for a store that is read only.

    The store's index is attached as `store`, for reading.
    """
    if store.read_only:
        db = sqlite3.connect(":memory:", isolation_level=None, uri=True, check_same_thread=False)
        db.executescript(TABLES)
        _attach(db, store)
        return db, 0
    path = Layout(store.path).catalogue
    if not os.path.exists(path):
        make(store)
    db = sqlite3.connect(_uri(path, "rw"), PATIENCE, isolation_level=None, uri=True, check_same_thread=False)
    try:
        if db.execute("PRAGMA user_version").fetchone() != (FORM,):
            raise Unusable
        db.execute("PRAGMA synchronous = OFF")  # what power loss tears is made anew
        db.execute("SELECT seen FROM state").fetchone()
        _attach(db, store)
        return db, os.stat(path).st_ino
    except BaseException:
        db.close()
        raise


def is_damage(error: sqlite3.DatabaseError) -> bool:
    """Whether making it anew would help: the file is damaged or lacks a table; not so when it is locked or full."""
    code = getattr(error, "sqlite_errorcode", 11) & 0xFF
    return code in (1, 11, 26)  # ERROR, CORRUPT, NOTADB


def make(store: Store) -> None:
    """Put an empty catalogue in place of what is there; whoever has that open goes on with it, and notices."""
    path = Layout(store.path).catalogue
    fresh = os.path.join(store.path, b"tmp", unique_name())
    os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, FILE_MODE))
    db = sqlite3.connect(_uri(fresh, "rw"), isolation_level=None, uri=True)
    db.execute("PRAGMA journal_mode = WAL")
    db.executescript(f"BEGIN; {TABLES} PRAGMA user_version = {FORM}; COMMIT")
    db.close()
    with store.exclusive():
        for suffix in (b"", b"-wal", b"-shm"):  # a log that is left would be read into the new one
            remove(path + suffix)
        os.rename(fresh, path)


def inode(store: Store) -> int:
    """Which file the catalogue is now; 0 for none."""
    try:
        return os.stat(Layout(store.path).catalogue).st_ino
    except FileNotFoundError:
        return 0


def _attach(db: sqlite3.Connection, store: Store) -> None:
    db.execute("ATTACH DATABASE ? AS store", (store.index_uri(),))


def _uri(path: bytes, mode: str) -> str:
    from urllib.parse import quote_from_bytes

    return f"file:{quote_from_bytes(path)}?mode={mode}"
