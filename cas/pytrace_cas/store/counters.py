# SPDX-License-Identifier: Apache-2.0
"""Statistics: counted by appending a line to a file, which a hit can afford, and folded into the index now and then."""

from __future__ import annotations

import fcntl
import os
import time

from pytrace_cas.store.ages import HIT_PATIENCE
from pytrace_cas.store.index import PATIENCE
from pytrace_cas.store.layout import FILE_MODE, StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _sqlite3 as sqlite

    from pytrace_cas.store.index import Index

_FOLD = 1 << 16  # bytes of lines after which they are folded
_ATTEMPTS = 50  # to append while somebody folds


class Counters:
    """The counters of one store. Any thread and any process may count."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._path = index.layout.counters

    def count(self, name: str, amount: int = 1) -> None:
        """Add to a counter. Never waits long; a store that is full or read only goes uncounted."""
        if self._index.read_only or not amount:
            return
        try:
            if self._append(f"{name} {amount}\n".encode()) > _FOLD:
                self._fold()
        except (OSError, StoreError):
            return  # a statistic is not worth a failure

    def totals(self) -> dict[str, int]:
        """Every counter that was ever counted."""
        with self._index.read() as db:
            totals = dict(db.execute("SELECT name, value FROM counters").fetchall())
        try:
            with open(self._path, "rb") as file:
                _add(totals, file.read())
        except FileNotFoundError:
            return totals
        return totals

    def reset(self) -> None:
        """Forget every count."""
        self._fold(PATIENCE)
        with self._index.write() as db:
            db.execute("DELETE FROM counters")

    def _append(self, line: bytes) -> int:
        """Append a line, whole; return the file's size."""
        fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            _lock_shared(fd)
            os.write(fd, line)
            return os.fstat(fd).st_size
        finally:
            os.close(fd)

    def _fold(self, patience: float = HIT_PATIENCE) -> None:
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            with self._index.write(patience) as db:
                fcntl.flock(fd, fcntl.LOCK_EX)  # who appends holds it for one write
                totals: dict[str, int] = {}
                _add(totals, os.pread(fd, os.fstat(fd).st_size, 0))
                _store(db, totals)
            os.ftruncate(fd, 0)
        finally:
            os.close(fd)


def _lock_shared(fd: int) -> None:
    """Keep others from folding, as soon as nobody does; raise `BlockingIOError` if that takes long."""
    for _ in range(_ATTEMPTS):
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(HIT_PATIENCE / _ATTEMPTS)
    fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)


def _store(db: sqlite.Connection, totals: dict[str, int]) -> None:
    query = "INSERT INTO counters VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value"
    db.executemany(query, totals.items())


def _add(totals: dict[str, int], lines: bytes) -> None:
    """Sum up lines of a name and an amount; one that power loss has torn counts nothing."""
    for line in lines.decode("utf-8", "replace").splitlines():
        name, _, amount = line.rpartition(" ")
        if name and amount.removeprefix("-").isdecimal():
            totals[name] = totals.get(name, 0) + int(amount)
