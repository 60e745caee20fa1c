# SPDX-License-Identifier: Apache-2.0
"""Running a command plainly and through `pytrace-exec`, each in its own twin world, and comparing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypedDict

import attrs

from tests.support import tree
from tests.support.sandbox import Sandbox, environment
from tests.support.tree import Difference, Tree

SECONDS = 120
CLOCK_LAG_NS = 1_000_000_000  # files are stamped by a clock that lags; what tests stamp themselves is years old


Start = Callable[..., "subprocess.CompletedProcess[bytes]"]
"""Takes what `subprocess.run` takes, runs a command to its end and gives what that gives."""


class NoOutcome(AssertionError):
    """A wrapped run ended without its line in the statistics."""

    def __init__(self, command: tuple[str, ...], stderr: bytes) -> None:
        self.command = command
        self.stderr = stderr
        super().__init__(f"--stats-log got no line from {command!r}; its stderr: {stderr!r}")


def wrapper_command() -> tuple[str, ...]:
    """Name the wrapper under test: the one installed beside this interpreter."""
    return (os.path.join(sysconfig.get_path("scripts"), "pytrace-exec"),)


class Surroundings(TypedDict, total=False):
    """The fields of an invocation that a caller may name."""

    options: tuple[str, ...]
    directory: str
    root: str
    variables: Mapping[str, str | None]
    stdin: bytes | None
    stdin_offset: int
    streams: str
    umask: int
    place: str


@attrs.frozen
class Invocation:
    """A command and all that it gets from its caller; `directory` and `root` are relative to the world's `work`."""

    command: tuple[str, ...]
    options: tuple[str, ...] = ()
    directory: str = "."
    root: str = "."
    variables: Mapping[str, str | None] = attrs.field(factory=dict)
    stdin: bytes | None = None
    stdin_offset: int = 0
    streams: str = "pipes"
    umask: int = 0o022
    place: str = "place"

    def wrapped(self, sandbox: Sandbox, place: bytes, wrapper: tuple[str, ...]) -> tuple[str, ...]:
        """The command line that runs this through the wrapper, over the sandbox's store."""
        root = os.path.normpath(os.path.join(place, b"work", os.fsencode(self.root)))
        places = {"--dir": sandbox.store, "--root": root, "--stats-log": sandbox.log}
        options = (word for option, path in places.items() for word in (option, os.fsdecode(path)))
        return (*wrapper, *options, *self.options, "--", *self.command)


@attrs.frozen
class Outcome:
    """How a command ended and what it said; `status` is negative for a signal."""

    status: int
    stdout: bytes
    stderr: bytes
    stdin_offset: int | None
    tree: Tree = attrs.field(repr=False)


@attrs.frozen
class Record:
    """One line of `--stats-log`."""

    outcome: str
    reasons: tuple[str, ...]
    line: Mapping[str, Any] = attrs.field(repr=False)

    @classmethod
    def parse(cls, line: str) -> Record:
        """Read one JSON line."""
        content = json.loads(line)
        return cls(content["outcome"], tuple(one["code"] for one in content.get("reasons", ())), content)


@attrs.frozen
class Pair:
    """One invocation in both worlds."""

    plain: Outcome
    cached: Outcome
    record: Record
    differences: tuple[Difference, ...]


@attrs.frozen
class Runner:
    """Runs invocations in a sandbox; `wrapper` is the command line that stands before a wrapped command.

    Modification times before `fresh_from_ns` must be kept exactly. With `ordered`, the order of all of them too. What
    lies below `scratch`, from the world on, may differ. `start` starts both kinds of command.
    """

    sandbox: Sandbox
    wrapper: tuple[str, ...] = attrs.field(factory=wrapper_command)
    fresh_from_ns: int = attrs.field(factory=lambda: time.time_ns() - CLOCK_LAG_NS)
    ordered: bool = False
    scratch: tuple[bytes, ...] = ()
    start: Start = subprocess.run

    def both(self, invocation: Invocation) -> Pair:
        """Run in both worlds and compare status, streams, stdin's offset, and the trees left behind."""
        plain = self.plain(invocation)
        cached, record = self.cached(invocation)
        return Pair(plain, cached, record, tuple(self.compare(plain, cached)))

    def plain(self, invocation: Invocation) -> Outcome:
        """Run without the wrapper, in the plain world."""
        with self.sandbox.placed("plain", invocation.place) as place:
            ended = run_to_end(self.start, invocation.command, invocation, place)
        return attrs.evolve(ended, tree=self.sandbox.take("plain"))

    def cached(self, invocation: Invocation) -> tuple[Outcome, Record]:
        """Run through the wrapper, in the cached world."""
        before = lines_of(self.sandbox.log)
        with self.sandbox.placed("cached", invocation.place) as place:
            argv = invocation.wrapped(self.sandbox, place, self.wrapper)
            ended = run_to_end(self.start, argv, invocation, place)
        lines = lines_of(self.sandbox.log)
        if len(lines) != len(before) + 1:
            raise NoOutcome(invocation.command, ended.stderr)
        return attrs.evolve(ended, tree=self.sandbox.take("cached")), Record.parse(lines[-1])

    def compare(self, plain: Outcome, cached: Outcome) -> list[Difference]:
        """List everything a user could tell the two runs apart by."""
        found = [
            Difference(name, b"", getattr(plain, name), getattr(cached, name))
            for name in ("status", "stdout", "stderr", "stdin_offset")
            if getattr(plain, name) != getattr(cached, name)
        ]
        return found + self.compare_trees(plain.tree, cached.tree)

    def compare_trees(self, plain: Tree, cached: Tree) -> list[Difference]:
        """List what two worlds differ in."""
        trees = self._counting(plain), self._counting(cached)
        found = tree.differences(*trees)
        found += tree.time_differences(*trees, self.fresh_from_ns)
        if self.ordered:
            found += tree.order_differences(*trees)
        return found

    def _counting(self, found: Tree) -> Tree:
        return {path: entry for path, entry in found.items() if not path.startswith(self.scratch)}


def lines_of(log: bytes) -> list[str]:
    """Read the statistics so far."""
    if not os.path.exists(log):
        return []
    with open(log, encoding="utf-8") as file:
        return file.read().splitlines()


def run_to_end(start: Start, argv: tuple[str, ...], invocation: Invocation, place: bytes) -> Outcome:
    """Run to the end with exactly the invocation's environment, streams and umask."""
    directory = os.path.normpath(os.path.join(place, b"work", os.fsencode(invocation.directory)))
    variables = environment(place, {"PWD": os.fsdecode(directory), **invocation.variables})
    with _stdin(invocation, place) as stdin, _output(invocation, place) as stdout:
        ended = start(
            argv, cwd=directory, env=variables, stdin=stdin, stdout=stdout, check=False, umask=invocation.umask,
            stderr=subprocess.STDOUT if invocation.streams == "one pipe" else subprocess.PIPE, timeout=SECONDS,
        )  # fmt: skip
        offset = None if invocation.stdin is None else os.lseek(stdin, 0, os.SEEK_CUR)
    return Outcome(ended.returncode, ended.stdout or b"", ended.stderr or b"", offset, {})


@contextmanager
def _stdin(invocation: Invocation, place: bytes) -> Iterator[int]:
    """Open what the command gets as descriptor 0: nothing, or a file beside the world, at an offset."""
    path = os.fsencode(os.devnull)
    if invocation.stdin is not None:
        path = os.path.join(os.path.dirname(place), b"stdin")
        with open(path, "wb") as file:
            file.write(invocation.stdin)
    with open(path, "rb", buffering=0) as stdin:
        if invocation.stdin_offset:
            stdin.seek(invocation.stdin_offset)
        yield stdin.fileno()


@contextmanager
def _output(invocation: Invocation, place: bytes) -> Iterator[int]:
    """Open what the command gets as descriptor 1: a pipe, or a file as `> redirected` and `>> redirected` do."""
    modes = {"file": "wb", "append": "ab"}
    if invocation.streams not in modes:
        yield subprocess.PIPE
        return
    with open(os.path.join(place, b"work", b"redirected"), modes[invocation.streams], buffering=0) as output:
        yield output.fileno()


def interpreter() -> str:
    """The plain Python behind a virtual environment: a program for tests to wrap."""
    return os.path.realpath(sys.executable)
