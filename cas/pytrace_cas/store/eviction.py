# SPDX-License-Identifier: Apache-2.0
"""Eviction: least recently used entries go, a small batch at a time, so that no writer waits long.

A batch drops its rows in one write transaction and moves their files to the trash in the next: between the two, and
after a kill there, `pending` names the files. A result goes with the first blob that it needs (a trigger).
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from contextlib import suppress

from pytrace_cas.digest import FUNCTIONS
from pytrace_cas.store import crashpoints, spare
from pytrace_cas.store.ages import clock_of
from pytrace_cas.store.index import OutOfSpace
from pytrace_cas.store.layout import FILE_MODE, StoreError, place_of
from pytrace_cas.store.pending import BATCH
from pytrace_cas.store.reservations import reserved
from pytrace_cas.store.room import LOW_WATER
from pytrace_cas.store.staging import empty_trash, sweep_if_due

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _sqlite3 as sqlite
    from typing import Any

    from pytrace_cas.store.counters import Counters
    from pytrace_cas.store.index import Index
    from pytrace_cas.store.layout import Layout
    from pytrace_cas.store.pending import Pending

_PACKED = 2  # how a blob is kept: in the index (0), in a file (1), in a compressed one
_VACUUM_PAGES = 512  # given back to the disk in one transaction

# Results first among entries of one age: a blob takes its results along, a result no blob.
_OLDEST = """SELECT 0 AS kind, turn, id, charge, function, hash, 0, used FROM results WHERE used < :before
UNION ALL SELECT 1, turn, id, charge, function, hash, (data IS NULL) + (packed IS NOT NULL), used
FROM blobs WHERE used < :before
ORDER BY turn, used, kind, id"""


class Evicted:
    """How many blobs and results went, or would go, and the bytes that they were charged for."""

    __slots__ = ("blobs", "bytes", "results")

    def __init__(self, blobs: int = 0, results: int = 0, bytes: int = 0) -> None:
        self.blobs = blobs
        self.results = results
        self.bytes = bytes

    def __add__(self, other: Evicted) -> Evicted:
        return Evicted(self.blobs + other.blobs, self.results + other.results, self.bytes + other.bytes)

    def __bool__(self) -> bool:
        return bool(self.blobs or self.results)

    def __repr__(self) -> str:
        return f"Evicted(blobs={self.blobs}, results={self.results}, bytes={self.bytes})"


class Evictor:
    """Evicts from one store, in the calling thread or in one of its own.

    What is younger than the store's `min_lifetime` stays, whoever asks.
    """

    def __init__(self, layout: Layout, index: Index, pending: Pending, counters: Counters) -> None:
        self._layout = layout
        self._index = index
        self._pending = pending
        self._counters = counters
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closing = False

    def evict(self, down_to: int | None, older_than: float | None, dry_run: bool) -> Evicted:
        """Evict until the store holds `down_to` bytes, and whatever was not used for `older_than` seconds.

        Neither given: down to the low-water mark.
        """
        before = _ANY if older_than is None else int(time.time() - older_than)
        if down_to is None:
            down_to = 0 if older_than is not None else self._low_water()
        if dry_run:
            return self._foretell(down_to, before)
        total = Evicted()
        while gone := self.evict_batch(down_to, before):
            total += gone
        with suppress(OutOfSpace):  # a smaller index needs room before it gives some
            self._give_back_pages()
        spare.keep_again(self._layout)
        return total

    def evict_batch(self, down_to: int, before: int | None = None) -> Evicted:
        """Evict at most one batch; nothing when the store is down to that size or has nothing that old.

        On a full disk the room that is kept for this is given up.
        """
        try:
            return self._evict_batch(down_to, before)
        except OutOfSpace:
            if not spare.give_up(self._layout):
                raise
            return self._evict_batch(down_to, before)

    def _evict_batch(self, down_to: int, before: int | None) -> Evicted:
        with self._index.write() as db:
            self._pending.settle(db)
            was = db.execute("SELECT blobs, results, bytes FROM store").fetchone()
            chosen = _choose(db, was[2] - down_to, _ANY if before is None else before)
            if not chosen:
                return Evicted()
            self._pending.announce(_places(chosen))
            db.executemany("DELETE FROM results WHERE id = ?", [(row[2],) for row in chosen if row[0] == 0])
            db.executemany("DELETE FROM blobs WHERE id = ?", [(row[2],) for row in chosen if row[0] == 1])
            now = db.execute("SELECT blobs, results, bytes FROM store").fetchone()
        crashpoints.reached("rows-evicted")
        with self._index.write() as db:
            self._pending.settle(db)
        crashpoints.reached("files-evicted")
        empty_trash(self._layout)
        gone = Evicted(was[0] - now[0], was[1] - now[1], was[2] - now[2])
        self._count(gone)
        return gone

    def start(self) -> None:
        """Evict to the low-water mark in a thread, unless one is at it, here or in another process."""
        with self._starting:
            if self._closing or (self._thread is not None and self._thread.is_alive()):
                return
            self._thread = threading.Thread(target=self._run, name="pytrace-evict", daemon=True)
            self._thread.start()

    def finish(self) -> None:
        """Wait for the thread, which ends after its batch: the limit holds, the low-water mark is left to the next."""
        with self._starting:
            self._closing = True
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            lock = os.open(self._layout.maintenance, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, FILE_MODE)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._run_locked()
            finally:
                os.close(lock)
        except BlockingIOError:
            return  # another process is evicting
        except (StoreError, OSError):
            self._counters.count("eviction_failures")  # whoever adds next meets the same error, and hears of it

    def _run_locked(self) -> None:
        sweep_if_due(self._layout)
        while self.evict_batch(self._low_water()):
            if self._closing:
                return
        self._give_back_pages()

    def _low_water(self) -> int:
        with self._index.read() as db:
            (limit,) = db.execute("SELECT max_size FROM store").fetchone()
            return max(0, int(limit) * LOW_WATER // 100 - reserved(db))

    def _foretell(self, down_to: int, before: int) -> Evicted:
        total = Evicted()
        with self._index.read() as db:
            (used,) = db.execute("SELECT bytes FROM store").fetchone()
            clock = clock_of(db)
            for row in db.execute(_OLDEST, {"before": before}):
                if used - total.bytes <= down_to or not clock.may_go(row[7]):
                    break
                total += Evicted(int(row[0] == 1), int(row[0] == 0), row[3])
        return total

    def _give_back_pages(self) -> None:
        """Shrink the index when a quarter of it is empty pages: they are charged to nobody."""
        while True:
            with self._index.write() as db:
                (free,) = db.execute("PRAGMA freelist_count").fetchone()
                (pages,) = db.execute("PRAGMA page_count").fetchone()
                if free * 4 < pages or free < _VACUUM_PAGES:
                    return
                db.execute(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})").fetchall()

    def _count(self, gone: Evicted) -> None:
        self._counters.count("evicted_blobs", gone.blobs)
        self._counters.count("evicted_results", gone.results)
        self._counters.count("evicted_bytes", gone.bytes)


_ANY = 1 << 62  # later than every last use


def _choose(db: sqlite.Connection, excess: int, before: int) -> list[tuple[Any, ...]]:
    """The oldest entries that make up the excess, at most a batch of them.

    Where one has to stay, those after it are no older.
    """
    chosen: list[tuple[Any, ...]] = []
    if excess <= 0:
        return chosen
    clock = clock_of(db)
    for row in db.execute(f"{_OLDEST} LIMIT {BATCH}", {"before": before}):
        if not clock.may_go(row[7]):
            break
        chosen.append(row)
        excess -= row[3]
        if excess <= 0:
            break
    return chosen


def _places(chosen: list[tuple[Any, ...]]) -> list[str]:
    names = {function.number: function.name for function in FUNCTIONS.values()}
    return [place_of(names[row[4]], row[5].hex(), row[6] == _PACKED) for row in chosen if row[6]]
