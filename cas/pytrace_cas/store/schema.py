# SPDX-License-Identifier: Apache-2.0
"""The tables of `index.sqlite`, their format number, and how an older store becomes a newer one.

The triggers keep the totals, and let no result outlive a blob that it needs, for every program that writes
here in any language.
"""

from __future__ import annotations

import _sqlite3 as sqlite
import os

from pytrace_cas.store import crashpoints
from pytrace_cas.store.index import APPLICATION_ID, FORMAT, ReadOnlyStore
from pytrace_cas.store.layout import FILE_MODE, StoreError, StoreNotWritable, remove, unique_name
from pytrace_cas.store.mark import mark
from pytrace_cas.store.pending import EMPTY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pytrace_cas.store.layout import Layout

TABLES = """
CREATE TABLE store (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  max_size INTEGER NOT NULL,
  blobs INTEGER NOT NULL,
  results INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  added INTEGER NOT NULL,
  min_lifetime INTEGER NOT NULL DEFAULT 0,
  last_result INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE blobs (
  id INTEGER PRIMARY KEY,
  function INTEGER NOT NULL,
  hash BLOB NOT NULL,
  size INTEGER NOT NULL,
  charge INTEGER NOT NULL,
  used INTEGER NOT NULL,
  turn INTEGER NOT NULL,
  data BLOB,
  packed INTEGER,
  form INTEGER NOT NULL DEFAULT 0,
  source INTEGER,
  start INTEGER,
  chunking INTEGER
);
CREATE UNIQUE INDEX blobs_by_hash ON blobs (function, hash);
CREATE INDEX blobs_by_age ON blobs (turn, used);
CREATE TABLE results (
  id INTEGER PRIMARY KEY,
  instance TEXT NOT NULL,
  function INTEGER NOT NULL,
  hash BLOB NOT NULL,
  size INTEGER NOT NULL,
  complete INTEGER NOT NULL,
  charge INTEGER NOT NULL,
  used INTEGER NOT NULL,
  turn INTEGER NOT NULL,
  message BLOB NOT NULL,
  stored INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX results_by_key ON results (function, hash, instance, size);
CREATE INDEX results_by_age ON results (turn, used);
CREATE TABLE refs (
  result INTEGER NOT NULL,
  hash BLOB NOT NULL,
  size INTEGER NOT NULL,
  PRIMARY KEY (result, hash, size)
) WITHOUT ROWID;
CREATE INDEX refs_by_hash ON refs (hash);
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE generations (scope TEXT PRIMARY KEY, value TEXT NOT NULL, changed INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE reservations (file TEXT PRIMARY KEY, charge INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE notes (
  id INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,
  key BLOB NOT NULL,
  value BLOB NOT NULL,
  used INTEGER NOT NULL
);
CREATE UNIQUE INDEX notes_by_key ON notes (kind, key);
CREATE INDEX notes_by_use ON notes (kind, used);
CREATE TRIGGER blob_added AFTER INSERT ON blobs BEGIN
  UPDATE store SET blobs = blobs + 1, bytes = bytes + NEW.charge, added = added + NEW.charge;
END;
CREATE TRIGGER blob_dropped AFTER DELETE ON blobs BEGIN
  UPDATE store SET blobs = blobs - 1, bytes = bytes - OLD.charge;
  DELETE FROM results WHERE id IN (SELECT result FROM refs WHERE hash = OLD.hash) AND +function = OLD.function;
END;
CREATE TRIGGER result_dropped AFTER DELETE ON results BEGIN
  UPDATE store SET results = results - 1, bytes = bytes - OLD.charge;
  DELETE FROM refs WHERE result = OLD.id;
END;
"""
HISTORY = """CREATE TRIGGER result_added AFTER INSERT ON results BEGIN
  SELECT RAISE(ABORT, 'the id of a result was used before') FROM store WHERE NEW.id <= last_result;
  UPDATE store SET results = results + 1, bytes = bytes + NEW.charge, added = added + NEW.charge, last_result = NEW.id;
END;
CREATE TABLE replaced (
  id INTEGER PRIMARY KEY,
  function INTEGER NOT NULL,
  hash BLOB NOT NULL,
  size INTEGER NOT NULL,
  instance TEXT NOT NULL,
  time INTEGER NOT NULL,
  message BLOB NOT NULL
);
CREATE INDEX replaced_by_key ON replaced (function, hash, instance, size);
CREATE TABLE hits (
  function INTEGER NOT NULL,
  hash BLOB NOT NULL,
  size INTEGER NOT NULL,
  instance TEXT NOT NULL,
  hits INTEGER NOT NULL,
  last INTEGER NOT NULL,
  PRIMARY KEY (function, hash, instance, size)
) WITHOUT ROWID;
CREATE TABLE hours (hour INTEGER, name TEXT, value INTEGER NOT NULL, PRIMARY KEY (hour, name)) WITHOUT ROWID;
CREATE TABLE runs (
  id INTEGER PRIMARY KEY,
  time INTEGER NOT NULL,
  outcome TEXT NOT NULL,
  instance TEXT NOT NULL,
  function INTEGER NOT NULL,
  weak TEXT NOT NULL,
  action TEXT NOT NULL,
  command TEXT NOT NULL,
  reasons TEXT NOT NULL
);
CREATE INDEX runs_by_command ON runs (command);
CREATE TABLE requests (
  function INTEGER NOT NULL,
  hash BLOB NOT NULL,
  size INTEGER NOT NULL,
  instance TEXT NOT NULL,
  kind TEXT NOT NULL,
  time INTEGER NOT NULL,
  tool TEXT NOT NULL,
  version TEXT NOT NULL,
  invocation TEXT NOT NULL,
  correlated TEXT NOT NULL,
  mnemonic TEXT NOT NULL,
  target TEXT NOT NULL,
  configuration TEXT NOT NULL,
  PRIMARY KEY (function, hash, instance, size, kind)
) WITHOUT ROWID;
"""
PARTS = """CREATE INDEX blobs_by_source ON blobs (source) WHERE source IS NOT NULL;
CREATE TABLE parts (
  whole INTEGER NOT NULL,
  start INTEGER NOT NULL,
  chunk INTEGER NOT NULL,
  PRIMARY KEY (whole, start)
) WITHOUT ROWID;
CREATE INDEX parts_by_chunk ON parts (chunk);
CREATE TRIGGER ranges_dropped BEFORE DELETE ON blobs BEGIN
  DELETE FROM blobs WHERE source = OLD.id;
END;
CREATE TRIGGER lists_dropped BEFORE DELETE ON blobs BEGIN
  DELETE FROM blobs WHERE id IN (SELECT whole FROM parts WHERE chunk = OLD.id) AND form = 2;
END;
CREATE TRIGGER parts_dropped AFTER DELETE ON blobs BEGIN
  DELETE FROM parts WHERE whole IN (SELECT whole FROM parts WHERE chunk = OLD.id UNION ALL SELECT OLD.id);
END;
CREATE TRIGGER blob_renewed AFTER UPDATE OF used, turn ON blobs WHEN NEW.form <> 0 BEGIN
  UPDATE blobs SET used = NEW.used, turn = NEW.turn WHERE id IN (
    SELECT NEW.source
    UNION ALL SELECT chunk FROM parts WHERE whole = NEW.id
    UNION ALL SELECT c.source FROM parts p JOIN blobs c ON c.id = p.chunk WHERE p.whole = NEW.id
  );
END;
CREATE TRIGGER blob_recharged AFTER UPDATE OF charge ON blobs BEGIN
  UPDATE store SET bytes = bytes + NEW.charge - OLD.charge;
END;
"""


def _add_lifetimes(db: sqlite.Connection) -> None:
    db.execute("ALTER TABLE store ADD COLUMN min_lifetime INTEGER NOT NULL DEFAULT 0")
    db.execute("CREATE TABLE reservations (file TEXT PRIMARY KEY, charge INTEGER NOT NULL) WITHOUT ROWID")
    for table in ("blobs", "results"):
        db.execute(f"DROP INDEX {table}_by_turn")
        db.execute(f"CREATE INDEX {table}_by_age ON {table} (turn, used)")


def _add_packed(db: sqlite.Connection) -> None:
    db.execute("ALTER TABLE blobs ADD COLUMN packed INTEGER")


def _add_parts(db: sqlite.Connection) -> None:
    for column in ("form INTEGER NOT NULL DEFAULT 0", "source INTEGER", "start INTEGER", "chunking INTEGER"):
        db.execute(f"ALTER TABLE blobs ADD COLUMN {column}")
    for statement in statements(PARTS):
        db.execute(statement)


def _add_history(db: sqlite.Connection) -> None:
    db.execute("ALTER TABLE store ADD COLUMN last_result INTEGER NOT NULL DEFAULT 0")
    db.execute("ALTER TABLE results ADD COLUMN stored INTEGER NOT NULL DEFAULT 0")
    db.execute("UPDATE results SET stored = used")
    db.execute("UPDATE store SET last_result = (SELECT ifnull(max(id), 0) FROM results)")
    db.execute("DROP TRIGGER result_added")
    for statement in statements(HISTORY):
        db.execute(statement)


def statements(script: str) -> list[str]:
    """The statements of a script one by one: `executescript` would commit before it begins."""
    found, begun = [], ""
    for line in script.splitlines(keepends=True):
        begun += line
        if sqlite.complete_statement(begun):
            found.append(begun)
            begun = ""
    return found


# From each older format to the next: a function that changes the tables inside the transaction it is given.
MIGRATIONS: dict[int, Callable[[sqlite.Connection], None]] = {
    1: _add_lifetimes,
    2: _add_packed,
    3: _add_parts,
    4: _add_history,
}


class NewerFormat(StoreError):
    """The store was written by a newer version: format `found`, where this one knows up to `known`."""

    def __init__(self, path: bytes, found: int, known: int) -> None:
        message = f"has format {found}, this version knows up to {known}: install a newer one or choose another --dir"
        super().__init__(path, f"the store in {os.fsdecode(path)} {message}")
        self.found = found
        self.known = known


class UnknownFormat(StoreError):
    """`index.sqlite` is some other program's, or of a format that no version wrote (`found`)."""

    def __init__(self, path: bytes, found: int) -> None:
        super().__init__(path, f"{os.fsdecode(path)}/index.sqlite is not the index of a store; choose another --dir")
        self.found = found


def build(db: sqlite.Connection, max_size: int) -> None:
    """Make an empty index in an empty database; afterwards the file alone holds it."""
    db.execute("PRAGMA auto_vacuum = INCREMENTAL")
    db.execute("PRAGMA journal_mode = WAL")
    db.executescript(
        f"BEGIN; {TABLES} {PARTS} {HISTORY}"
        f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT}; COMMIT"
    )
    db.execute("INSERT INTO store (id, max_size, blobs, results, bytes, added) VALUES (1, ?, 0, 0, 0, 0)", (max_size,))


def format_of(db: sqlite.Connection, path: bytes) -> int:
    """The format of an open index; raise `UnknownFormat` or `NewerFormat`."""
    (found,) = db.execute("PRAGMA user_version").fetchone()
    (application,) = db.execute("PRAGMA application_id").fetchone()
    if application != APPLICATION_ID:
        raise UnknownFormat(path, found)
    if found > FORMAT:
        raise NewerFormat(path, found, FORMAT)
    return int(found)


def migrate(db: sqlite.Connection, path: bytes, read_only: bool) -> None:
    """Bring an index of another format to the present one, a step and a transaction at a time.

    Several processes may try at once: each step asks again once it holds the write lock. Raise `NewerFormat`,
    `UnknownFormat`, or `ReadOnlyStore` for an older index that may not be written.
    """
    found = format_of(db, path)
    while found < FORMAT:
        if found not in MIGRATIONS:
            raise UnknownFormat(path, found)
        if read_only:
            raise ReadOnlyStore(path)
        db.execute("BEGIN IMMEDIATE")
        try:
            if format_of(db, path) == found:
                MIGRATIONS[found](db)
                db.execute(f"PRAGMA user_version = {found + 1}")
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise
        found = format_of(db, path)


def create_index(layout: Layout, max_size: int) -> None:
    """Make a store with an empty index, complete or not at all, whoever else is doing so; keep one that is there.

    The caller has seen to it that the folder is absent, empty or marked.
    """
    mark(layout)
    layout.make_directories()
    fresh = layout.tmp + b"/" + unique_name()
    try:
        _write(fresh, EMPTY)
        _install(fresh, layout.pending)
        _write(fresh, b"")
        db = sqlite.connect(os.fsdecode(fresh), isolation_level=None)
        try:
            build(db, max_size)
        finally:
            db.close()
        crashpoints.reached("index-built")
        _install(fresh, layout.index)
    except OSError as error:
        raise StoreNotWritable(layout.root, error.strerror or str(error)) from error


def _write(path: bytes, data: bytes) -> None:
    fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, FILE_MODE)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)


def _install(fresh: bytes, target: bytes) -> None:
    """Give a file its name unless another process was first."""
    try:
        os.link(fresh, target)
    except FileExistsError:
        return
    finally:
        remove(fresh)
