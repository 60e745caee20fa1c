# SPDX-License-Identifier: Apache-2.0
"""Programs that look at their own outputs, over and over in place: the ground of the relaxation of own outputs."""

from __future__ import annotations

from random import Random

import attrs

from tests.oracle.changes import Aim, aims, change
from tests.oracle.histories import VARIABLES
from tests.oracle.rounds import Round, Step
from tests.oracle.script import Script, do
from tests.oracle.worlds import stamps

# Each with its output. A line is for `sh -c`; a tuple is a command by itself. `source.c` and `in1` are inputs.
REPLACING: tuple[tuple[str | tuple[str, ...], bytes], ...] = (
    (("gcc", "-c", "source.c", "-o", "out1"), b"out1"),
    (("gcc", "-c", "source.c", "-o", "out1", "-MD", "-MF", "out2"), b"out2"),
    (("gcc", "-c", "source.c"), b"source.o"),
    (("gcc", "-S", "source.c", "-o", "o/out3"), b"o/out3"),
    (("gcc", "-shared", "-fPIC", "source.c", "-o", "out1"), b"out1"),
    (("cp", "in1", "out1"), b"out1"),
    (("cp", "in1", "source.c", "o"), b"o/in1"),
    (("install", "-m", "640", "in1", "out1"), b"out1"),
    (("install", "-C", "in1", "out1"), b"out1"),
    ("gcc -c source.c -o out1 && cat in1 > out2", b"out1"),
    (("sort", "-o", "out1", "in1"), b"out1"),
    ("cat in1 > out1; wc -c out1", b"out1"),
    ("cat in1 > out1.tmp && mv out1.tmp out1", b"out1"),
    ("cmp -s in1 out1 || cp in1 out1", b"out1"),
    ("rm -f out1; cat in1 > out1", b"out1"),
    ("ls > out1", b"out1"),
    ("touch out1; cat in1 | tee out1", b"out1"),
)
"""Their results do not depend on what they find where the output goes: it may be declared."""
DECIDING: tuple[tuple[str | tuple[str, ...], bytes], ...] = (
    (("cp", "-n", "in1", "out1"), b"out1"),
    (("cp", "--backup", "in1", "out1"), b"out1"),
    ("[ -s out1 ] || cat in1 > out1", b"out1"),
    ("[ -e out1 ] && echo again; cat in1 > out1", b"out1"),
    # The old output matters for one input only: no rule that is learnt from the others may cover it.
    ('e=; [ -e out1 ] && e=1; read l < in1; [ "$l" = "input 1" ] && [ "$e" ] && echo again; cat in1 > out1', b"out1"),
    ("mkdir -p o/p && cat in1 > o/p/out && ls o", b"o/p/out"),
    ("test -d o/p || mkdir o/p; cat in1 > o/p/out", b"o/p"),
    ("cat in1 >> out1", b"out1"),
    ("ln -sf in1 out1; cat out1", b"out1"),
    ("chmod 600 out1 2>&1; cat in1 > out1", b"out1"),
    ("sort -o in1 in1; cat in1 > out1", b"in1"),
)
SOURCES = ("int one(void) { return 1; }\n", "int two(void) { return 22; }\n", "int one(void) { return 3; }\n")
OUTPUT = ("edit", "flip", "touch", "dangle", "to directory", "to symlink", "chmod", "read only", "hard link", "delete")
RUNS = 5


def make(rng: Random, seed: int, focus: str | None) -> Round:
    """Run one program in place again and again, while its input goes back and forth and its output is tampered with."""
    program = rng.choice(REPLACING + DECIDING)
    command, output = program
    words = (command,) if isinstance(command, str) else command
    options = ("--output", output.decode()) if program in REPLACING and rng.random() < 0.3 else ()
    first = Step(variables=VARIABLES)
    steps = (first, *(_step(rng, first, output) for _ in range(RUNS - 1)))
    return Round(
        "own outputs", seed, _world(rng), tuple(do("line", word) for word in words), steps,
        kind="shell" if isinstance(command, str) else "command", options=options,
    )  # fmt: skip


def _world(rng: Random) -> Script:
    made = [do("mkdir", "o"), *_inputs(0)]
    if rng.random() < 0.3:
        made.append(do("write", "out1", "of the user\n"))
    return (*made, do("stamp", "source.c", 1_100_000_000), *stamps(rng))


def _inputs(number: int) -> Script:
    return (do("write", "source.c", SOURCES[number]), do("write", "in1", f"input {number}\n"))


def _step(rng: Random, first: Step, output: bytes) -> Step:
    """Ask again in place, with nothing changed, with other inputs (often earlier ones), or with a changed output."""
    dice = rng.random()
    if dice < 0.3:
        return attrs.evolve(first, anew=False, label="again in place")
    if dice < 0.45:
        return attrs.evolve(first, label="again from the start")
    if dice < 0.7:
        changes = _inputs(rng.randrange(len(SOURCES)))
        return attrs.evolve(first, anew=False, aimed=True, changes=changes, label="other inputs")
    aim: Aim = rng.choice(aims(output, *OUTPUT))
    changes = change(rng, aim)
    return attrs.evolve(first, anew=False, aimed=True, changes=changes, label=f"{aim.change} {output!r}")
