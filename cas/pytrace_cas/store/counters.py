# SPDX-License-Identifier: Apache-2.0
"""Statistics and events: lines appended to a file, which a hit can afford, and folded into the index now and then."""

from __future__ import annotations

import os
import time

from pytrace_cas.store.ages import HIT_PATIENCE
from pytrace_cas.store.index import PATIENCE
from pytrace_cas.store.layout import FILE_MODE, StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _sqlite3 as sqlite
    from collections.abc import Iterable

    from pytrace_cas.store.events import Event
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
        self.record([(name, amount)])

    def record(self, counts: Iterable[tuple[str, int]], events: Iterable[Event] = ()) -> None:
        """Add to counters and write events down, in one piece; otherwise as `count`."""
        if self._index.read_only:
            return
        hour = int(time.time()) // 3600
        lines = [f"{name}@{hour} {amount}\n".encode() for name, amount in counts if amount]
        data = b"".join([*lines, *(event.line() for event in events)])
        try:
            if data and self._append(data) > _FOLD:
                self._fold()
        except (OSError, StoreError):
            return  # a statistic is not worth a failure

    def fold(self) -> None:
        """Bring all lines into the index, unless there are none or the store is read only."""
        try:
            if not self._index.read_only and os.stat(self._path).st_size:
                self._fold(PATIENCE)
        except FileNotFoundError:
            return

    def totals(self) -> dict[str, int]:
        """Every counter that was ever counted."""
        with self._index.read() as db:
            totals = dict(db.execute("SELECT name, value FROM counters").fetchall())
        try:
            with open(self._path, "rb") as file:
                counted = _counted(file.read())
        except FileNotFoundError:
            return totals
        for (name, _), value in counted.items():
            totals[name] = totals.get(name, 0) + value
        return totals

    def reset(self) -> None:
        """Forget every count."""
        self._fold(PATIENCE)
        with self._index.write() as db:
            db.execute("DELETE FROM counters")
            db.execute("DELETE FROM hours")

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
            import fcntl  # only Linux and its like have it, and reading does without

            with self._index.write(patience) as db:
                fcntl.flock(fd, fcntl.LOCK_EX)  # who appends holds it for one write
                _store(db, os.pread(fd, os.fstat(fd).st_size, 0))
            os.ftruncate(fd, 0)
        finally:
            os.close(fd)


def _lock_shared(fd: int) -> None:
    """Keep others from folding, as soon as nobody does; raise `BlockingIOError` if that takes long."""
    import fcntl

    for _ in range(_ATTEMPTS):
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(HIT_PATIENCE / _ATTEMPTS)
    fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)


def _store(db: sqlite.Connection, lines: bytes) -> None:
    from pytrace_cas.store.history import keep_event, keep_hours

    counted = _counted(lines)
    query = "INSERT INTO counters VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value"
    db.executemany(query, [(name, value) for (name, _), value in counted.items()])
    keep_hours(db, [(hour, name, value) for (name, hour), value in counted.items() if hour])
    for line in lines.split(b"\n"):
        if line.startswith(b"@"):
            keep_event(db, line[1:])


def _counted(lines: bytes) -> dict[tuple[str, int], int]:
    """Sum up lines of a name, its hour and an amount (hour 0: none); one that power loss has torn counts nothing."""
    counted: dict[tuple[str, int], int] = {}
    for line in lines.decode("utf-8", "replace").split("\n"):
        name, _, amount = line.rpartition(" ")
        if name and not name.startswith("@") and amount.removeprefix("-").isdecimal():
            name, _, hour = name.partition("@")
            key = name, int(hour) if hour.isdecimal() else 0
            counted[key] = counted.get(key, 0) + int(amount)
    return counted
