# SPDX-License-Identifier: Apache-2.0
"""Wrappers that run misses and hits over one store, each over its own tree, and are killed one after the other."""

from __future__ import annotations

import fcntl
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import attrs

from pytrace_cas.digest import BLAKE3, Digest
from pytrace_cas.store import Store
from tests.exec.wrapper.kills.deck import Deck
from tests.exec.wrapper.kills.orphans import marked, wait_until_none
from tests.exec.wrapper.place import SECONDS, Place
from tests.support.runner import Record

DYING_WRAPPER = Path(__file__).with_name("dying_wrapper.py")
RUNNING = ("begin", "spawning", "spawned", "begun", "reaped", "seen")
BLOBS = ("ran", "staged", "written", "announced", "file-moved-in", "before-commit", "after-commit", "blobs stored")
ENTRIES = tuple(f"{entry} {when}" for entry in ("strong", "weak") for when in ("entry", "before-commit", "stored"))
STORING = (*BLOBS, *ENTRIES, "stored", "told")
REPLAYING = ("stage", "staged", "place", "placed", "committed", "forget", "forgotten")
MOMENTS = {"before": 0.3, "during": 0.03, "after": 0.002, "replaying": 0.005}
"""For kills at random: the moment that is waited for, and how many seconds later at most the kill comes."""
NAMED = (*RUNNING, *STORING, *(f"replay {point}" for point in REPLAYING))
FEW = (*RUNNING, "written", "stored", "replay placed")
"""What a run does under its tracer, and one point of each moment."""
MARKS = {"one": "1", "two": "2", "three": "3", "four": "4"}
LINES = 4000
AGE = 7200  # seconds

STEP = "".join(f"sed s/^/{mark}/ in > made/{name}\n" for name, mark in MARKS.items()) + "cat in\n"


def content(version: int) -> bytes:
    """What `in` holds: too much for a row of the store's index."""
    return b"version %d\n" % version * LINES


def outputs(version: int) -> dict[str, bytes]:
    """What the step makes of a version."""
    return {f"made/{name}": (f"{mark}version {version}\n" * LINES).encode() for name, mark in MARKS.items()}


def is_whole(line: str) -> bool:
    """Whether a line of the statistics is no part of one, as its writer's death in the midst of it leaves it."""
    return line.endswith("}}")


@attrs.frozen
class Ran:
    """How one wrapper ended; `moment` is how far it was."""

    status: int
    stdout: bytes = attrs.field(repr=False)
    stderr: bytes
    moment: str
    record: Record | None

    @property
    def outcome(self) -> str | None:
        """What became of the run, None if its line was not written."""
        return None if self.record is None else self.record.outcome


class Worker(threading.Thread):
    """Runs one wrapper after the other over one tree until the deck is empty; remembers what was acknowledged.

    `failure` is what it met that must not be.
    """

    def __init__(self, place: Place, tracer: str, number: int, deck: Deck) -> None:
        super().__init__()
        self._tracer = tracer
        self._place = place
        self._deck = deck
        self._chance = random.Random(number)
        self._mark = f"PYTRACE_KILLS={number}-{os.getpid()}"
        self._moment = place.base / f"moment-{number}"
        self._stderr = place.base / f"stderr-{number}" if number % 2 else None
        self._next = 0
        self._command = ("sh", "step.sh", str(number))
        self.root = place.base / f"root-{number}"
        self.acknowledged: dict[int, str] = {}
        self.failure: BaseException | None = None
        (self.root / "made").mkdir(parents=True)
        for name, text in {"WORKSPACE": "", "step.sh": STEP, "made/kept": "", "in": ""}.items():
            (self.root / name).write_text(text)

    def run(self) -> None:
        """Work; every kill is followed by a look at everything."""
        try:
            self._store_next()
            while (aim := self._deck.draw()) is not None:
                self._under_fire(aim)
        except BaseException as failure:  # told by the test's own thread
            self.failure = failure
            self._deck.clear()

    def _under_fire(self, aim: str) -> None:
        hits = aim.startswith("repla")
        version = self._chance.choice(list(self.acknowledged)) if hits else self._new()
        if hits and (self.root / "in").read_bytes() == content(version):
            self._store_next()  # something must be there to be replaced
        ran = self.wrapped(version, aim)
        self._look(version, ran)
        if ran.status != -9:
            self._deck.put_back(aim)
            return
        self._deck.killed(f"wrapper {ran.moment}")
        self._look_at_store()
        self.answer(self._chance.choice(list(self.acknowledged)))
        self._sweep()

    def _new(self) -> int:
        self._next += 1
        return self._next

    def _store_next(self) -> None:
        version = self._new()
        self._look(version, self.wrapped(version))
        assert version in self.acknowledged

    def answer(self, version: int) -> None:
        """Ask for what was acknowledged: it hits, and all its bytes are right."""
        ran = self.wrapped(version)
        assert (ran.status, ran.outcome) == (0, "hit"), ran
        assert ran.stdout == content(version)
        assert {name: (self.root / name).read_bytes() for name in outputs(version)} == outputs(version)

    def wrapped(self, version: int, aim: str = "-") -> Ran:
        """Run the step through the wrapper on a version, and kill it at `aim`; return when all processes are gone."""
        self._write_input(version)
        point = "-" if aim in MOMENTS else aim.removeprefix("replay ")
        self._moment.unlink(missing_ok=True)
        before = len(self._records())
        with open(self._stderr or os.devnull, "wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, str(DYING_WRAPPER), str(self._moment), point, "--", *self._command],
                cwd=self.root, env=self._environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=stderr if self._stderr else subprocess.PIPE,
            )  # fmt: skip
            if aim in MOMENTS:
                self._kill_about(process, aim)
            out, err = process.communicate(timeout=SECONDS)
        wait_until_none(lambda: marked(self._mark))
        moment = self._moment.read_text().strip() if self._moment.exists() else "before"
        err = self._stderr.read_bytes() if self._stderr else err
        return Ran(process.returncode, out, err, moment, (*self._records()[before:], None)[0])

    def _records(self) -> list[Record]:
        """What the statistics, which all share, hold of our runs; only a kill leaves a part of a line."""
        log = self._place.log
        if not log.exists():
            return []
        with open(log, encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            records = [Record.parse(line) for line in file.read().splitlines() if is_whole(line)]
        return [record for record in records if record.line["command"] == list(self._command)]

    def _kill_about(self, process: subprocess.Popen[bytes], moment: str) -> None:
        deadline = time.monotonic() + SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            if self._moment.exists() and self._moment.read_text().strip() == moment:
                time.sleep(self._chance.uniform(0, MOMENTS[moment]))
                process.kill()
                return
            time.sleep(0.001)

    def _environment(self) -> dict[str, str]:
        name, _, value = self._mark.partition("=")
        return self._place.environment({name: value, "PYTRACE_TRACER": self._tracer})

    def _write_input(self, version: int) -> None:
        beside = self.root.with_name(f"{self.root.name}-in")
        beside.write_bytes(content(version))
        os.rename(beside, self.root / "in")
        time.sleep(0.03)  # or it would count as changed while the step runs

    def _look(self, version: int, ran: Ran) -> None:
        """Every output is that of one version, whole, and nobody said a word of his own."""
        # A wrapper that dies before strace has opened its log leaves strace to say so; the command does not begin.
        assert ran.stderr == b"" or (ran.moment == "before" and b"Can't fopen" in ran.stderr), ran
        assert ran.status in (0, -9), ran
        if ran.status == 0:
            assert ran.stdout == content(version)
            if ran.record is not None and ran.outcome == "miss":
                self.acknowledged[version] = ran.record.line["action"]
        else:
            assert content(version).startswith(ran.stdout)
        for name in outputs(version):
            path = self.root / name
            found = path.read_bytes() if path.exists() else b"\n"
            known = int(found[: found.index(b"\n")].rpartition(b" ")[2] or 0)
            assert not path.exists() or found == outputs(known)[name], (name, ran)

    def _look_at_store(self) -> None:
        """Nothing that was acknowledged is lost, and the store is sound."""
        with Store.open(os.fsencode(self._place.store), create=False) as store:
            for action in self.acknowledged.values():
                assert store.get_action_result(BLAKE3, "", Digest.parse(action)) is not None
            assert store.check(read_data=True).problems == ()

    def _sweep(self) -> None:
        """What killed replays left goes with the next replay that has to do there, once it is old enough."""
        strays = list(self.root.rglob(".pytrace-*"))
        for stray in strays:
            os.utime(stray, (time.time() - AGE, time.time() - AGE))
        if strays:
            for name in MARKS:
                (self.root / "made" / name).unlink()
            self.answer(self._chance.choice(list(self.acknowledged)))
        assert not list(self.root.rglob(".pytrace-*"))
