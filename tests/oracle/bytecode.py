# SPDX-License-Identifier: Apache-2.0
"""Python programs with modules and their `.pyc` files: the ground of values by meaning."""

from __future__ import annotations

from random import Random

import attrs

from tests.oracle.changes import aims, change
from tests.oracle.histories import VARIABLES
from tests.oracle.rounds import Round, Step
from tests.oracle.script import Script, do
from tests.support.runner import interpreter

MAIN = """import os
import first
try:
    import second
except ImportError as error:
    print(error)
else:
    print(second.VALUE)
print(first.VALUE)
"""
LISTING = "print(sorted(os.listdir('__pycache__')) if os.path.exists('__pycache__') else 'no cache')\n"
PATHS = (b"first.py", b"second.py", b"package/__init__.py", b"package/inner.py")
CACHED = tuple(b"__pycache__/%s.cpython-%d%d.pyc" % (name, 3, minor) for name in (b"first", b"second")
               for minor in (11, 12, 13, 14))  # fmt: skip
SOURCE = ("flip", "flip", "quiet flip", "touch", "delete", "edit")
RUNS = 5


def make(rng: Random, seed: int, focus: str | None) -> Round:
    """Run a script that imports modules, while sources and bytecode come, go and grow stale."""
    first = Step(variables=VARIABLES)
    steps = (first, *(_step(rng, first) for _ in range(RUNS - 1)))
    options = rng.choice((("-S",), ("-S",), ("-S", "-B"), ("-S", "--check-hash-based-pycs", "always")))
    program = tuple(do("line", word) for word in (interpreter(), *options, "main.py"))
    return Round("bytecode", seed, _world(rng), program, steps, kind="command")


def _world(rng: Random) -> Script:
    main = MAIN + (LISTING if rng.random() < 0.3 else "")
    inner = "from package import inner\nVALUE = inner.VALUE\n" if rng.random() < 0.5 else "VALUE = 'second'\n"
    made = [
        do("mkdir", "package"), do("write", "main.py", main), do("write", "first.py", "VALUE = 1\n"),
        do("write", "second.py", inner), do("write", "package/__init__.py", ""),
        do("write", "package/inner.py", "VALUE = 3\n"),
    ]  # fmt: skip
    return (*made, *_stamps(1_200_000_000), do("stamp", "package", 1_200_000_008), do("stamp", ".", 1_200_000_009))


def _stamps(first: int) -> Script:
    """Times as a checkout sets them: all sources after one another."""
    paths = ("main.py", *(path.decode() for path in PATHS))
    return tuple(do("stamp", path, first + place) for place, path in enumerate(paths))


def _step(rng: Random, first: Step) -> Step:
    """Ask again anew or in place, unchanged, with other times, or after a change of source, bytecode, or its folder."""
    step = attrs.evolve(first, anew=rng.random() < 0.4, label="again")
    if step.anew and rng.random() < 0.4:
        return attrs.evolve(step, changes=_stamps(1_200_000_000 + rng.randrange(1, 3) * 1000), label="other times")
    if rng.random() < 0.4:
        return step
    aim = rng.choice((
        *aims(rng.choice(PATHS), *SOURCE), *aims(rng.choice(CACHED), "flip", "delete", "touch"),
        *aims(b"__pycache__", "delete", "clutter"), *aims(b"second.py", "to directory"),
    ))  # fmt: skip
    return attrs.evolve(step, aimed=True, changes=change(rng, aim), label=f"{aim.change} {aim.subject!r}")
