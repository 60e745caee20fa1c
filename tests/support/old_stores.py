# SPDX-License-Identifier: Apache-2.0
"""Making an index look as an older version of this program made it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import _sqlite3
    import sqlite3


def take_history_away(db: sqlite3.Connection | _sqlite3.Connection) -> None:
    """From format 5 to format 4: nothing of what happened."""
    for name in ("replaced", "hits", "hours", "runs", "requests"):
        db.execute(f"DROP TABLE {name}")
    db.execute("DROP TRIGGER result_added")
    db.execute("ALTER TABLE store DROP COLUMN last_result")
    db.execute("ALTER TABLE results DROP COLUMN stored")
    db.execute(
        """CREATE TRIGGER result_added AFTER INSERT ON results BEGIN
        UPDATE store SET results = results + 1, bytes = bytes + NEW.charge, added = added + NEW.charge;
        END"""
    )
    db.execute("PRAGMA user_version = 4")


def take_parts_away(db: sqlite3.Connection | _sqlite3.Connection) -> None:
    """From format 5 to format 3: no chunks either."""
    take_history_away(db)
    for name in ("ranges_dropped", "lists_dropped", "parts_dropped", "blob_renewed", "blob_recharged"):
        db.execute(f"DROP TRIGGER {name}")
    db.execute("DROP TABLE parts")
    db.execute("DROP INDEX blobs_by_source")
    for column in ("form", "source", "start", "chunking"):
        db.execute(f"ALTER TABLE blobs DROP COLUMN {column}")
    db.execute("PRAGMA user_version = 3")


def take_packed_away(db: sqlite3.Connection | _sqlite3.Connection) -> None:
    """From format 5 to format 2: no compressed files either."""
    take_parts_away(db)
    db.execute("ALTER TABLE blobs DROP COLUMN packed")
    db.execute("PRAGMA user_version = 2")
