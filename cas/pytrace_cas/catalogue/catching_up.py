# SPDX-License-Identifier: Apache-2.0
"""Bringing the catalogue up to date: what was stored since is added, a batch a transaction, what is gone is dropped.

Several processes may do so at once: each batch begins where the last committed one ended, under SQLite's write lock.
"""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from pytrace_cas.catalogue.database import Unusable
from pytrace_cas.catalogue.extraction import Extractor
from pytrace_cas.digest import FUNCTIONS, Digest

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from pytrace_cas.catalogue.extraction import Extracted
    from pytrace_cas.store import Store

    Progress = Callable[[int, int], None]

BATCH = 500
GARBAGE = 10_000
"""Results that may have been dropped, beside as many as there are, before the catalogue is made anew."""

MOST_REMEMBERED = 20_000
"""Paths, and groups of them, whose numbers are kept in memory."""

LARGEST_NUMBER = (1 << 63) - 1
"""What SQLite can keep: a result may claim outputs of any size."""

HIDDEN = "actions/"
"""What instances begin with that hold the server's own indexes."""

_BY_NUMBER = {function.number: function for function in FUNCTIONS.values()}
_NEXT = """SELECT id, function, hash, size, instance, message FROM store.results
WHERE id > ? ORDER BY id LIMIT ?"""
_COLUMNS = """id, instance, function, hash, size, kind, program, command, cwd, exit_code, output_size, inputs, outputs,
root, labels, target, mnemonic"""
_DROP = "DELETE FROM actions WHERE id NOT IN (SELECT id FROM store.results)"


def catch_up(db: sqlite3.Connection, store: Store, progress: Progress | None = None) -> None:
    """Add what is new and drop what is gone; raise `Unusable` when the catalogue should be made anew.

    `progress` is told how many results were read, of how many.
    """
    (last,) = db.execute("SELECT last_result FROM store.store").fetchone()
    seen, actions, dropped = db.execute("SELECT seen, actions, dropped FROM state").fetchone()
    if seen > last or dropped > actions + GARBAGE:
        raise Unusable
    if seen < last:
        (total,) = db.execute("SELECT count(*) FROM store.results WHERE id > ?", (seen,)).fetchone()
        writer = _Writer(db)
        extractor = Extractor(store, writer.group)
        done = 0
        while added := _add_batch(db, writer, extractor):
            done += added
            if progress is not None:
                progress(min(done, total), total)
    _drop_gone(db)


def _add_batch(db: sqlite3.Connection, writer: _Writer, extractor: Extractor) -> int:
    """Add the next results; say how many there were."""
    db.execute("BEGIN IMMEDIATE")
    try:
        (seen,) = db.execute("SELECT seen FROM state").fetchone()
        rows = db.execute(_NEXT, (seen, BATCH)).fetchall()
        for id, number, hash, size, instance, message in rows:
            if number in _BY_NUMBER and not instance.startswith(HIDDEN):
                digest = Digest(bytes(hash).hex(), size)
                found = extractor.extract(_BY_NUMBER[number], digest, bytes(message))
                writer.add((id, instance, number, hash, size), found)
            else:
                writer.skip(id)
        if rows:
            writer.flush()
            db.execute("UPDATE state SET seen = ?, actions = actions + ?", (rows[-1][0], len(rows)))
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise
    return len(rows)


def _drop_gone(db: sqlite3.Connection) -> None:
    """Drop the rows of results that are gone: there are some if there are more rows here than results."""
    (results,) = db.execute("SELECT results FROM store.store").fetchone()
    (actions,) = db.execute("SELECT actions FROM state").fetchone()
    if actions <= results:
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        gone = db.execute(_DROP).rowcount
        db.execute("UPDATE state SET actions = actions - ?, dropped = dropped + ?", (gone, gone))
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise


class _Writer:
    """Writes rows and groups; numbers that it has met are remembered, since none is ever given away again."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._groups: dict[bytes, int] = {}
        self._paths: dict[str, int] = {}
        self._actions: list[tuple[Any, ...]] = []
        self._used: list[tuple[int, int]] = []

    def add(self, key: tuple[int, str, int, bytes, int], found: Extracted) -> None:
        """Take the row of a result."""
        size = min(found.output_size, LARGEST_NUMBER)
        told = (found.kind, found.program, found.command, found.cwd, found.exit_code, size)
        rest = (found.inputs, found.outputs, found.root, json.dumps(found.labels) if found.labels else "")
        named = (found.labels.get("target", ""), found.labels.get("mnemonic", ""))
        self._actions.append((*key, *told, *rest, *named))
        self._used += [(group, key[0]) for group in found.groups]

    def skip(self, id: int) -> None:
        """Take a result that is not listed, so that as many rows are here as results are there."""
        self._actions.append((id, "", 0, b"", 0, "hidden", "", "", "", 0, 0, 0, 0, "", "", "", ""))

    def flush(self) -> None:
        """Write what was taken."""
        marks = ", ".join("?" * (_COLUMNS.count(",") + 1))
        self._db.executemany(f"INSERT INTO actions ({_COLUMNS}) VALUES ({marks})", self._actions)
        self._db.executemany("INSERT OR IGNORE INTO used (grp, action) VALUES (?, ?)", sorted(self._used))
        self._actions.clear()
        self._used.clear()

    def group(self, written: bool, folder: str, names: tuple[str, ...]) -> int:
        """The number of a group of paths, which is made if it is new."""
        text = "\0".join((str(int(written)), folder, *names))
        key = blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()
        known = self._groups.get(key)
        if known is None:
            if len(self._groups) > MOST_REMEMBERED:
                self._groups.clear()
            known = self._groups[key] = self._made_group(key, written, folder, names)
        return known

    def _made_group(self, key: bytes, written: bool, folder: str, names: tuple[str, ...]) -> int:
        row = self._db.execute("SELECT id FROM groups WHERE key = ?", (key,)).fetchone()
        if row is not None:
            return int(row[0])
        made = self._db.execute("INSERT INTO groups (key, written) VALUES (?, ?)", (key, written)).lastrowid
        assert made is not None
        members = [(self._path(folder + name), made) for name in names]
        self._db.executemany("INSERT OR IGNORE INTO members (path, grp) VALUES (?, ?)", members)
        return made

    def _path(self, path: str) -> int:
        known = self._paths.get(path)
        if known is not None:
            return known
        row = self._db.execute("SELECT id FROM paths WHERE path = ?", (path,)).fetchone()
        if row is None:
            row = (self._db.execute("INSERT INTO paths (path) VALUES (?)", (path,)).lastrowid,)
        if len(self._paths) > MOST_REMEMBERED:
            self._paths.clear()
        self._paths[path] = int(row[0])
        return self._paths[path]
