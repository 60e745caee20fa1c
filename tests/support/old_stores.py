# SPDX-License-Identifier: Apache-2.0
"""Making an index look as an older version of this program made it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import _sqlite3
    import sqlite3


def take_parts_away(db: sqlite3.Connection | _sqlite3.Connection) -> None:
    """From format 4 to format 3: no chunks."""
    for name in ("ranges_dropped", "lists_dropped", "parts_dropped", "blob_renewed", "blob_recharged"):
        db.execute(f"DROP TRIGGER {name}")
    db.execute("DROP TABLE parts")
    db.execute("DROP INDEX blobs_by_source")
    for column in ("form", "source", "start", "chunking"):
        db.execute(f"ALTER TABLE blobs DROP COLUMN {column}")
    db.execute("PRAGMA user_version = 3")


def take_packed_away(db: sqlite3.Connection | _sqlite3.Connection) -> None:
    """From format 4 to format 2: no compressed files either."""
    take_parts_away(db)
    db.execute("ALTER TABLE blobs DROP COLUMN packed")
    db.execute("PRAGMA user_version = 2")
