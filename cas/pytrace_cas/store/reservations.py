# SPDX-License-Identifier: Apache-2.0
"""Room that is kept for uploads before their bytes arrive: a row for each of their files in `tmp/` or `uploads/`.

A reservation holds for as long as its file is locked: that of a killed process counts until somebody is short of room.
What is in `uploads/` may be gone on with and keeps its room without a lock, for an hour from its last change.
"""

from __future__ import annotations

import os
import time

from pytrace_cas.store.layout import remove

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _sqlite3 as sqlite

    from pytrace_cas.store.layout import Layout

KEPT_SECONDS = 3600  # an unfinished upload that nobody goes on with
UPLOADS = "uploads/"  # begins the names of their files
RESERVED = "(SELECT ifnull(sum(charge), 0) FROM reservations)"


def reserve(db: sqlite.Connection, file: bytes, charge: int) -> None:
    """Keep room for a file; within a write transaction that has found it."""
    # A file that a sweeper has removed may have left its row.
    query = "INSERT INTO reservations VALUES (?, ?) ON CONFLICT (file) DO UPDATE SET charge = excluded.charge"
    db.execute(query, (name_of(file), charge))


def release(db: sqlite.Connection, file: bytes) -> None:
    """Give a file's room back, or make it the blob's; within a write transaction."""
    db.execute("DELETE FROM reservations WHERE file = ?", (name_of(file),))


def has_room(db: sqlite.Connection, file: bytes) -> bool:
    """Whether room is kept for a file."""
    return db.execute("SELECT 1 FROM reservations WHERE file = ?", (name_of(file),)).fetchone() is not None


def reserved(db: sqlite.Connection) -> int:
    """Bytes that are kept for all uploads."""
    (total,) = db.execute(f"SELECT {RESERVED}").fetchone()
    return int(total)


def drop_abandoned(db: sqlite.Connection, layout: Layout) -> int:
    """Give back what nobody uploads any more; within a write transaction. Return the bytes."""
    dropped = 0
    for name, charge in db.execute("SELECT file, charge FROM reservations").fetchall():
        folder = layout.root if name.startswith(UPLOADS) else layout.tmp
        if _is_abandoned(folder + b"/" + name.encode("ascii"), name.startswith(UPLOADS)):
            db.execute("DELETE FROM reservations WHERE file = ?", (name,))
            dropped += charge
    return dropped


def name_of(file: bytes) -> str:
    """What a file is called here: its name in `tmp/`, or `uploads/` and its name there."""
    folder, name = os.path.split(file)
    return f"{UPLOADS if folder.endswith(b'/uploads') else ''}{name.decode('ascii')}"


def _is_abandoned(path: bytes, may_go_on: bool) -> bool:
    """Whether nobody will finish a file; an upload that is over its time is removed."""
    import fcntl  # no hit comes here

    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if may_go_on:
            if abs(time.time() - os.fstat(fd).st_mtime) < KEPT_SECONDS:
                return False
            remove(path)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True
