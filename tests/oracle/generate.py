# SPDX-License-Identifier: Apache-2.0
"""Rounds from a seed: the registry of generators, and the histories that they share."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import attrs

from tests.oracle import bytecode, checkouts, git, linked_inputs, own_outputs, races, shells
from tests.oracle.histories import round_of
from tests.oracle.operations import IDIOMS
from tests.oracle.rounds import Round
from tests.oracle.script import Script, block, do
from tests.oracle.worlds import FILES, OUTPUTS

BY_PYTHON = 0.1
"""The share of programs that Python runs: its start is most of what such a round costs."""


@attrs.frozen
class Generator:
    """A source of rounds; `share` is how often it is taken, against the others' shares."""

    make: Callable[[Random, int, str | None], Round]
    share: int


def generate(seed: int, strict: bool = False, only: str | None = None, focus: str | None = None) -> Round:
    """Make the round of a seed; `only` names one generator, `focus` a fact kind that operations should turn on."""
    rng = Random(f"{seed} {only} {focus}")
    names = [only] if only else ["operations"] if focus else list(GENERATORS)
    name = rng.choices(names, [GENERATORS[one].share for one in names])[0]
    made = GENERATORS[name].make(rng, seed, focus)
    return attrs.evolve(made, options=("--strict", *made.options)) if strict else made


def of_operations(rng: Random, seed: int, focus: str | None) -> Round:
    """Make a program of two to six idioms, some of them in children or in other folders."""
    idioms = [one for one in IDIOMS if focus is None or focus in one.kinds]
    count = rng.randrange(2, 7) if focus is None else 2
    parts = [one.make(rng) for one in rng.choices(idioms, [one.share for one in idioms], k=count)]
    program = tuple(instruction for part in parts for instruction in _wrapped(rng, part.script))
    ending = block("if-exists", "out4", body=(do("exit", 3),)) if rng.random() < 0.08 else None
    ordered = any(name in repr(program) for name in ("'compared'", "'if-newer'"))
    made = round_of(
        rng, "operations", seed, parts, focus is not None, program=(*program, *((ending,) if ending else ())),
        ordered=ordered, options=("--cache-failures",) if ending and rng.random() < 0.5 else (),
    )  # fmt: skip
    return attrs.evolve(made, python=rng.random() < BY_PYTHON)


def of_shell_lines(rng: Random, seed: int, focus: str | None) -> Round:
    """Make a program of a few shell lines."""
    parts = shells.parts(rng)
    program = tuple(instruction for part in parts for instruction in part.script)
    ordered = shells.is_timed(parts)
    return round_of(rng, "shell lines", seed, parts, focus is not None, program=program, kind="shell", ordered=ordered)


GENERATORS = {
    "operations": Generator(of_operations, 72),
    "shell lines": Generator(of_shell_lines, 10),
    "own outputs": Generator(own_outputs.make, 9),
    "checkouts": Generator(checkouts.make, 5),
    "bytecode": Generator(bytecode.make, 4),
    "races": Generator(races.make, 4),
    "git": Generator(git.make, 4),
    "linked inputs": Generator(linked_inputs.make, 4),
}


def _wrapped(rng: Random, part: Script) -> Script:
    """Leave a part as it is, or let a child do it, or stand in a folder or under a condition."""
    if rng.random() < 0.75:
        return part
    return rng.choice(
        (
            (block("child", body=part),),
            (block("fork", body=part),),
            (block("thread", body=part),),
            (block("in", "d", body=part),),
            (block("if-exists", rng.choice((*FILES, *OUTPUTS)), body=part, otherwise=(do("say", "not there"),)),),
            (block("if-variable", "MODE", "first", body=part),),
        )
    )
