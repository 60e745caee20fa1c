# SPDX-License-Identifier: Apache-2.0
"""The same program in several checkouts, homes and sessions: the ground of the relaxation of identity."""

from __future__ import annotations

from random import Random

import attrs

from tests.oracle.histories import VARIABLES
from tests.oracle.rounds import Round, Step
from tests.oracle.script import Script, do

# What `{root}` and `{home}` stand for differs from step to step. Most are compilers, which are shared unless
# their results tell the place; the others always belong to it.
PROGRAMS: tuple[tuple[str, ...], ...] = (
    ("gcc", "-c", "source.c", "-o", "out"),
    ("gcc", "-c", "{root}/source.c", "-o", "out"),
    ("gcc", "-g", "-c", "source.c", "-o", "out"),
    ("gcc", "-E", "source.c"),
    ("gcc", "-E", "{root}/source.c"),
    ("gcc", "-I{root}/include", "-c", "source.c", "-o", "{root}/out"),
    ("gcc", "-I{home}/include", "-c", "source.c", "-o", "out"),
    ("gcc", "-H", "-I", "{root}/include", "-fsyntax-only", "source.c"),
    ("gcc", "-MD", "-MF", "out.d", "-I{root}/include", "-c", "source.c", "-o", "out"),
    ("gcc", "-shared", "-fPIC", "-Wl,-rpath,{root}", "source.c", "-o", "out"),
    ("as", "source.s", "-o", "out"),
    ("as", "-g", "source.s", "-o", "out"),
    ("cp", "source.c", "out"),
    ("sh", "-c", "pwd > out"),
    ("sh", "-c", "echo $HOME $USER $TERM"),
    ("sh", "-c", "cat {root}/source.c > out"),
    ("ln", "-s", "{root}/source.c", "out"),
    ("tar", "cf", "out", "{root}/include"),
    ("touch", "{root}/out"),
    ("realpath", "source.c"),
    ("env",),
)
SOURCES = (
    "int one(void) { return 1; }\n",
    '#include "header.h"\nint one(void) { return HEADER; }\n',
    "const char *file = __FILE__;\n",
    "/* somebody made this */ int one;\n",
    '#warning "look"\nint one;\n',
    "const char *word = \"somebody\";\n",
    '#include <header.h>\nconst char *place = __BASE_FILE__;\n',
)  # fmt: skip
RUNS = 5


def make(rng: Random, seed: int, focus: str | None) -> Round:
    """Run one program in several places."""
    first = Step(variables=VARIABLES)
    steps = (first, *(_step(rng, first) for _ in range(RUNS - 1)))
    program = tuple(do("line", word) for word in rng.choice(PROGRAMS))
    return Round("checkouts", seed, _world(rng), program, steps, kind="command")


def _world(rng: Random) -> Script:
    made = [
        do("mkdir", "include"), do("mkdir", "~/include"), do("write", "source.c", rng.choice(SOURCES)),
        do("write", "source.s", ".globl one\none: ret\n"), do("write", "include/header.h", "#define HEADER 1\n"),
    ]  # fmt: skip
    if rng.random() < 0.5:
        made.append(do("write", "~/include/header.h", "#define HEADER 2\n"))
    paths = ("source.c", "source.s", "include/header.h", "~/include/header.h", "include")
    return (*made, *(do("stamp", path, 1_200_000_000 + place) for place, path in enumerate(paths)))


def _step(rng: Random, first: Step) -> Step:
    """Ask again elsewhere, as somebody else, or after an edit."""
    step = attrs.evolve(first, label="again from the start")
    if rng.random() < 0.6:
        step = attrs.evolve(step, aimed=True, place=rng.choice(("elsewhere", "third")), label="elsewhere")
    if rng.random() < 0.3:
        name = rng.choice(("USER", "TERM"))
        step = attrs.evolve(step, aimed=True, variables=(*VARIABLES, (name, "somebodyelse")), label=f"other {name}")
    if rng.random() < 0.3:
        edited = (do("write", "source.c", rng.choice(SOURCES)),)
        step = attrs.evolve(step, aimed=True, changes=edited, label=f"{step.label}, edited")
    return step
