# SPDX-License-Identifier: Apache-2.0
"""Ages: when an entry was last used, told coarsely so that a hit seldom writes."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _sqlite3 as sqlite

GRAIN_SECONDS = 3600  # an entry's age is renewed at most this often, or at this share of `min_lifetime` ...
GRAIN_LIFETIME = 8
GRAIN_SHARE = 1024  # ... or once this fraction of the limit was added since
HIT_PATIENCE = 0.05  # seconds that a hit waits for the write lock; a renewal that waits longer is left out


class Clock:
    """When an entry counts as used: seconds and the bytes ever added, both at one look at the store.

    The second orders entries by use however clocks are set, and stands still while nothing is added: a hit
    in a store that does not grow writes nothing. `min_lifetime` (seconds) is what the store promises: an entry that
    was stored or renewed is not evicted for that long.
    """

    __slots__ = ("grain", "min_lifetime", "now", "seconds", "turn")

    def __init__(self, added: int, max_size: int, min_lifetime: int) -> None:
        self.now = int(time.time())
        self.turn = added
        self.grain = max_size // GRAIN_SHARE
        self.min_lifetime = min_lifetime
        self.seconds = min(GRAIN_SECONDS, max(1, min_lifetime // GRAIN_LIFETIME)) if min_lifetime else GRAIN_SECONDS

    def stale(self, used: int, turn: int) -> bool:
        """Whether an entry that was used then has to be renewed."""
        earliest, latest, first = self.fresh()
        return turn < first or not earliest <= used <= latest

    def fresh(self) -> tuple[int, int, int]:
        """When an entry was used that need not be renewed: from a time, to a time, and from a turn on."""
        return self.now - self.seconds, self.now + self.seconds, self.turn - self.grain

    def may_go(self, used: int) -> bool:
        """Whether what counts as used then may be evicted; since ages are coarse, it may have been used later."""
        return not self.min_lifetime or abs(self.now - used) > self.min_lifetime + self.seconds


def clock_of(db: sqlite.Connection) -> Clock:
    """The store's clock as a transaction sees it."""
    return Clock(*db.execute("SELECT added, max_size, min_lifetime FROM store").fetchone())
