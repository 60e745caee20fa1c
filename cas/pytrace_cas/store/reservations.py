# SPDX-License-Identifier: Apache-2.0
"""Room that is kept for uploads before their bytes arrive: a row for each of their files in `tmp/`.

A reservation holds for as long as its file is locked: that of a killed process counts until somebody is short of room.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _sqlite3 as sqlite

    from pytrace_cas.store.layout import Layout

RESERVED = "(SELECT ifnull(sum(charge), 0) FROM reservations)"


def reserve(db: sqlite.Connection, file: bytes, charge: int) -> None:
    """Keep room for a file; within a write transaction that has found it."""
    db.execute("INSERT INTO reservations VALUES (?, ?)", (_name(file), charge))


def release(db: sqlite.Connection, file: bytes) -> None:
    """Give a file's room back, or make it the blob's; within a write transaction."""
    db.execute("DELETE FROM reservations WHERE file = ?", (_name(file),))


def reserved(db: sqlite.Connection) -> int:
    """Bytes that are kept for all uploads."""
    (total,) = db.execute(f"SELECT {RESERVED}").fetchone()
    return int(total)


def drop_abandoned(db: sqlite.Connection, layout: Layout) -> int:
    """Give back what nobody uploads any more; within a write transaction. Return the bytes."""
    dropped = 0
    for name, charge in db.execute("SELECT file, charge FROM reservations").fetchall():
        if _is_abandoned(layout.tmp + b"/" + name.encode("ascii")):
            db.execute("DELETE FROM reservations WHERE file = ?", (name,))
            dropped += charge
    return dropped


def _name(file: bytes) -> str:
    return os.path.basename(file).decode("ascii")


def _is_abandoned(path: bytes) -> bool:
    import fcntl  # no hit comes here

    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True
