# SPDX-License-Identifier: Apache-2.0
"""Wrapped runs whose tracer, command or child is killed, one after the other over one tree, with a look at each."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import attrs

from pytrace_cas.store import Store
from tests.exec.wrapper.kills import instants, killing_wrapper, steps
from tests.exec.wrapper.kills.deck import Deck
from tests.exec.wrapper.kills.orphans import marked, wait_until_none
from tests.exec.wrapper.kills.victims import kill, victim_of
from tests.exec.wrapper.place import SECONDS, Place
from tests.support import tree
from tests.support.runner import Record, wrapper_command

KILLING_WRAPPER = Path(killing_wrapper.__file__)
KILL, CRASH, TERM = 9, 11, 15
SIGNALS = (KILL, CRASH, TERM, KILL)
"""What the command sends to itself at each of its instants."""
MAKING = {"during": "made/new", "after": "made/last"}
"""Kills from outside that wait until a file is there, and come again if that was too late or too early."""
LOOKS_AT_STORE = 10
"""After how many kills the whole store is read."""


@attrs.frozen
class Aim:
    """Who gets which signal when: at a named instant, or at `random`."""

    victim: str
    instant: str
    signal: int

    @classmethod
    def parse(cls, words: str) -> Aim:
        """Read `VICTIM INSTANT SIGNAL`; an instant may have spaces."""
        victim, _, rest = words.partition(" ")
        instant, _, number = rest.rpartition(" ")
        return cls(victim, instant, int(number))

    @property
    def outside(self) -> bool:
        """Whether the kill comes from the test."""
        return self.instant in ("random", *MAKING)

    @property
    def own(self) -> str | None:
        """What the command reads that is to end itself or its child, if it is."""
        name = self.instant if self.victim == "command" else f"child-{self.instant}"
        return f"{name} {self.signal}" if self.victim != "tracer" and self.instant in steps.INSTANTS else None

    def statuses(self, tracer: str) -> set[int]:
        """How the wrapper may end; 0 only if the run was whole, seen or not."""
        if self.victim == "command":
            return {-self.signal, 0} if self.instant == "random" else {-self.signal}
        if self.victim == "child":
            return {128 + self.signal, 0} if self.instant == "random" else {128 + self.signal}
        if self.harmless(tracer):
            return {0}
        if self.instant in (*instants.ALL_ENDED, "attaching", "reaped"):
            return {0}
        # strace that is killed when it has executed the command leaves that to fail in whatever way: by SIGSEGV.
        early = {0, -CRASH} if tracer == "strace" else {0}
        return {-KILL, *early} if self.instant in ("random", "spawned", *MAKING) else {-KILL}

    def harmless(self, tracer: str) -> bool:
        """What a tracer does not heed, or heeds by letting the command run on."""
        ignored = (TERM, CRASH) if tracer == "native" else (TERM,)
        return self.victim == "holder" or (self.victim == "tracer" and self.signal in ignored)


def named(tracer: str) -> list[str]:
    """Kills at named instants."""
    aims = [f"tracer {instant} {KILL}" for instant in ("spawned", "begun", *MAKING)]
    aims += [f"command {instant} {KILL}" for instant in ("spawned", "begun")]
    aims += [f"command {instant} {number}" for instant, number in zip(steps.INSTANTS, SIGNALS, strict=True)]
    aims += [f"child {instant} {KILL}" for instant in steps.INSTANTS]
    if tracer == "native":
        begun = (*instants.UNDER_WAY, *instants.ALL_ENDED)
        aims += [f"tracer {instant} {KILL}" for instant in ("reaped", *instants.BEFORE_BEGIN, *begun)]
        aims += [f"tracer {instant} {CRASH}" for instant in ("attaching", *begun)]
        aims += [f"command {instant} {KILL}" for instant in instants.LAUNCHING]
    return aims


def at_random(tracer: str) -> list[str]:
    """Kills at random."""
    numbers = (KILL, CRASH, TERM)
    aims = [f"{victim} random {number}" for victim in ("command", "child") for number in numbers]
    aims += [f"tracer random {KILL}"] * 4 + [f"tracer random {number}" for number in (CRASH, TERM)]
    return aims + ([f"holder random {KILL}"] if tracer == "strace" else [])


@attrs.frozen
class Ran:
    """How one wrapped run ended; `met`: somebody was killed."""

    status: int
    stdout: bytes = attrs.field(repr=False)
    stderr: bytes
    files: steps.Files = attrs.field(repr=False)
    record: Record | None
    met: bool

    @property
    def outcome(self) -> str:
        """What became of it."""
        assert self.record is not None, self
        return self.record.outcome


class Runs(threading.Thread):
    """Kills in one run after the other until the deck is empty; remembers what was acknowledged.

    `failure` is what it met that must not be.
    """

    def __init__(self, place: Place, tracer: str, number: int, deck: Deck, program: Path | None) -> None:
        super().__init__()
        self._place = place
        self._tracer = tracer
        self._deck = deck
        self._program = program
        self._chance = random.Random(number)
        self._mark = f"PYTRACE_KILLS={tracer}-{number}-{os.getpid()}"
        self._version = number * 100_000
        self._span = 0.0
        self._base = place.base / f"{tracer}-{number}"
        self._root, self._plain = self._base / "root", self._base / "plain"
        self._log = self._base / "stats.jsonl"
        self._stderr = self._base / "stderr"
        self.acknowledged: list[int] = []
        self.failure: BaseException | None = None
        for folder in (self._root, self._plain, self._base / "tmp"):
            folder.mkdir(parents=True)

    def run(self) -> None:
        """Work; every kill is followed by a look at everything."""
        try:
            self._version += 1
            begun = time.monotonic()
            self._ask(self._version, "miss")
            self._span = time.monotonic() - begun
            while (words := self._deck.draw()) is not None:
                self._under_fire(words)
        except BaseException as failure:  # told by the test's own thread
            self.failure = failure
            self._deck.clear()

    def _under_fire(self, words: str) -> None:
        aim = Aim.parse(words)
        self._version += 1
        first = steps.initial(self._version, aim.own or steps.NOWHERE)
        ran = self._wrapped(first, aim)
        try:
            moment = self._look(ran, aim, first)
            self._ask_again(aim, ran, first)
        except BaseException as failure:
            failure.add_note(f"{self._tracer}: {aim}: {ran}")
            raise
        if not ran.met or (aim.instant in MAKING and aim.instant != moment):
            self._deck.put_back(words)
        if ran.met:
            self._deck.killed(f"{aim.victim} {'unharmed' if aim.harmless(self._tracer) else moment}")
            if sum(self._deck.fell.values()) % LOOKS_AT_STORE == 0:
                self._look_at_store()

    def _look(self, ran: Ran, aim: Aim, first: steps.Files) -> str:
        """A run that ends so leaves this tree, and what it said; return how far it was."""
        moment = steps.moment(ran.files, first)
        assert ran.status in (aim.statuses(self._tracer) if ran.met else {0})
        if ran.status == 0:
            assert moment == "after"
            assert (ran.stdout, ran.stderr) == (steps.OLD + b"end\n", b"")
        else:
            assert (steps.OLD + b"end\n").startswith(ran.stdout)
            assert ran.outcome == "not_stored"
        if aim.own:
            self._is_as_plain(ran, first)
        elif aim.victim != "child" and (self._tracer, aim.victim) != ("strace", "tracer"):
            # What strace leaves meets failing calls, and may say so. It says itself if it comes late.
            early = self._tracer == "strace" and moment == "before"
            assert ran.stderr == b"" or (early and b"strace: attach" in ran.stderr)
        assert list((self._base / "tmp").iterdir()) == []
        return moment

    def _ask_again(self, aim: Aim, ran: Ran, first: steps.Files) -> None:
        """What was not acknowledged is not answered; what was, is, now and later."""
        if aim.own:
            again = self._wrapped(first)
            assert again.outcome == "not_stored"
            self._is_as_plain(again, first)
        if ran.outcome == "miss":
            self.acknowledged.append(self._version)
        else:
            self._ask(self._version, "miss")
        self._ask(self._chance.choice(self.acknowledged), "hit")

    def _ask(self, version: int, outcome: str) -> None:
        """Run unharmed: it is answered in this way, and all is as after a plain run."""
        first = steps.initial(version)
        ran = self._wrapped(first)
        assert ran.outcome == outcome, ran
        if outcome == "miss":
            self._is_as_plain(ran, first)
            self.acknowledged.append(version)
        assert (ran.status, ran.stdout, ran.stderr) == (0, steps.OLD + b"end\n", b"")
        assert steps.moment(ran.files, first) == "after"

    def answer_all(self) -> None:
        """All that was acknowledged hits."""
        for version in self.acknowledged:
            self._ask(version, "hit")

    def _is_as_plain(self, ran: Ran, first: steps.Files) -> None:
        """Nobody can tell the run from a plain one that ends at the same point."""
        steps.lay_out(self._plain, first)
        plain = subprocess.run(
            steps.COMMAND, cwd=self._plain, env=self._environment(), stdin=subprocess.DEVNULL, capture_output=True,
            check=False, timeout=SECONDS,
        )  # fmt: skip
        assert (plain.returncode, plain.stdout, plain.stderr) == (ran.status, ran.stdout, ran.stderr)
        trees = (tree.take(os.fsencode(root)) for root in (self._plain, self._root))
        assert tree.differences(*trees) == []

    def _wrapped(self, first: steps.Files, aim: Aim | None = None) -> Ran:
        """Run the command through the wrapper on these files, and kill; return when all processes are gone."""
        steps.lay_out(self._root, first)
        before = len(self._lines())
        words = self._words(aim)
        with open(self._stderr, "wb") as stderr:
            process = subprocess.Popen(
                words, cwd=self._root, env=self._environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=stderr,
            )  # fmt: skip
            met = self._kill_about(process, aim, first) if aim is not None and aim.outside else aim is not None
            out = process.communicate(timeout=SECONDS)[0]
        wait_until_none(partial(marked, self._mark))
        assert process.returncode != killing_wrapper.NOBODY
        record = next(map(Record.parse, self._lines()[before:]), None)
        return Ran(process.returncode, out, self._stderr.read_bytes(), steps.found_in(self._root), record, met)

    def _words(self, aim: Aim | None) -> list[str]:
        if aim is None or aim.own or aim.outside:
            return [*wrapper_command(), "--", *steps.COMMAND]
        killing = [self._mark, str(self._program), aim.victim, aim.instant, str(aim.signal)]
        return [sys.executable, str(KILLING_WRAPPER), *killing, "--", *steps.COMMAND]

    def _kill_about(self, process: subprocess.Popen[bytes], aim: Aim, first: steps.Files) -> bool:
        """Kill at some time within a run's life, or as soon as the victim is there; return whether there was one."""
        made = MAKING.get(aim.instant)
        size = len(steps.states(first)[-1][made]) if made is not None and aim.instant == "after" else 0
        if made is None:
            time.sleep(self._chance.uniform(0, self._span))
        while process.poll() is None:
            there = made is None or ((path := self._root / made).exists() and path.stat().st_size >= size)
            if there and kill(victim_of(aim.victim, process.pid, self._mark), aim.signal):
                return True
        return False

    def _environment(self) -> dict[str, str]:
        name, _, value = self._mark.partition("=")
        ours = {"PYTRACE_TRACER": self._tracer, "PYTRACE_STATS_LOG": str(self._log), "TMPDIR": str(self._base / "tmp")}
        return self._place.environment({name: value, **ours})

    def _lines(self) -> list[str]:
        return self._log.read_text().splitlines() if self._log.exists() else []

    def _look_at_store(self) -> None:
        with Store.open(os.fsencode(self._place.store), create=False) as store:
            assert store.check(read_data=True).problems == ()
