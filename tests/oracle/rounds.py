# SPDX-License-Identifier: Apache-2.0
"""One round of the oracle: a world, a program, and a history of changes and runs over one store."""

from __future__ import annotations

import os
import subprocess

import attrs

from tests.oracle import script
from tests.oracle.racing import race
from tests.oracle.script import Script
from tests.support.runner import Invocation, NoOutcome, Pair, Runner, Start
from tests.support.sandbox import TWINS, Sandbox
from tests.support.tree import Difference, Tree

PROGRAM_STAMP = 1_300_000_000


@attrs.frozen
class Step:
    """One run: in the world as it is or made anew, after `changes`, with these surroundings.

    `directory`, seen from `work`: where it runs, which is its root, too. `who` runs: the round's "program", its
    "rival", or "both" at one time, the program `lead` seconds before the rival; `loose`: no serial order of the two
    need come out.
    """

    anew: bool = True
    changes: Script = ()
    aimed: bool = False
    label: str = "nothing changed"
    variables: tuple[tuple[str, str | None], ...] = ()
    stdin: bytes | None = None
    stdin_offset: int = 0
    place: str = "place"
    directory: str = "."
    umask: int = 0o022
    who: str = "program"
    lead: float = 0
    loose: bool = False


@attrs.frozen
class Round:
    """All that a round needs; equal rounds give equal plain runs.

    What `program` holds depends on `kind`: "operations" for the interpreter, "shell" lines for `sh -c`, or the
    words of a "command", in which `{root}` and `{home}` stand for the places of a step. `python`: the interpreter is
    the one in Python, whose start looks at a hundred files.
    """

    generator: str
    seed: int
    world: Script
    program: Script
    steps: tuple[Step, ...]
    kind: str = "operations"
    ordered: bool = False
    options: tuple[str, ...] = ()
    streams: str = "pipes"
    rival: Script = ()
    python: bool = False

    def command(self, root: str = "{root}", home: str = "{home}", rival: bool = False) -> tuple[str, ...]:
        """The command line of a step whose places are these, unless the interpreter is to run the program."""
        words = [os.fsdecode(line.words[0]) for line in (self.rival if rival else self.program)]
        if self.kind == "shell":
            return ("sh", "-c", "\n".join(words))
        return tuple(word.replace("{root}", root).replace("{home}", home) for word in words)

    def invocation(self, step: Step, base: bytes, rival: bool = False) -> Invocation:
        """What a step gives to the command, or to its rival."""
        place = os.path.join(os.fsdecode(base), step.place)
        interpreted = self.kind == "operations"
        command = (
            script.command(base, self.python) if interpreted else self.command(f"{place}/work", f"{place}/home", rival)
        )
        return Invocation(
            command, self.options, variables=dict(step.variables), stdin=step.stdin, stdin_offset=step.stdin_offset,
            streams=self.streams, umask=step.umask, place=step.place, directory=step.directory, root=step.directory,
        )  # fmt: skip


@attrs.frozen
class Turn:
    """What came of a step; `changed` says that something the program may look at was really changed."""

    step: Step
    pair: Pair
    changed: bool
    before: Tree = attrs.field(repr=False)


@attrs.frozen
class Played:
    """A round that was played until its end, or until its first difference."""

    round: Round
    turns: tuple[Turn, ...]
    differences: tuple[Difference, ...]

    @property
    def failed(self) -> bool:
        """Whether the wrapper was caught."""
        return bool(self.differences)


def play(one: Round, sandbox: Sandbox, wrapper: tuple[str, ...], start: Start = subprocess.run) -> Played:
    """Play a round in a cleared sandbox, and stop at the first difference."""
    _clear(sandbox)
    runner = Runner(sandbox, wrapper, ordered=one.ordered, scratch=(b"tmp/pytest-of-",), start=start)
    turns: list[Turn] = []
    for number, step in enumerate(one.steps):
        if step.anew or number == 0:
            _build(one, sandbox)
        before = sandbox.take("cached")
        for twin in TWINS if step.changes else ():
            with sandbox.placed(twin) as place:
                script.apply(step.changes, place, one.ordered)
        seen = sandbox.take("cached")
        try:
            pair = _run(one, step, runner)
        except NoOutcome as error:
            return Played(one, tuple(turns), (Difference("statistics", b"", "a line", str(error)),))
        touched = any(change.name == "touch" for change in step.changes)  # which no snapshot shows
        turns.append(Turn(step, pair, step.aimed and (seen != before or touched or not step.changes), seen))
        differences = (*pair.differences, *_broken_promises(pair))
        if differences:
            return Played(one, tuple(turns), differences)
    return Played(one, tuple(turns), ())


def _run(one: Round, step: Step, runner: Runner) -> Pair:
    base = runner.sandbox.base
    if step.who == "both":
        both = one.invocation(step, base), one.invocation(step, base, rival=True)
        return race(runner, both, step.lead, step.loose)
    return runner.both(one.invocation(step, base, step.who == "rival"))


def prepare(one: Round, sandbox: Sandbox) -> None:
    """Leave nothing in a sandbox but the worlds and the program of a round."""
    _clear(sandbox)
    _build(one, sandbox)


def _clear(sandbox: Sandbox) -> None:
    sandbox.clear()
    script.install(sandbox.base)


def _build(one: Round, sandbox: Sandbox) -> None:
    """Make both worlds as the round describes them."""
    for twin in TWINS:
        sandbox.empty(twin)
        with sandbox.placed(twin) as place:
            if one.kind == "operations":
                program = os.path.join(place, b"work", script.PROGRAM)
                with open(program, "wb") as file:
                    file.write(script.text(one.program, one.ordered))
                os.utime(program, (PROGRAM_STAMP, PROGRAM_STAMP))
            script.apply(one.world, place)


def _broken_promises(pair: Pair) -> list[Difference]:
    """What the statistics must not say of a run that ended well."""
    found = []
    if pair.record.outcome == "error":
        found.append(Difference("outcome", b"", "no error", pair.record.line))
    said = pair.record.line.get("exit_code")
    if pair.cached.status >= 0 and said != pair.cached.status:
        found.append(Difference("exit_code in the statistics", b"", pair.cached.status, said))
    return found


def steady(one: Round, sandbox: Sandbox) -> bool:
    """Whether the plain runs of a round come out the same twice; if not, the generator is at fault."""
    trees = []
    for _ in range(2):
        _clear(sandbox)
        runner = Runner(sandbox)
        outcomes = []
        for number, step in enumerate(one.steps):
            if step.anew or number == 0:
                _build(one, sandbox)
            with sandbox.placed("plain") as place:
                script.apply(step.changes, place, one.ordered)
            ways = (False, True) if step.who == "both" else (step.who == "rival",)
            outcomes += [runner.plain(one.invocation(step, sandbox.base, rival)) for rival in ways]
        trees.append(outcomes)
    return trees[0] == trees[1]
