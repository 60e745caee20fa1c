# SPDX-License-Identifier: Apache-2.0
"""`kill -9` of wrappers under load: what was acknowledged hits, no name holds a part, nothing is left running."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import sysconfig
import time

import pytest

from tests.exec.wrapper.kills.deck import Deck
from tests.exec.wrapper.kills.load import AGE, DYING_WRAPPER, FEW, MOMENTS, NAMED, Worker, is_whole
from tests.exec.wrapper.kills.orphans import adopted
from tests.exec.wrapper.place import Place

pytestmark = [pytest.mark.anew]

WORKERS = 3


@pytest.mark.parametrize(
    ("tracer", "named", "kills"),
    [
        pytest.param("native", NAMED, 0, marks=pytest.mark.native),
        pytest.param("strace", FEW, 0, marks=pytest.mark.strace),
        pytest.param("native", NAMED, 200, marks=[pytest.mark.native, pytest.mark.soak]),
        pytest.param("strace", NAMED, 200, marks=[pytest.mark.strace, pytest.mark.soak]),
    ],
    ids=["native", "strace", "native-soak", "strace-soak"],
)
def test_killed_at_random_and_at_named_points(
    place: Place, capsys: pytest.CaptureFixture[str], tracer: str, named: tuple[str, ...], kills: int
) -> None:
    """All that are named, and more; `before`, `during` and `after` the write of a result, or while `replaying` one."""
    deck = Deck.of(kills, named, tuple(MOMENTS), random.Random(kills))
    wanted = len(deck.aims)
    workers = [Worker(place, tracer, number, deck) for number in range(WORKERS)]
    with adopted():
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        for failure in (worker.failure for worker in workers if worker.failure is not None):
            raise failure
        for worker in workers:
            for version in worker.acknowledged:
                worker.answer(version)
    acknowledged = sum(len(worker.acknowledged) for worker in workers)
    with capsys.disabled():
        print(f"\n{tracer}: wrapper killed: {deck.told('wrapper')}, {acknowledged} results acknowledged")
    assert sum(deck.fell.values()) == wanted
    assert deck.told("wrapper").keys() >= set(MOMENTS)
    assert sum(not is_whole(line) for line in place.lines()) <= wanted
    is_sound(place)


def is_sound(place: Place) -> None:
    """`pytrace-cas check` finds nothing."""
    command = (os.path.join(sysconfig.get_path("scripts"), "pytrace-cas"), "check", "--read-data", "--dir", place.store)
    assert subprocess.run(command, env=place.environment(), stdout=subprocess.DEVNULL, check=False).returncode == 0


def test_what_a_killed_wrapper_left_is_swept(place: Place) -> None:
    """A part of a blob stays in the store's `tmp/` until a file is added an hour later; nothing lies anywhere else."""
    folder = place.base / "tmp"
    folder.mkdir()
    place.put("in", "line\n" * 10_000)
    environment = place.environment({"TMPDIR": str(folder)})
    words = [sys.executable, str(DYING_WRAPPER), str(place.base / "moment"), "written", "--", "cp", "in", "out"]
    with adopted():
        assert subprocess.run(words, cwd=place.root, env=environment, check=False).returncode == -9
    (left,) = (place.store / "tmp").iterdir()
    for path in (left, place.store / "maintenance"):
        os.utime(path, (time.time() - AGE, time.time() - AGE))
    assert place.run("--", "cp", "in", "other", variables={"TMPDIR": str(folder)}).outcome == "miss"
    assert list((place.store / "tmp").iterdir()) == []
    assert list(folder.iterdir()) == []


def test_a_line_of_the_statistics_that_was_cut_short_spoils_no_other(place: Place) -> None:
    """A kill within a long write can leave a part of a line."""
    place.log.write_bytes(b'{"schema":1,"outc')
    assert place.run("--", "echo").outcome == "miss"
    assert len(place.lines()) == 2
