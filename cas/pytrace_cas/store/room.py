# SPDX-License-Identifier: Apache-2.0
"""The size limit: every transaction that adds, or keeps room for what is to be added, goes through here.

Above the high-water mark a thread evicts in the background down to the low-water mark. The limit itself is never
crossed: an addition that would do so makes its own room first.
"""

from __future__ import annotations

import os

from pytrace_cas.store.ages import Clock
from pytrace_cas.store.index import OutOfSpace, StoreBusy
from pytrace_cas.store.reservations import RESERVED, drop_abandoned, release, reserve, reserved

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _sqlite3 as sqlite
    from collections.abc import Callable

    from pytrace_cas.store.eviction import Evictor
    from pytrace_cas.store.index import Index

ROW = 256  # bytes charged for an entry's rows
BLOCK = 4096  # a file is charged by whole blocks
PART = 64  # bytes charged for a chunk of a list, and for a range beside its row
REF = 96  # bytes charged for a result's reference to a blob
HIGH_WATER = 95  # percent of the limit above which eviction begins ...
LOW_WATER = 90  # ... and where it ends
STEP = 8 << 20  # bytes that room is kept for at once, for a file of unknown size
_ATTEMPTS = 100  # to evict when there is nothing left to: totals that are wrong, or others that are faster
_TAKEN = f"SELECT bytes + {RESERVED}, max_size, added, min_lifetime FROM store"


def charge_of_blob(size: int, in_index: bool) -> int:
    """Bytes that a blob takes of the limit."""
    return ROW + (size if in_index else -(-size // BLOCK) * BLOCK)


def charge_of_result(size: int, refs: int) -> int:
    """Bytes that an action result takes of the limit."""
    return ROW + size + REF * refs


def _is_high(used: int, limit: int) -> bool:
    return used * 100 > limit * HIGH_WATER


class Room:
    """The room of one store. Any thread may call."""

    def __init__(self, index: Index, evictor: Callable[[], Evictor]) -> None:
        self._index = index
        self._new_evictor = evictor
        self._evictor: Evictor | None = None
        self._pid = os.getpid()

    def add(
        self, charge: int, work: Callable[[sqlite.Connection, Clock], None], reservation: bytes | None = None
    ) -> None:
        """Run `work` in one write transaction that has room for `charge` more bytes; raise `OutOfSpace`.

        The room may be what was kept for the file `reservation`.
        """
        while True:
            if reservation is None:
                self._make(charge)
            with self._index.write() as db:
                if reservation is not None:
                    release(db, reservation)
                used, limit, added, min_lifetime = db.execute(_TAKEN).fetchone()
                if used + charge <= limit:
                    work(db, Clock(added, limit, min_lifetime))
                    break
            reservation = None  # somebody else took the room, or the limit is another
        if _is_high(used + charge, limit):
            self.evictor().start()

    def keep(self, file: bytes, charge: int) -> None:
        """Keep room for a file of an upload that is to be that much; raise `OutOfSpace`."""
        self.add(charge, lambda db, _: reserve(db, file, charge))

    def widen(self, file: bytes, kept: int, charge: int) -> int:
        """Keep at least so much for a file that `kept` is kept for, and return it; raise `OutOfSpace`."""
        if charge <= kept:
            return kept
        try:
            return self._widen(file, kept, charge + STEP)
        except OutOfSpace:
            return self._widen(file, kept, charge)

    def _widen(self, file: bytes, kept: int, charge: int) -> int:
        self.add(charge - kept, lambda db, _: reserve(db, file, charge))
        return charge

    def give_back(self, file: bytes) -> None:
        """Keep no room for a file any more."""
        try:
            with self._index.write() as db:
                release(db, file)
        except (StoreBusy, OutOfSpace):
            return  # it counts as abandoned

    def relieve(self) -> None:
        """Begin to evict if a new limit is too low for what is there."""
        with self._index.read() as db:
            used, limit = db.execute("SELECT bytes, max_size FROM store").fetchone()
        if _is_high(used, limit):
            self.evictor().start()

    def check(self, charge: int) -> None:
        """Raise `OutOfSpace` if that many bytes can never fit."""
        with self._index.read() as db:
            (limit,) = db.execute("SELECT max_size FROM store").fetchone()
        if charge > limit:
            raise OutOfSpace(self._index.layout.root, charge, limit)

    def evictor(self) -> Evictor:
        """What evicts; a forked child has its own."""
        if self._evictor is None or self._pid != os.getpid():
            self._evictor, self._pid = self._new_evictor(), os.getpid()
        return self._evictor

    def close(self) -> None:
        """Let the background eviction end after its batch."""
        if self._evictor is not None and self._pid == os.getpid():
            self._evictor.finish()

    def _make(self, charge: int) -> None:
        """Evict until there is room, in competition with other processes that do the same."""
        vain = 0
        while vain < _ATTEMPTS:
            with self._index.read() as db:
                used, limit, _, min_lifetime = db.execute(_TAKEN).fetchone()
                if used + charge <= limit:
                    return
                kept = reserved(db)
            if kept and self._drop_abandoned():
                continue
            if charge + kept > limit or (vain and min_lifetime):
                break
            vain += not self.evictor().evict_batch(limit - charge - kept)
        raise OutOfSpace(self._index.layout.root, charge, limit, min_lifetime)

    def _drop_abandoned(self) -> int:
        with self._index.write() as db:
            return drop_abandoned(db, self._index.layout)
