# SPDX-License-Identifier: Apache-2.0
"""`pytrace explain` names every cause of a miss, one at a time and several together, in text and in JSON."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import pytrace_exec.cli
from tests.exec.cli.miss_causes import CAUSES, Call, Cause, Workshop, check, chosen
from tests.exec.cli.project import Ended, Project
from tests.support import caller, tree
from tests.support.zygote import Zygote

pytestmark = pytest.mark.strace

PAIRS = (
    ("content", "listing"),
    ("tool", "environment"),
    ("missing", "own output"),
    ("invalidated", "link"),
    ("arguments", "shadowed"),
    ("declared", "umask"),
)
ROUNDS = 200


@pytest.fixture(scope="module")
def workshop() -> Iterator[Workshop]:
    base = Path(os.path.realpath(tempfile.mkdtemp(prefix="pytrace-causes-")))
    zygote = Zygote((sys.executable,), str(Path(pytrace_exec.__file__).parent.parent), "pytrace_exec.cli.main")

    def run(project: Project, call: Call, form: tuple[str, ...]) -> Ended:
        argv = ["pytrace", "explain", *form, *call.options, "--", *call.words]
        env = {**project.environment(call.folder), **call.variables}
        done = zygote.run(
            argv, cwd=str(project.base / call.folder), env=env, umask=call.umask, timeout=120, stdin=null,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        return Ended(done.returncode, done.stdout, done.stderr)

    null = os.open(os.devnull, os.O_RDWR)
    try:
        yield Workshop(Project.make(base), run)
    finally:
        os.close(null)
        zygote.close()
        tree.remove(os.fsencode(base))


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.name)
def test_one_cause(workshop: Workshop, cause: Cause) -> None:
    check((cause,), *workshop.explained((cause,)))


@pytest.mark.parametrize("names", PAIRS, ids=" and ".join)
def test_two_causes(workshop: Workshop, names: tuple[str, str]) -> None:
    causes = tuple(cause for cause in CAUSES if cause.name in names)
    assert len(causes) == 2
    check(causes, *workshop.explained(causes))


def test_nothing_has_changed(workshop: Workshop) -> None:
    found, text = workshop.explained(())
    assert (found.status, text.status, found.json["reasons"]) == (0, 0, []), found


@pytest.mark.soak
def test_two_hundred_pairs_and_triples(workshop: Workshop) -> None:
    """What is expected comes from what was done, never from what is told."""
    seed = int(caller.ENVIRONMENT.get("MISS_CAUSES_SEED", time.time_ns() % 10**6))
    print(f"seed {seed}: MISS_CAUSES_SEED={seed} does the same again")
    wrong = []
    for causes in chosen(seed, ROUNDS):
        try:
            check(causes, *workshop.explained(causes))
        except AssertionError as error:
            wrong.append(str(error).split("\n")[0])
    assert not wrong, f"seed {seed}: {len(wrong)} of {ROUNDS}:\n" + "\n".join(wrong)
