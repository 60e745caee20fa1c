# SPDX-License-Identifier: Apache-2.0
"""What observing looks inside the process could save: a preloaded library that only tells them, beside the tracer.

The library stands for the best case: it makes the call, and copies path and result to shared memory. Calls that it
does not see (the C library's own, the loader's, a static program's) would still stop at the tracer.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import attrs

from bench import timing
from bench.report import Table, seconds, spread
from bench.timing import Rounds, Sample
from bench.workloads import AS_JOB, WORKLOADS, Unavailable, Workload, environment, prepare
from pytrace_exec.tracer.events import Call, written_out
from pytrace_exec.tracer.native import Native
from pytrace_exec.tracer.native_stream import StreamParser
from pytrace_exec.tracer.possible import TracerUnavailable

SOURCE = Path(__file__).with_name("inside.c")
BARE, PRELOADED, TRACED = "bare", "library", "tracer"
ROUNDS, QUICK = Rounds(5, 5, 0), Rounds(1, 1, 0)
_RING_SIZE = (1 << 26) + (1 << 13)
_COUNT = struct.Struct("<Q")


@attrs.frozen
class Inside:
    """One workload: its samples, how many calls the tracer is told of, and how many of these the library sees."""

    workload: str
    samples: dict[str, list[Sample]]
    told: int
    inside: int

    def row(self) -> tuple[str, ...]:
        """A line of the table."""
        wall = {name: [sample.wall for sample in samples] for name, samples in self.samples.items()}
        bare, library, tracer = (median(wall[name]) for name in (BARE, PRELOADED, TRACED))
        stop = max(tracer - bare, 0) / self.told
        left = library + max(self.told - self.inside, 0) * stop
        return (
            self.workload,
            seconds(bare),
            str(self.told),
            f"{100 * min(self.inside / self.told, 1):.0f} %",
            f"{1e6 * stop:.0f} us",
            spread(timing.ratios(wall[TRACED], wall[BARE])),
            spread(timing.ratios(wall[PRELOADED], wall[BARE])),
            f"{left / bare:.2f}",
        )


class Bench:
    """Times workloads in a folder of its own. Raises `Unavailable` without a compiler or the native tracer."""

    def __init__(self, folder: Path, quick: bool) -> None:
        self._folder = folder
        self._quick = quick
        self._environment = environment(folder)
        self._ring = folder / "ring"
        self._library = folder / "inside.so"
        self._build()

    def _build(self) -> None:
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            raise Unavailable("not installed: a C compiler")
        subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", self._library, SOURCE], check=True)
        try:
            self._tracer = Native()
            self._all = Native(everything=True)
        except TracerUnavailable as error:
            raise Unavailable(str(error)) from None

    def measure(self, name: str) -> Inside:
        """Count the calls of a workload, and time it."""
        workload = prepare(name, WORKLOADS, self._folder, self._quick)
        inside_of = {"LD_PRELOAD": str(self._library), "PYTRACE_BENCH_RING": str(self._ring)}
        variants: dict[str, Callable[[], Sample]] = {
            BARE: lambda: self._run(workload, workload.command, {}),
            PRELOADED: lambda: self._run(workload, workload.command, inside_of),
            TRACED: lambda: self._run(workload, self._traced(workload, self._tracer, Path(os.devnull)), {}),
        }
        variants[BARE]()  # the page cache is warm for every variant
        told = self._told(workload)
        variants[PRELOADED]()
        (inside,) = _COUNT.unpack(self._ring.read_bytes()[: _COUNT.size])
        samples = timing.interleave(variants, QUICK if self._quick else ROUNDS)
        return Inside(name, samples, told, inside)

    def _run(self, workload: Workload, command: tuple[str, ...], more: dict[str, str]) -> Sample:
        workload.reset()
        with open(self._ring, "wb") as ring:
            ring.truncate(_RING_SIZE)
        return timing.run(command, workload.directory, {**self._environment, **more})

    def _told(self, workload: Workload) -> int:
        """How many calls stop at the tracer."""
        log = self._folder / "stream"
        log.touch()
        self._run(workload, self._traced(workload, self._all, log), {})
        parser = StreamParser()
        parser.feed(log.read_bytes())
        log.unlink()
        return sum(isinstance(event, Call) for event in written_out(parser.events))

    def _traced(self, workload: Workload, tracer: Native, log: Path) -> tuple[str, ...]:
        found = shutil.which(workload.command[0], path=self._environment["PATH"]) or workload.command[0]
        argv = [os.fsencode(word) for word in workload.command]
        line, _ = tracer.command_line(os.fsencode(log), argv, os.fsencode(found), {})
        return tuple(os.fsdecode(word) for word in line)


def measure_all(folder: Path, quick: bool, begins: Callable[[str], None]) -> Iterator[Table | str]:
    """Measure every workload, `begins` being told of each; then give the table and what could not be measured."""
    timing.own_children()
    rows: list[tuple[str, ...]] = []
    troubles: list[str] = []
    try:
        bench = Bench(folder, quick)
    except Unavailable as missing:
        yield f"not measured: {missing}"
        return
    for name in (name for name in WORKLOADS if name != AS_JOB):
        begins(name)
        try:
            rows.append(bench.measure(name).row())
        except Unavailable as missing:
            troubles.append(f"{name}: not measured: {missing}")
    columns = ("workload", "bare", "calls told", "seen inside", "a call", "tracer", "library", "at best")
    yield Table("Looks told inside the process, over the bare command (at best: the rest still stops)", columns, rows)
    yield from troubles
