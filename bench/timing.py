# SPDX-License-Identifier: Apache-2.0
"""Timing commands side by side: rounds in which every variant runs once, and ratios taken within a round."""

from __future__ import annotations

import ctypes
import fcntl
import os
import statistics
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

Measured = TypeVar("Measured")

NOT_FOUND = 127
"""What a shell would say of a command that cannot be started."""

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


def own_children() -> None:
    """Let children inherit nothing but what they are given, and let us be the parent of what they leave behind.

    A detached tracer's CPU is then counted (PR_SET_CHILD_SUBREAPER in prctl(2)), and a descriptor of whoever started
    us does not make the wrapper trace what it would not.
    """
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        with suppress(OSError):  # the one that listed the folder
            os.set_inheritable(descriptor, descriptor < 3)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def run(command: Sequence[str], directory: Path, environment: Mapping[str, str], jobserver: bool = False) -> Sample:
    """Run a command as a build tool does, its output read from a pipe; raise `CommandFailed`.

    With `jobserver` it inherits a pipe as descriptors 3 and 4, as every job of `make -j` does. For a process without
    other children that owns those it starts: it waits for all that the command left.
    """
    with _pipe() as given:
        began = time.perf_counter()
        pid, output = _start(command, directory, environment, given if jobserver else ())
        said = _drain(output)
        _, status, used = os.wait4(pid, 0)
        wall = time.perf_counter() - began
    cpu = used.ru_utime + used.ru_stime + _reap_orphans()
    code = os.waitstatus_to_exitcode(status)
    if code != 0:
        raise CommandFailed(command, code, said)
    return Sample(wall, cpu)


@contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end)


def _start(
    command: Sequence[str], directory: Path, environment: Mapping[str, str], given: Sequence[int]
) -> tuple[int, int]:
    """Spawn, with both outputs on one pipe and `given` from 3 on; return the process and the pipe's end to read."""
    reading, writing = os.pipe()
    # Out of the way of the numbers that the child gets.
    held = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10) for descriptor in (writing, *given)]
    actions: list[tuple[Any, ...]] = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)]
    actions += [(os.POSIX_SPAWN_DUP2, held[0], 1), (os.POSIX_SPAWN_DUP2, held[0], 2)]
    actions += [(os.POSIX_SPAWN_DUP2, descriptor, number) for number, descriptor in enumerate(held[1:], 3)]
    before = os.getcwd()
    os.chdir(directory)
    try:
        return os.posix_spawnp(command[0], list(command), environment, file_actions=actions), reading
    except OSError as error:
        os.close(reading)
        raise CommandFailed(command, NOT_FOUND, str(error).encode()) from None
    finally:
        os.chdir(before)
        for descriptor in (writing, *held):
            os.close(descriptor)


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
