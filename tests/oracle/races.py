# SPDX-License-Identifier: Apache-2.0
"""Two wrapped commands that run at one time in one tree: what either stores must be what it really read and made."""

from __future__ import annotations

from random import Random

import attrs

from tests.oracle.changes import aims, change
from tests.oracle.histories import VARIABLES
from tests.oracle.rounds import Round, Step
from tests.oracle.script import do
from tests.oracle.worlds import world

SAME = (
    "cat in1 in2 > out1", "cp in1 out1", "cp -p in2 out1", "sort in1 > t.$$; mv t.$$ out1", "cat in1 in2; ls d o",
    "rm -f out1; cat in1 > out1", "mkdir -p p/q && cp in1 p/q/out", "install -D in2 p/q/out", "touch new; ls new",
    "sed s/1/2/ in1 | tee out1", "mkdir p && echo made", "[ -e out1 ] || echo first > out1",
    "dd if=in1 of=out1 bs=1k status=none; sleep 0.02", "tar --mtime=@0 --sort=name -C d -cf out.tar .",
    "cp -r d d2 2>&1 | wc -c; ls d2/sub",
)  # fmt: skip
"""Run twice at one time. Some say another thing when they come second."""
LOOSE = (
    "cp -r d d2 2>&1 | wc -c; ls d2/sub", "[ -e out1 ] || echo first > out1", "sed s/1/2/ in1 | tee out1",
    "cp in1 out1", "cp -p in2 out1", "mkdir -p p/q && cp in1 p/q/out", "install -D in2 p/q/out",
    "sort in1 > out1",
)  # fmt: skip
"""Those that may fail, or do half, when the other makes meanwhile what was not there when they looked."""
APART = (
    ("cat in1 in2 > out1", "sort in1 > out2"), ("cp in1 out1", "cp in1 out2"), ("cp -r d o/d1", "cp -r d o/d2"),
    ("mkdir -p p/a; cp in1 p/a/x", "mkdir -p p/b; cp in2 p/b/y"), ("cat in1 >> log1", "cat in1 in2"),
    ("ls d", "cat d/in3 > out1"), ("./tool > out1", "cat in1 > out2; sleep 0.02"), ("rm -f out1", "rm -rf o; mkdir o"),
    ("cat in1 > t.$$; mv t.$$ out1", "cat in2 > t.$$; mv t.$$ out2"), ("mkdir p; cp in1 p/x", "cat d/in3 > out2"),
)  # fmt: skip
"""They share inputs, and each makes an output of its own."""
NEW = "echo new > t; mv t in1"
CHANGING = (
    ("cat in1 > out1; sleep 0.03", NEW), ("sleep 0.03; cat in1", NEW), ("cp in1 out1; sleep 0.02", NEW),
    ("cat in1; sleep 0.03", "sed s/line/LINE/ in1 > t; touch -r in1 t; mv t in1"), ("cat in1; sleep 0.03", "rm -f in1"),
    ("ls d; sleep 0.03", "echo x > d/new"), ("cat ln; sleep 0.03", NEW),
    ("cat d/none 2>&1 || :; sleep 0.03", "echo x > t; mv t d/none"), ("cat out1 2>&1 || :", "cat in1 > t; mv t out1"),
    ("[ -e o/flag ] && echo yes; sleep 0.03", "touch o/flag"), ("stat -c %a in1; sleep 0.03", "chmod 600 in1"),
    ("readlink ln; sleep 0.03", "ln -sfn in2 ln"), ("cat dl/in3; sleep 0.03", "ln -sfn spare dl"),
    ("find d | sort; sleep 0.02", "mv d/sub spare/sub"), ("sort in1 > out1", "cat out1 2>&1 > t; mv t out2"),
)  # fmt: skip
"""The second changes what the first reads, in one call that is there or not."""
TORN = (
    ("cat in1; sleep 0.03; cat in1", NEW), ("cat in1 in1 > out1", "echo longer than before > in1"),
    ("cat in1; sleep 0.02; cat in2", "echo new > in1; echo new > in2"),
    ("cat in1; sleep 0.03; cat in1", "cp in1 t; echo x > in1; sleep 0.01; mv t in1"),
    ("ls d/*; sleep 0.02", "rm -f d/in3"),
    ("grep -r line d > out1", "for i in 1 2 3; do echo line $i > d/in3; rm d/in3; done"),
)  # fmt: skip
"""What the first finds may be half of one and half of the other; asked again it must be right all the same."""
LEADS = (0, 0, 0.005, 0.01, 0.02, 0.04, 0.06)
RUNS = 5


def make(rng: Random, seed: int, focus: str | None) -> Round:
    """Let two commands race, and ask for each by itself before and after it."""
    lines = (*((line, line) for line in SAME), *APART, *CHANGING, *CHANGING, *TORN)
    one, other = rng.choice(lines)
    loose = (one, other) in TORN or one in LOOSE
    first = Step(variables=VARIABLES)
    raced = attrs.evolve(first, who="both", aimed=True, loose=loose, lead=rng.choice(LEADS), label="both at one time")
    alone = [attrs.evolve(first, who=rng.choice(("program", "rival")), label="alone")] if rng.random() < 0.4 else []
    steps = (*alone, raced, *(_step(rng, first, raced) for _ in range(RUNS - 1)))
    return Round(
        "races", seed, world(rng), (do("line", one),), steps, kind="shell", rival=(do("line", other),)
    )  # fmt: skip


def _step(rng: Random, first: Step, raced: Step) -> Step:
    """Ask for either in place or from the start, or let them race again."""
    if rng.random() < 0.25:
        return attrs.evolve(raced, lead=rng.choice(LEADS), anew=rng.random() < 0.6, label="again at one time")
    step = attrs.evolve(first, who=rng.choice(("program", "program", "rival")), anew=rng.random() < 0.4, label="alone")
    if rng.random() < 0.2:
        aim = rng.choice(aims(rng.choice((b"in1", b"d/in3", b"out1")), "flip", "quiet flip", "edit", "delete"))
        return attrs.evolve(step, aimed=True, changes=change(rng, aim), label=f"{aim.change} {aim.subject!r}")
    return step
