# SPDX-License-Identifier: Apache-2.0
"""Many rounds over several processes, up to the first that catches the wrapper."""

from __future__ import annotations

import multiprocessing
import subprocess
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress

import attrs

from tests.oracle import forks
from tests.oracle.generate import generate
from tests.oracle.repeat import shell_script
from tests.oracle.rounds import Played, Round, play, steady
from tests.oracle.shares import Shares
from tests.oracle.shrink import shrink
from tests.support.sandbox import Sandbox

PREFIX = "pytrace-oracle-"
BATCH = 10
ANEW = 10


@attrs.frozen
class Batch:
    """Consecutive seeds for one process, and how their rounds are made and run.

    `forked`: most rounds fork their programs from prepared ones; one in `ANEW` never does, so that start-up is checked.
    """

    first: int
    count: int
    wrapper: tuple[str, ...]
    strict: bool = False
    only: str | None = None
    focus: str | None = None
    forked: bool = True

    def rounds(self) -> Iterator[Round]:
        """Make the rounds."""
        for seed in range(self.first, self.first + self.count):
            yield generate(seed, self.strict, self.only, self.focus)

    def split(self) -> list[Batch]:
        """Cut into batches that one process does in a few seconds."""
        starts = range(self.first, self.first + self.count, BATCH)
        end = self.first + self.count
        return [attrs.evolve(self, first=start, count=min(BATCH, end - start)) for start in starts]


@attrs.frozen
class Findings:
    """What came of some rounds: tallies, and the first round that caught the wrapper, if one did."""

    shares: Shares
    caught: Played | None = None


def try_batch(batch: Batch) -> Findings:
    """Play a batch until its end or its first failure."""
    shares = Shares()
    with Sandbox(PREFIX) as sandbox:
        for one in batch.rounds():
            start = forks.start if batch.forked and one.seed % ANEW else subprocess.run
            played = play(one, sandbox, batch.wrapper, start)
            shares.add(played)
            if played.failed:
                return Findings(shares, played)
    return Findings(shares)


def try_all(batch: Batch, processes: int, tell: Callable[[int], None] = lambda rounds: None) -> Findings:
    """Play all rounds of a batch in several processes, until the first failure; `tell` hears how many were played.

    An interrupt ends it early, with what was found until then.
    """
    shares, caught = Shares(), None
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        with suppress(KeyboardInterrupt):
            for findings in pool.map(try_batch, batch.split()):
                shares.unite(findings.shares)
                tell(shares.rounds)
                caught = caught or findings.caught
                if caught:
                    break
        pool.shutdown(cancel_futures=True)
    return Findings(shares, caught)


def explain(played: Played, wrapper: tuple[str, ...], seconds: float = 180) -> str:
    """Shrink a failing round and write the script that repeats it."""
    with Sandbox(PREFIX) as sandbox:
        if not steady(played.round, sandbox):
            return f"seed {played.round.seed}: its plain runs differ from each other: {_listed(played.differences)}"

        def fails(one: Round) -> bool:
            with suppress(OSError):  # a smaller world may lack where the command runs
                return play(one, sandbox, wrapper).failed
            return False

        small = shrink(played.round, fails, seconds)
        again = play(small, sandbox, wrapper)
        differences = again.differences or played.differences
        return f"{_listed(differences)}\n{shell_script(small, differences)}"


def _listed(differences: Iterable[object]) -> str:
    return "\n".join(map(str, differences))
