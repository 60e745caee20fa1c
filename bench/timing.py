# SPDX-License-Identifier: Apache-2.0
"""Timing commands side by side: rounds in which every variant runs once, and ratios taken within a round."""

from __future__ import annotations

import ctypes
import os
import statistics
import time
from typing import TYPE_CHECKING, TypeVar

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

Measured = TypeVar("Measured")

_PR_SET_CHILD_SUBREAPER = 36


class CommandFailed(Exception):
    """A command that was to be timed did not end with status 0; the message ends with what it said."""

    def __init__(self, command: Sequence[str], status: int, said: bytes) -> None:
        self.command = command
        self.status = status
        last = said.decode(errors="replace").strip().splitlines()[-3:]
        super().__init__(f"{' '.join(command)} ended with status {status}: {' / '.join(last)}")


@attrs.frozen
class Sample:
    """One timed run in seconds; `cpu` is user and system time of all that the command started, tracers included."""

    wall: float
    cpu: float


@attrs.frozen
class Spread:
    """A median with its quartiles."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Sum up measured values, one or more."""
        if len(values) < 2:
            return cls(values[0], values[0], values[0])
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high)

    def scaled(self, factor: float) -> Spread:
        """The same in another unit."""
        return Spread(self.median * factor, self.low * factor, self.high * factor)


@attrs.frozen
class Rounds:
    """How often to repeat: at least `least` rounds, then on until `seconds` are over, never more than `most`."""

    least: int
    most: int
    seconds: float

    def go_on(self, done: int, began: float) -> bool:
        """Whether another round is due; `began` is on the monotonic clock."""
        return done < self.least or (done < self.most and time.monotonic() - began < self.seconds)


def adopt_orphans() -> None:
    """Make this process the parent of what its children leave behind, so that a detached tracer's CPU is counted.

    See PR_SET_CHILD_SUBREAPER in prctl(2).
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def run(command: Sequence[str], directory: Path, environment: Mapping[str, str]) -> Sample:
    """Run a command as a build tool does, its output read from a pipe; raise `CommandFailed`.

    For a process without other children that has adopted orphans: it waits for all that the command left.
    """
    began = time.perf_counter()
    pid, output = _start(command, directory, environment)
    said = _drain(output)
    _, status, used = os.wait4(pid, 0)
    wall = time.perf_counter() - began
    cpu = used.ru_utime + used.ru_stime + _reap_orphans()
    code = os.waitstatus_to_exitcode(status)
    if code != 0:
        raise CommandFailed(command, code, said)
    return Sample(wall, cpu)


def _start(command: Sequence[str], directory: Path, environment: Mapping[str, str]) -> tuple[int, int]:
    """Spawn, with both outputs on one pipe; return the process and the pipe's end to read."""
    reading, writing = os.pipe()
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, writing, 1),
        (os.POSIX_SPAWN_DUP2, writing, 2),
    ]
    before = os.getcwd()
    os.chdir(directory)
    try:
        return os.posix_spawnp(command[0], command, environment, file_actions=actions), reading
    except OSError:
        os.close(reading)
        raise
    finally:
        os.chdir(before)
        os.close(writing)


def _drain(descriptor: int) -> bytes:
    """Read to the end; keep the last of it."""
    kept = b""
    with open(descriptor, "rb", buffering=0) as pipe:
        while part := pipe.read(1 << 16):
            kept = (kept + part)[-4096:]
    return kept


def _reap_orphans() -> float:
    """Wait for whatever was left to us; return its CPU seconds."""
    cpu = 0.0
    while True:
        try:
            _, _, used = os.wait4(-1, 0)
        except ChildProcessError:
            return cpu
        cpu += used.ru_utime + used.ru_stime


def interleave(variants: Mapping[str, Callable[[], Measured]], rounds: Rounds) -> dict[str, list[Measured]]:
    """Measure every variant once a round, beginning with another one each time; the lists are parallel."""
    taken: dict[str, list[Measured]] = {name: [] for name in variants}
    names, began, done = list(variants), time.monotonic(), 0
    while rounds.go_on(done, began):
        for name in names[done % len(names) :] + names[: done % len(names)]:
            taken[name].append(variants[name]())
        done += 1
    return taken


def ratios(values: Sequence[float], bases: Sequence[float]) -> Spread:
    """How many times the base of the same round each value is."""
    return Spread.of([value / base for value, base in zip(values, bases, strict=True)])


def processor_seconds(pids: Sequence[int]) -> float:
    """CPU seconds that living processes have used, their threads included (proc(5), `stat`)."""
    ticks = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            fields = stat.read().rpartition(b")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
