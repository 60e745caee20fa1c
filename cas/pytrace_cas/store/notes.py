# SPDX-License-Identifier: Apache-2.0
"""What is kept beside blobs and results: settings, generations, and notes that the store's users take."""

from __future__ import annotations

import time

from pytrace_cas.store.ages import HIT_PATIENCE
from pytrace_cas.store.index import OutOfSpace, StoreBusy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytrace_cas.store.index import Index

NOTES_KEPT = 4096  # of each kind; the least recently used goes
LONGEST_NOTE = 1 << 16  # bytes of a value
_COARSE = 3600 * 10**6  # microseconds: a note that is read is renewed at most this often

_PUT = """INSERT INTO notes (kind, key, value, used) VALUES (?, ?, ?, ?)
ON CONFLICT (kind, key) DO UPDATE SET value = excluded.value, used = excluded.used"""
_TRIM = """DELETE FROM notes WHERE kind = :kind AND used <=
(SELECT used FROM notes WHERE kind = :kind ORDER BY used DESC LIMIT 1 OFFSET :kept)"""


class Notes:
    """Small durable facts of one store; none of them counts towards its size. Any thread may call."""

    def __init__(self, index: Index) -> None:
        self._index = index

    def setting(self, name: str) -> str | None:
        """Value of a setting."""
        with self._index.read() as db:
            row = db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def set_setting(self, name: str, value: str) -> None:
        """Give a setting a value."""
        query = "INSERT INTO settings VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
        with self._index.write() as db:
            db.execute(query, (name, value))

    def generation(self, scope: str) -> str | None:
        """Present generation of a scope; None: it was never invalidated."""
        with self._index.read() as db:
            row = db.execute("SELECT value FROM generations WHERE scope = ?", (scope,)).fetchone()
        return None if row is None else str(row[0])

    def set_generation(self, scope: str, value: str) -> None:
        """Begin a generation of a scope; it is never evicted."""
        query = """INSERT INTO generations VALUES (?, ?, ?)
        ON CONFLICT (scope) DO UPDATE SET value = excluded.value, changed = excluded.changed"""
        with self._index.write() as db:
            db.execute(query, (scope, value, int(time.time())))

    def unite_generations(self, generations: Mapping[str, str]) -> None:
        """Begin the generations of some scopes; of two values of one scope the one that sorts first stays."""
        query = """INSERT INTO generations VALUES (?, ?, ?)
        ON CONFLICT (scope) DO UPDATE SET value = min(value, excluded.value)"""
        now = int(time.time())
        with self._index.write() as db:
            db.executemany(query, [(scope, value, now) for scope, value in generations.items()])

    def generations(self) -> dict[str, str]:
        """The generation of every scope that has one."""
        with self._index.read() as db:
            return dict(db.execute("SELECT scope, value FROM generations").fetchall())

    def remember(self, kind: str, key: bytes, value: bytes) -> None:
        """Note a value in place of an earlier one; of each kind the last `NOTES_KEPT` used are kept."""
        if len(value) > LONGEST_NOTE:
            raise ValueError(f"a note has at most {LONGEST_NOTE} bytes, this one has {len(value)}")
        with self._index.write() as db:
            db.execute(_PUT, (kind, key, value, _now()))
            db.execute(_TRIM, {"kind": kind, "kept": NOTES_KEPT})

    def recall(self, kind: str, key: bytes) -> bytes | None:
        """The value noted under a key."""
        with self._index.read() as db:
            row = db.execute("SELECT id, value, used FROM notes WHERE kind = ? AND key = ?", (kind, key)).fetchone()
        if row is None:
            return None
        if abs(_now() - row[2]) > _COARSE and not self._index.read_only:
            self._renew(row[0])
        return bytes(row[1])

    def forget(self, kind: str, key: bytes) -> None:
        """Drop a note if there is one."""
        with self._index.write() as db:
            db.execute("DELETE FROM notes WHERE kind = ? AND key = ?", (kind, key))

    def _renew(self, id: int) -> None:
        try:
            with self._index.write(HIT_PATIENCE) as db:
                db.execute("UPDATE notes SET used = ? WHERE id = ?", (_now(), id))
        except (StoreBusy, OutOfSpace):
            return  # the next look will try again


def _now() -> int:
    return time.time_ns() // 1000
