# SPDX-License-Identifier: Apache-2.0
"""The tracer, the command or a child of it is killed: the tree is a plain run's, nothing is stored, nobody is left."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.exec.wrapper.kills.deck import Deck
from tests.exec.wrapper.kills.instants import build_dying_tracer
from tests.exec.wrapper.kills.orphans import adopted
from tests.exec.wrapper.kills.runs import Runs, at_random, named
from tests.exec.wrapper.kills.test_wrapper_kills import is_sound
from tests.exec.wrapper.place import Place

WORKERS = 2
MOMENTS = ("before", "during", "after")
TRACERS = [
    pytest.param("native", marks=[pytest.mark.native, pytest.mark.compiler]),
    pytest.param("strace", marks=pytest.mark.strace),
]


@pytest.fixture(scope="module")
def dying_tracer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The native tracer that ends itself."""
    return build_dying_tracer(tmp_path_factory.mktemp("tracer"))


@pytest.fixture
def program(tracer: str, request: pytest.FixtureRequest) -> Path | None:
    """The tracer that ends itself, if it is one of ours."""
    found: Path | None = request.getfixturevalue("dying_tracer") if tracer == "native" else None
    return found


@pytest.mark.parametrize(
    ("kills", "seed"), [(0, 0), *(pytest.param(100, seed, marks=pytest.mark.soak) for seed in range(1, 4))]
)
@pytest.mark.parametrize("tracer", TRACERS)
def test_killed_at_random_and_at_named_instants(
    place: Place, program: Path | None, capsys: pytest.CaptureFixture[str], tracer: str, kills: int, seed: int
) -> None:
    """All that are named, and more; `before`, `during` and `after` the making of the command's result in the tree."""
    deck = Deck.of(kills, named(tracer), at_random(tracer), random.Random(seed))
    wanted = len(deck.aims)
    workers = [Runs(place, tracer, 10 * seed + number, deck, program) for number in range(WORKERS)]
    with adopted():
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        for failure in (worker.failure for worker in workers if worker.failure is not None):
            raise failure
        for worker in workers:
            worker.answer_all()
    with capsys.disabled():
        for victim in ("tracer", "command", "child", "holder"):
            print(f"\n{tracer}: {victim} killed: {deck.told(victim)}", end="")
        print()
    assert sum(deck.fell.values()) >= wanted  # those that are to fall at a moment may fall at another as well
    assert all(deck.told(victim).keys() >= set(MOMENTS) for victim in ("tracer", "command", "child"))
    assert os.listdir(place.store / "tmp") == []
    is_sound(place)
