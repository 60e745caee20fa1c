# SPDX-License-Identifier: Apache-2.0
"""What a number of rounds came to: hits, changed inputs, false misses by cause."""

from __future__ import annotations

import os
from collections import Counter

import attrs

from tests.oracle.rounds import Played, Turn
from tests.support.tree import Tree


@attrs.define
class Shares:
    """Tallies over rounds; `asked` counts the runs after each round's first."""

    rounds: int = 0
    asked: int = 0
    changed: int = 0
    hits: int = 0
    hits_after_a_change: int = 0
    not_stored: Counter[str] = attrs.field(factory=Counter)
    false_misses: Counter[str] = attrs.field(factory=Counter)
    outcomes: Counter[str] = attrs.field(factory=Counter)

    def add(self, played: Played) -> None:
        """Count a round."""
        self.rounds += 1
        for turn in played.turns:
            if turn.pair.record.outcome == "not_stored":
                self.not_stored[_cause(turn)] += 1
        for place, turn in enumerate(played.turns[1:], 1):
            hit = turn.pair.record.outcome == "hit"
            self.asked += 1
            self.outcomes[turn.pair.record.outcome] += 1
            self.changed += turn.changed
            self.hits += hit
            self.hits_after_a_change += hit and turn.changed
            if turn.pair.record.outcome == "miss" and is_false_miss(turn, played.turns[:place]):
                self.false_misses[_cause(turn)] += 1

    def unite(self, other: Shares) -> None:
        """Add another's tallies to these."""
        for field in attrs.fields(Shares):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))

    def report(self) -> str:
        """Say it in lines for a person."""
        lines = [
            f"rounds {self.rounds}, asked again {self.asked}",
            f"hit {_share(self.hits, self.asked)}, changed an input {_share(self.changed, self.asked)}"
            f" (and hit all the same {self.hits_after_a_change})",
            "outcomes: " + _listed(self.outcomes),
            f"false misses {_share(self.false_misses.total(), self.asked)}: " + _listed(self.false_misses),
            "not stored, first runs included: " + _listed(self.not_stored),
        ]
        return "\n".join(lines)


def is_false_miss(turn: Turn, earlier: tuple[Turn, ...]) -> bool:
    """Whether nothing that matters was changed, and a result stored before would have been right.

    A run in place can change its own inputs: then what its reasons name is no longer what the stored run found.
    """
    return not turn.changed and any(
        one.pair.record.outcome in ("hit", "miss") and _would_serve(one, turn) and _found_the_same(one, turn)
        for one in earlier
    )


def _found_the_same(stored: Turn, asked: Turn) -> bool:
    """Whether all that the reasons of a miss name was there before both runs, alike."""
    for reason in asked.pair.record.line["reasons"]:
        if reason["path"] is None or reason["path"].startswith("/"):
            continue
        path = b"work" if reason["path"] == "." else b"work/" + os.fsencode(reason["path"])
        if stored.before.get(path) != asked.before.get(path) or _names(stored.before, path) != _names(
            asked.before, path
        ):
            return False
    return True


def _names(tree: Tree, folder: bytes) -> set[bytes]:
    return {path for path in tree if os.path.dirname(path) == folder}


def _would_serve(stored: Turn, asked: Turn) -> bool:
    """Whether what one run said and left is exactly what another said and left."""
    one, other = stored.pair.plain, asked.pair.plain
    if (one.status, one.stdout, one.stderr) != (other.status, other.stdout, other.stderr):
        return False
    paths = stored.before.keys() | one.tree.keys()
    made = {path for path in paths if stored.before.get(path) != one.tree.get(path)}
    paths = asked.before.keys() | other.tree.keys()
    made |= {path for path in paths if asked.before.get(path) != other.tree.get(path)}
    return all(one.tree.get(path) == other.tree.get(path) for path in made)


def _cause(turn: Turn) -> str:
    return " + ".join(sorted(set(turn.pair.record.reasons))) or "no reason given"


def _share(part: int, whole: int) -> str:
    return f"{part}/{whole} ({part / max(whole, 1):.0%})"


def _listed(tally: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in tally.most_common()) or "none"
