# SPDX-License-Identifier: Apache-2.0
"""Histories: which changes come between the runs of a program."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import attrs

from tests.oracle.changes import AROUND, EVERYWHERE, Aim, change
from tests.oracle.operations import Part
from tests.oracle.rounds import Round, Step
from tests.oracle.script import Script
from tests.oracle.worlds import FILES, OUTPUTS, world

ASKED_AGAIN = 4
VARIABLES = (("MODE", "first"), ("TERM", "vt100"), ("USER", "somebody"))
STREAMS = ("pipes",) * 6 + ("one pipe", "file", "append")


def round_of(
    rng: Random, generator: str, seed: int, parts: Sequence[Part], focused: bool, *, program: Script,
    kind: str = "operations", ordered: bool = False, options: tuple[str, ...] = (),
) -> Round:  # fmt: skip
    """Put a program into the usual world, with a history that its parts' aims suggest."""
    aims = [aim for part in parts for aim in part.aims]
    reads_stdin = any(aim.change.startswith("stdin") for aim in aims)
    first = Step(variables=VARIABLES, stdin=b"first line\nsecond\n" if reads_stdin else None)
    steps = (first, *history(rng, first, aims, focused))
    return Round(
        generator, seed, world(rng), program, steps, kind, ordered, options,
        "pipes" if focused or ordered else rng.choice(STREAMS),
    )  # fmt: skip


def history(rng: Random, first: Step, aims: Sequence[Aim], focused: bool) -> list[Step]:
    """Ask again a few times: unchanged, in place, after a change, and after the same change once more."""
    if focused:
        return [aimed(rng, first, rng.choice(aims)) for _ in range(3)]
    steps: list[Step] = []
    while len(steps) < ASKED_AGAIN:
        dice = rng.random()
        if dice < 0.38 and aims:
            steps.append(aimed(rng, first, rng.choice(aims)))
            if rng.random() < 0.55:
                steps.append(steps[-1])
        elif dice < 0.5:
            steps.append(unaimed(rng, first))
        elif dice < 0.72:
            steps.append(attrs.evolve(first, anew=False, label="again in place"))
        else:
            steps.append(attrs.evolve(first, label="again from the start"))
    return steps[:ASKED_AGAIN]


def unaimed(rng: Random, first: Step) -> Step:
    """Change something that the program may well never look at."""
    aim = Aim(rng.choice((*FILES, *OUTPUTS, b"unrelated", b"d/unrelated")), rng.choice(EVERYWHERE))
    return attrs.evolve(first, changes=change(rng, aim), label=f"{aim.change} {aim.subject!r}")


def aimed(rng: Random, first: Step, aim: Aim) -> Step:
    """Change what an aim says, mostly in a world made anew, sometimes on top of what earlier runs left."""
    step = attrs.evolve(first, aimed=True, anew=rng.random() < 0.8, label=f"{aim.change} {aim.subject!r}")
    if aim.change not in AROUND:
        return attrs.evolve(step, changes=change(rng, aim))
    if aim.change == "variable":
        value = rng.choice((None, "", "second", "longer than eight"))
        return attrs.evolve(step, variables=(*first.variables, (aim.subject.decode(), value)))
    if aim.change == "stdin":
        return attrs.evolve(step, stdin=rng.choice((b"", b"other line\nand more", b"first line\nthird\n")))
    if aim.change == "stdin offset":
        return attrs.evolve(step, stdin_offset=rng.choice((2, 6)))
    if aim.change == "place":
        return attrs.evolve(step, place="elsewhere")
    return attrs.evolve(step, umask=rng.choice((0o077, 0o002)))
