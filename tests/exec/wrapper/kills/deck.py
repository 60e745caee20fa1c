# SPDX-License-Identifier: Apache-2.0
"""The kills that are still to be done."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Sequence

import attrs


@attrs.define
class Deck:
    """The kills that are still to be done, in an order by chance, and how far those were that were killed.

    `escapes`: how many more may end before they are killed.
    """

    aims: list[str]
    escapes: int
    fell: Counter[str] = attrs.field(factory=Counter)
    lock: threading.Lock = attrs.field(factory=threading.Lock, repr=False)

    @classmethod
    def of(cls, kills: int, named: Sequence[str], at_random: Sequence[str], chance: random.Random) -> Deck:
        """All aims once, then about as many at random as at named instants; shuffled."""
        aims = [*named, *at_random]
        aims += (chance.choice(chance.choice((named, at_random))) for _ in range(kills - len(aims)))
        chance.shuffle(aims)
        return cls(aims, escapes=10 * kills)  # on a quiet machine most get away after their commit

    def draw(self) -> str | None:
        """Take the next aim."""
        with self.lock:
            return self.aims.pop() if self.aims else None

    def put_back(self, aim: str) -> None:
        """The victim ended before it could be killed."""
        with self.lock:
            self.escapes -= 1
            assert self.escapes, f"nobody gets to {aim!r}"
            self.aims.insert(0, aim)

    def clear(self) -> None:
        """Something was found: no more kills."""
        with self.lock:
            self.aims.clear()

    def killed(self, moment: str) -> None:
        """Count a kill."""
        with self.lock:
            self.fell[moment] += 1

    def told(self, victim: str) -> dict[str, int]:
        """How many were killed how far, of one kind of victim; the counts are of `VICTIM MOMENT`."""
        counts = sorted(self.fell.items())
        return {key.partition(" ")[2]: count for key, count in counts if key.partition(" ")[0] == victim}
