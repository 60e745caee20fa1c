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

from tests.exec.wrapper.kills.load import AGE, AIMS, DYING_WRAPPER, Deck, Worker
from tests.exec.wrapper.kills.orphans import adopted
from tests.exec.wrapper.place import Place

pytestmark = [pytest.mark.strace]

WORKERS = 3


@pytest.mark.parametrize("kills", [len(AIMS), pytest.param(100, marks=pytest.mark.soak)])
def test_killed_at_random_and_at_named_points(place: Place, capsys: pytest.CaptureFixture[str], kills: int) -> None:
    deck = Deck.of(kills, random.Random(kills))
    workers = [Worker(place, number, deck, number) for number in range(WORKERS)]
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
        print(f"\n{kills} kills of {WORKERS} wrappers at work, {acknowledged} results acknowledged: {dict(deck.fell)}")
    assert sum(deck.fell.values()) == kills
    assert all(deck.fell[moment] for moment in ("before", "during", "after", "replaying"))
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
