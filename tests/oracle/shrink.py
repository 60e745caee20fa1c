# SPDX-License-Identifier: Apache-2.0
"""Making a failing round small: less program, less world, fewer runs, nothing special around them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import attrs

from tests.oracle import script
from tests.oracle.rounds import Round, Step


def shrink(one: Round, fails: Callable[[Round], bool], seconds: float = 180) -> Round:
    """Cut a failing round down for as long as it still fails, or until the time is over."""
    deadline = time.monotonic() + seconds
    improved = True
    while improved:
        improved = False
        for candidate in smaller(one):
            if time.monotonic() > deadline:
                return one
            if fails(candidate):
                one, improved = candidate, True
                break
    return one


def smaller(one: Round) -> Iterator[Round]:
    """Give every round with one thing less, the largest cuts first."""
    for number in range(len(one.steps)):
        yield attrs.evolve(one, steps=one.steps[:number] + one.steps[number + 1 :])
    for program in script.cuts(one.program):
        if one.kind == "command" and program[:1] != one.program[:1]:
            continue  # its first word is the program
        yield attrs.evolve(one, program=program)
    for world in script.cuts(one.world):
        if not _stamped(one.world) - _stamped(world) & _named(world):
            yield attrs.evolve(one, world=world)
    for number, step in enumerate(one.steps):
        for plainer in _plainer(step):
            yield attrs.evolve(one, steps=(*one.steps[:number], plainer, *one.steps[number + 1 :]))
    simple = (
        attrs.evolve(one, streams="pipes"), attrs.evolve(one, ordered=False), attrs.evolve(one, options=()),
    )  # fmt: skip
    yield from (candidate for candidate in simple if candidate != one)


def _stamped(world: script.Script) -> set[bytes]:
    """What has a time of its own; without one the order of times differs by chance from world to world."""
    return {instruction.words[0] for instruction in world if instruction.name == "stamp"}


def _named(world: script.Script) -> set[bytes]:
    return {word for instruction in world if instruction.name != "stamp" for word in instruction.words}


def _plainer(step: Step) -> Iterator[Step]:
    for changes in script.cuts(step.changes):
        yield attrs.evolve(step, changes=changes)
    for number in range(len(step.variables)):
        yield attrs.evolve(step, variables=step.variables[:number] + step.variables[number + 1 :])
    simple = (
        attrs.evolve(step, stdin=None, stdin_offset=0), attrs.evolve(step, stdin_offset=0),
        attrs.evolve(step, place="place"), attrs.evolve(step, who="program"),
        attrs.evolve(step, lead=0), attrs.evolve(step, umask=0o022),
    )  # fmt: skip
    yield from (candidate for candidate in simple if candidate != step)
