# SPDX-License-Identifier: Apache-2.0
"""What wrapping a command costs: tracing and storing over running it, and a hit over running it."""

from __future__ import annotations

import itertools
import json
import os
import shlex
import sys
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from bench import timing
from bench.overhead import BARE, HIT, PYTHON, RECACHE, STOPS_ONLY, STRACE, Measured, tables
from bench.report import Table
from bench.timing import Rounds, Sample
from bench.workloads import FIXED_COST, WORKLOADS, Makers, Unavailable, Workload, environment, installed, prepare
from pytrace_exec.calls.table import untraced
from pytrace_exec.miss import ABBREVIATED
from pytrace_exec.tracer.possible import TracerUnavailable
from pytrace_exec.tracer.strace import Detail, Strace, find_strace

FULL = Rounds(least=7, most=15, seconds=30)
QUICK = Rounds(least=1, most=1, seconds=0)
RUNS_UNTIL_HIT = 3


class Bench:
    """Times workloads in a folder of its own; `peers` are command lines that stand before a command, as we do."""

    def __init__(self, folder: Path, peers: tuple[str, ...], quick: bool) -> None:
        self._folder = folder
        self._environment = environment(folder)
        self._peers = peers
        self._quick = quick
        self._numbers = itertools.count()

    def measure(self, name: str, makers: Makers) -> Measured:
        """Lay a workload out and time all variants of it, interleaved. Raises `Unavailable`, `CommandFailed`."""
        workload = prepare(name, makers, self._folder, self._quick)
        self._run(workload, workload.command)  # the page cache is warm for every variant
        variants: dict[str, Callable[[], Sample]] = {BARE: lambda: self._run(workload, workload.command)}
        troubles = list(self._add_ours(workload, variants))
        for peer in self._peers:
            variants[peer] = self._repeating(workload, (*shlex.split(peer), *workload.command))
        samples = timing.interleave(variants, QUICK if self._quick else FULL)
        return Measured(name, samples, troubles)

    def _add_ours(self, workload: Workload, variants: dict[str, Callable[[], Sample]]) -> Iterator[str]:
        """Add what this machine can do; say of the rest why not."""
        try:
            traced = self._strace(workload)
            self._run(workload, traced)
        except (TracerUnavailable, timing.CommandFailed) as error:
            yield f"{workload.name}: no tracing: {error}"
            return
        variants[STRACE] = self._repeating(workload, traced)
        variants[RECACHE] = lambda: self._recached(workload)
        variants[STOPS_ONLY] = lambda: self._recached(workload, "--stops-only")
        if workload.name in FIXED_COST:
            variants[PYTHON] = self._repeating(workload, (sys.executable, "-c", "pass"))
        hit = self._wrapped(workload, self._new_store())
        outcomes: list[str] = []
        while len(outcomes) < RUNS_UNTIL_HIT and outcomes[-1:] != ["hit"]:
            outcomes.append(self._outcome(workload, hit))
        if outcomes[-1] == "hit":
            variants[HIT] = self._repeating(workload, hit)
        else:
            yield f"{workload.name}: no hit, but {', then '.join(outcomes)}"

    def _run(self, workload: Workload, command: tuple[str, ...]) -> Sample:
        workload.reset()
        return timing.run(command, workload.directory, self._environment, jobserver=workload.is_job)

    def _repeating(self, workload: Workload, command: tuple[str, ...]) -> Callable[[], Sample]:
        return lambda: self._run(workload, command)

    def _recached(self, workload: Workload, *options: str) -> Sample:
        """A miss, by `--mode recache`, which stores into a store that is not there yet."""
        return self._run(workload, self._wrapped(workload, self._new_store(), "--mode", "recache", *options))

    def _new_store(self) -> Path:
        return self._folder / f"store-{next(self._numbers)}"

    def _wrapped(self, workload: Workload, store: Path, *options: str) -> tuple[str, ...]:
        places = ("--dir", str(store), "--root", str(workload.directory))
        return (installed("pytrace-exec"), *places, *options, "--", *workload.command)

    def _outcome(self, workload: Workload, wrapped: tuple[str, ...]) -> str:
        """Run once, not timed; say what the statistics say of it."""
        log = self._folder / "stats.jsonl"
        log.unlink(missing_ok=True)
        self._run(workload, (wrapped[0], "--stats-log", str(log), *wrapped[1:]))
        line = json.loads(log.read_text())
        reasons = ", ".join(sorted({reason["code"] for reason in line["reasons"]}))
        kind: str = line["outcome"]
        return f"{kind} ({reasons})" if reasons else kind

    def _strace(self, workload: Workload) -> tuple[str, ...]:
        """strace alone, as the wrapper calls it for a command whose outputs are pipes; the log goes nowhere."""
        path = os.fsencode(self._environment["PATH"])
        argv = [os.fsencode(word) for word in workload.command]
        program = _found(argv[0], path)
        environ = {os.fsencode(name): os.fsencode(value) for name, value in self._environment.items()}
        detail = Detail(untraced(reads=False, writes=False), abbreviated=ABBREVIATED)
        args, _ = Strace(find_strace(path), detail).command_line(b"/dev/null", argv, program, environ)
        return tuple(os.fsdecode(word) for word in args)


def _found(name: bytes, search_path: bytes) -> bytes:
    if b"/" in name:
        return name
    candidates = (os.path.join(folder, name) for folder in search_path.split(b":"))
    return next(candidate for candidate in candidates if os.access(candidate, os.X_OK))


def measure_all(
    folder: Path, peers: tuple[str, ...], quick: bool, begins: Callable[[str], None], names: Collection[str] = ()
) -> Iterator[Table | str]:
    """Time the workloads of these names, all if none is given, `begins` being told of each.

    Gives the tables, and what could not be measured.
    """
    timing.own_children()
    bench = Bench(folder, peers, quick)
    fixed = bench.measure("true", FIXED_COST)
    measured, troubles = [], list(fixed.troubles)
    for name in (name for name in WORKLOADS if name in names or not names):
        begins(name)
        try:
            measured.append(bench.measure(name, WORKLOADS))
        except Unavailable as missing:
            troubles.append(f"{name}: not measured: {missing}")
            continue
        troubles += measured[-1].troubles
    yield from tables(fixed, measured, peers)
    yield from troubles
