# SPDX-License-Identifier: Apache-2.0
"""Small programs whose exact facts, outputs and reasons are written by hand, from their source and the design."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest
from _pytest.mark import ParameterSet

from tests.corpus import (
    descriptors,
    directories,
    environment,
    failures,
    links,
    machine,
    metadata,
    processes,
    reads,
    renames,
    streams,
    writes,
)
from tests.corpus.agreement import STOPS_ONLY, Agreement
from tests.corpus.case import Case, Change
from tests.corpus.coverage import CASES_OF_THE_FIELD, NOT_HERE
from tests.corpus.wording import Observed, World, lines
from tests.support import forks, tree
from tests.support.runner import Invocation, Pair, Runner, wrapper_command
from tests.support.sandbox import TWINS, Sandbox
from tests.support.scenario import Scenario
from tests.support.summary import SUMMARY

HERE = Path(__file__).parent
GROUPS = (
    reads,
    writes,
    renames,
    links,
    directories,
    metadata,
    processes,
    failures,
    descriptors,
    streams,
    environment,
    machine,
)
AGREEMENT = Agreement()
# Under what a case is observed, as `--tracer` and what follows it say it.
TRACERS = {"strace": ("strace",), "native": ("native",), STOPS_ONLY: ("native", "--stops-only")}
OLD = "find . ../home ../tmp -exec touch -h -d @1500000000 {} +"


def parameters() -> list[ParameterSet]:
    """Every case in every mode in which it is to run, under every tracer."""
    found = []
    for group in GROUPS:
        for case in group.CASES:
            marks = [pytest.mark.compiler] if case.source else []
            lacking = "needs to be root" if case.root_only and os.geteuid() != 0 else case.lacking
            if lacking:
                marks.append(pytest.mark.skip(reason=lacking))
            for mode, tracer in itertools.product(case.modes(), TRACERS):
                name = f"{group.__name__.rpartition('.')[2]}: {case.name}"
                name = f"{name} ({tracer})" if mode == "strict" else f"{name} ({mode}, {tracer})"
                needed = getattr(pytest.mark, TRACERS[tracer][0])
                found.append(pytest.param(case, mode, tracer, id=name, marks=[*marks, needed]))
    return found


@pytest.fixture
def scenario() -> Iterator[Scenario]:
    """Two empty worlds and an empty store."""
    with Sandbox("pytrace-corpus-") as sandbox:
        yield Scenario.over(sandbox)


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the corpus's C programs, compiled when first asked for."""
    return tmp_path_factory.mktemp("programs")


@pytest.mark.parametrize(("case", "mode", "tracer"), parameters())
def test_observed(case: Case, mode: str, tracer: str, scenario: Scenario, programs: Path) -> None:
    told = Telling(case, mode, tracer, scenario)
    told.prepare(programs)
    world, seen = told.observe()
    group = next(group for group in GROUPS if case in group.CASES)
    AGREEMENT.record(f"{group.__name__}: {case.name}", case, mode, tracer, world, seen)
    told.check(world, seen)
    if told.reasons or tracer == STOPS_ONLY:
        return  # with equal facts it hits and misses as the native tracer does
    for change in case.hits:
        told.ask(change, "hit")
    for change in case.shared:
        told.ask(change, "hit" if mode == "relaxed" else "miss")
    for change in case.misses:
        told.ask(change, "miss|not_stored")


@attrs.frozen
class Telling:
    """One case in one mode under one tracer, in its two worlds."""

    case: Case
    mode: str
    tracer: str
    scenario: Scenario

    @property
    def untold(self) -> tuple[str, ...]:
        """The reasons not to store that this tracer alone has."""
        return self.case.unknown_to_strace if self.tracer == "strace" else ()

    @property
    def reasons(self) -> tuple[str, ...]:
        """The reasons not to store that are to be found."""
        return tuple(sorted({*self.case.reasons, *self.untold}))

    def prepare(self, programs: Path) -> None:
        """Make the start state."""
        scenario, case = self.scenario, self.case
        if case.source:
            binary = compiled(case.source, programs)
            for twin in TWINS:
                tree.copy(os.fsencode(binary), os.path.join(scenario.sandbox.twin(twin), b"work", binary.name.encode()))
        scenario.do(f"{case.given}\n{OLD}")
        scenario.keep()

    def observe(self) -> tuple[World, Observed]:
        """Run in both worlds, which must agree; return the start state, and what was observed."""
        sandbox = self.scenario.sandbox
        world = World.of(os.path.join(sandbox.base, b"place"), sandbox.take("cached"))
        note = os.path.join(sandbox.base, b"observed.json")
        pair = self._both((sys.executable, str(HERE / "observer.py"), os.fsdecode(note)), {})
        assert os.path.exists(note), pair.record.line
        with open(note, encoding="ascii") as file:
            return world, Observed.read(json.load(file), world)

    def check(self, world: World, seen: Observed) -> None:
        """Hold what was observed against what was written by hand."""
        case = self.case
        facts = case.facts if self.mode == "strict" or case.relaxed is None else case.relaxed
        assert seen.reasons == self.reasons
        if not self.untold and (facts or (facts is not None and not self.reasons)):
            assert seen.facts == world.expected(facts)
        if not self.untold and (case.outputs or not self.reasons):
            assert seen.outputs == set(lines(case.outputs))
        everything = seen.facts | seen.elsewhere
        assert world.expected(case.also) <= everything
        assert [fact for fact in everything for start in lines(case.never) if fact.startswith(start)] == []

    def ask(self, change: Change, outcome: str) -> None:
        """Ask again after a change of the start state; both worlds must agree, and it must hit, or miss."""
        self.scenario.anew()
        if isinstance(change, str):
            self.scenario.do(change)
        pair = self._both(wrapper_command(), {} if isinstance(change, str) else change)
        assert pair.record.outcome in outcome.split("|"), (change, pair.record.line)

    def _both(self, wrapper: tuple[str, ...], change: object) -> Pair:
        """Run plainly and wrapped; the shell text around the command stands around the wrapper too."""
        case = self.case
        around = {**case.around, **(change if isinstance(change, dict) else {})}
        strict = ("--strict",) if self.mode == "strict" else ()
        options = (*around.pop("options", ()), *strict, "--tracer", *TRACERS[self.tracer])
        outer = around.pop("outer", case.outer)
        around_it = ("sh", "-c", outer, "outer") if outer else ()
        invocation = Invocation(around.pop("command", case.command), options=options, **around)
        runner = Runner(self.scenario.sandbox, wrapper=(*around_it, *wrapper), start=forks.start)
        plain = runner.plain(attrs.evolve(invocation, command=(*around_it, *invocation.command)))
        cached, record = runner.cached(invocation)
        differences = tuple(runner.compare(plain, cached))
        assert not differences, "\n".join(map(str, differences))
        return Pair(plain, cached, record, differences)


def compiled(name: str, folder: Path) -> Path:
    """Compile a C program of the corpus, once a session."""
    binary = folder / name
    if not binary.exists():
        source = HERE / "programs" / f"{name}.c"
        subprocess.run(["gcc", "-O1", "-Wall", "-Werror", "-pthread", "-o", binary, source], check=True)
    return binary


def test_the_tracers_agree(record_property: Callable[[str, object], None]) -> None:
    """Of what has run before it in this session."""
    compared, differences = AGREEMENT.compared(), list(AGREEMENT.differences())
    programs = len({name for name, _ in compared})
    partly = len(AGREEMENT.by_reasons_alone())
    text = (
        f"corpus: {programs} programs, {len(compared)} runs under strace, the native tracer, and that by stops only "
        f"({partly} compared with strace by their reasons not to store alone): {len(differences)} differences"
    )
    record_property(SUMMARY, text)
    assert differences == []


def test_every_case_of_the_field_is_covered_or_explained() -> None:
    covered = {case for group in GROUPS for one in group.CASES for case in one.covers.split()}
    assert covered <= CASES_OF_THE_FIELD
    assert covered & NOT_HERE.keys() == set()
    assert CASES_OF_THE_FIELD - covered == NOT_HERE.keys()
