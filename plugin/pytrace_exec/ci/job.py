# SPDX-License-Identifier: Apache-2.0
"""Running a job, or one step of it, under the tracer, and what becomes of its record.

Needs Linux: it imports the tracer. Whatever goes wrong with records, the command runs once, with its own exit status.
"""

from __future__ import annotations

import os
import time
from base64 import b64decode, b64encode
from hashlib import sha256

import attrs

from pytrace_cas.digest import function_named
from pytrace_exec.ci.decision import submodule_objects
from pytrace_exec.ci.facts import Values, strongest
from pytrace_exec.ci.library import LibraryObjects
from pytrace_exec.ci.network import EVERYBODY, not_allowed
from pytrace_exec.ci.objects import GitTrouble
from pytrace_exec.ci.observed import Observer
from pytrace_exec.ci.record import MalformedRecord, Part, Record, Step, outermost
from pytrace_exec.ci.runner import digest_of_left, digest_of_text, outside_digests
from pytrace_exec.ci.shelf import Job, ShelfTrouble
from pytrace_exec.miss import observe, run_command
from pytrace_exec.time_limit import TimeLimit
from pytrace_exec.tracer.namespace import NamespaceUnavailable
from pytrace_exec.tracer.plain import run_plain
from pytrace_exec.tracer.possible import TracerUnavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytrace_exec.ci.decision import Subject
    from pytrace_exec.ci.observed import Observed
    from pytrace_exec.ci.shelf import Shelf
    from pytrace_exec.invocation import Invocation
    from pytrace_exec.miss import Traced

NETWORK_MAX_AGE = 24 * 3600
"""Seconds that a record of a job that used the network serves, unless `--max-age` says otherwise."""


@attrs.frozen
class StepName:
    """Which of how many steps of a job this is."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}" if self.of > 1 else ""


@attrs.frozen
class Wishes:
    """What the user said about recording; `network`: peers that may be talked to; `untracked`: globs of inputs.

    `settings`: files of the repository that say more, as the options of `pytrace-exec` have them; `workspace`: the
    folder in which the CI system checks out repositories; `split`: variables that tell jobs of one name apart.
    """

    untracked: tuple[bytes, ...] = ()
    network: tuple[str, ...] = ()
    max_age: float | None = None
    outside: bool = False
    history: bool = False
    definition: tuple[bytes, ...] = ()
    branch: str = ""
    run: str = ""
    settings: tuple[bytes, ...] = ()
    workspace: bytes | None = None
    split: tuple[str, ...] = ()

    def vouched(self, *more: tuple[bytes, ...]) -> tuple[bytes, ...]:
        """What makes a record worth less than one without it, in words; `more`: patterns of paths that are left out."""
        network = tuple(map(os.fsencode, self.network))
        found = [self.untracked, network, (b"history",) if self.history else (), *more]
        return tuple(_with_lengths(sorted(one)) for one in found) if any(found) else ()


def _with_lengths(words: Sequence[bytes]) -> bytes:
    """Words that cannot be taken for those of the option before or after."""
    return b"".join(b"%d:%s" % (len(word), word) for word in words)


@attrs.frozen
class Ran:
    """How a command ended (wait status); `refused`: why it is not recorded; `digest`: of the `record` that is kept."""

    status: int
    refused: tuple[str, ...] = ()
    record: Record | None = None
    digest: str | None = None


def step_of(command: Sequence[bytes], name: StepName, folder: bytes, vouched: Sequence[bytes] = ()) -> Step:
    """A step as records name it; `vouched`: what the user says does not matter, or is allowed, option by option."""
    return Step(str(name), _digest(command), os.fsdecode(folder), _digest(vouched))


def _digest(words: Sequence[bytes]) -> str:
    return sha256(b"\0".join(words)).hexdigest() if words else ""


class Run:
    """One step of one job, about to run."""

    def __init__(self, subject: Subject, job: Job, step: Step, name: StepName, wishes: Wishes) -> None:
        self._subject = subject
        self._job = job
        self._step = step
        self._name = name
        self._wishes = wishes

    def run(self, invocation: Invocation, shelf: Shelf | None) -> Ran:
        """Run the command, and record what it depended on if it succeeded."""
        earlier, missing = self._earlier(shelf)
        self._note(shelf, {"failed": True})  # until it is known better: what an earlier attempt left is of another time
        others = self._others(shelf)
        try:
            return self._traced(invocation, shelf, earlier, [*missing, *others])
        finally:
            if others and shelf is not None:
                self._withdraw_others(shelf)

    def _traced(self, invocation: Invocation, shelf: Shelf | None, earlier: list[Record], missing: list[str]) -> Ran:
        function = function_named("blake3")
        limit = TimeLimit(invocation.options.timeout)
        try:
            with limit:
                snapshot, trace = run_command(invocation)
        except (TracerUnavailable, NamespaceUnavailable) as error:
            return Ran(run_plainly(invocation), (str(error),))
        except Exception as error:
            if invocation.streams.begun:
                raise
            return Ran(run_plainly(invocation), (f"the tracer failed: {error!r}",))
        if trace.status:
            trace.close()
            return Ran(trace.status, (_failed(trace.status, limit.reached),))
        if limit.reached:
            trace.close()
            return Ran(trace.status, ("it was ended by --timeout",))
        try:
            traced = observe(invocation, function, snapshot, trace, {})
            if traced.seen.run.stdin_read and invocation.streams.kinds[0] == "file":
                missing.append("it read a file on standard input, which no commit tells: name it in the command")
            return self._conclude(traced, earlier, missing, shelf)
        except Exception as error:  # the command has run: its status is passed on
            return Ran(trace.status, (f"recording failed: {error!r}",))

    def _conclude(self, traced: Traced, earlier: list[Record], missing: list[str], shelf: Shelf | None) -> Ran:
        subject, wishes = self._subject, self._wishes
        assert subject.worktree is not None
        assert isinstance(subject.objects, LibraryObjects)
        made = [path for record in earlier for path in record.files.get(_MADE, "").split("\0") if path]
        observer = Observer(
            subject.objects, subject.commit, subject.tree, subject.worktree, made, wishes.untracked, wishes.history,
            wishes.workspace,
        )  # fmt: skip
        seen = observer.conclude(traced)
        refused = [message for _, message in seen.refused] + self._of_network(traced) + missing
        if refused:
            return Ran(traced.status, tuple(refused))
        networked = any(reason.code == "network" for reason in traced.seen.reasons)
        record = self._record(seen, sorted(traced.seen.run.peers), networked, [*made, *seen.made], earlier)
        if self._name.number < self._name.of:
            passed = record.with_files({**record.files, _MADE: "\0".join([*made, *seen.made])})
            kept = self._note(shelf, {"record": b64encode(passed.encode()).decode()})
            return Ran(traced.status, () if kept else ("this step could not be kept for the next one",), record)
        if shelf is None:
            return Ran(traced.status, ("there is no cache to keep the record in",), record)
        try:
            return Ran(traced.status, (), record, str(shelf.store(self._job, record)))
        except ShelfTrouble as error:
            return Ran(traced.status, (str(error),), record)

    def _of_network(self, traced: Traced) -> list[str]:
        """Why the job's use of the network keeps it from being recorded."""
        if not any(reason.code == "network" for reason in traced.seen.reasons):
            return []
        allowed, peers = self._wishes.network, traced.seen.run.peers
        if EVERYBODY in allowed:
            return []
        refused = not_allowed(peers, allowed) if peers else ["an address that could not be seen"]
        told = " (--allow-network HOST or --allow-network records it for --max-age)"
        return [f"it talked to {', '.join(refused)}{told}"] if refused else []

    def _record(
        self, seen: Observed, peers: list[str], networked: bool, made: Sequence[str], earlier: Sequence[Record]
    ) -> Record:
        """The record of this step and of those before it."""
        subject, wishes = self._subject, self._wishes
        facts = {path: list(found) for path, found in seen.parts.items()}
        trees = dict(seen.trees)
        for record in earlier:
            for part in record.parts:
                facts.setdefault(part.path, []).extend(part.facts)
                trees.setdefault(part.path, (part.commit, part.tree))
        values = Values(subject.objects, subject.tree)
        facts[b""] += [(path, "w" if values.state(path)[:1] == b"d" else "v") for path in wishes.definition]
        facts[b""] += [(path, "v") for path in wishes.settings if values.state(path)[:1] not in b"-/>"]
        hosts = sorted({*peers, *(host for record in earlier for host in record.hosts)})
        own = wishes.max_age if wishes.max_age is not None else NETWORK_MAX_AGE if networked else None
        ages = [age for age in (own, *(record.max_age for record in earlier)) if age is not None]
        steps = [step for record in earlier for step in record.steps]
        variables = {name: digest for record in earlier for name, digest in record.variables.items()}
        return Record(
            workflow=self._job.workflow,
            project=self._job.project,
            scope=self._job.write,
            branch=wishes.branch,
            run=wishes.run,
            # Not in whole seconds: a record that was withdrawn is never made again.
            time=min([round(time.time(), 3), *(record.time for record in earlier)]),
            parts=tuple(self._part(path, trees[path], facts[path]) for path in sorted(facts)),
            steps=(*dict.fromkeys(steps), self._step),
            fingerprint=dict(subject.fingerprint),
            variables={name: digest_of_text(name, subject.environ.get(name)) for name in subject.variables} | variables,
            files={path: digest for one in (*(r.files for r in earlier), seen.files) for path, digest in one.items()
                   if path != _MADE},
            filtered={path: digest for one in (*(r.filtered for r in earlier), seen.filtered)
                      for path, digest in one.items()},
            outside=self._outside(seen, earlier),
            head=(subject.head or "") if seen.head or any(record.head is not None for record in earlier) else None,
            sparse=subject.sparse or "",
            hosts=tuple(hosts),
            max_age=int(min(ages)) if ages else None,
            made={path: digest_of_left(os.path.join(os.fsdecode(subject.worktree or b""), path))
                  for path in outermost(one for one in made if values.state(os.fsencode(one))[:1] in b"-/>")},
            untracked=tuple(sorted({*map(os.fsdecode, wishes.untracked), *(p for r in earlier for p in r.untracked)})),
        )  # fmt: skip

    def _outside(self, seen: Observed, earlier: Sequence[Record]) -> dict[str, str] | None:
        """Files outside the repository that any step counts; what an earlier one saw of them stands."""
        before = [record.outside for record in earlier if record.outside is not None]
        if not before and not self._wishes.outside:
            return None
        found = outside_digests(seen.outside) if self._wishes.outside else {}
        return found | {path: digest for one in before for path, digest in one.items()}

    def _part(self, path: bytes, tree: tuple[bytes, bytes], facts: Sequence[tuple[bytes, str]]) -> Part:
        objects = submodule_objects(self._subject.objects, path) if path else self._subject.objects
        if objects is None:
            raise GitTrouble(f"the submodule {os.fsdecode(path)} is gone")
        return Part.of(path, *tree, strongest(facts), Values(objects, tree[1]))

    def _words(self, number: int) -> tuple[str, ...]:
        commit, run = self._subject.commit.hex(), self._wishes.run
        return ("step", self._job.project, self._job.workflow, self._job.write, commit, run, self._apart(), str(number))

    def _apart(self) -> str:
        """What tells this job from others of its name in the same run: those of a matrix."""
        around = (digest_of_text(name, self._subject.environ.get(name)) for name in sorted(self._wishes.split))
        return sha256("\0".join(around).encode()).hexdigest()

    def _note(self, shelf: Shelf | None, note: dict[str, object]) -> bool:
        """Leave word for the next steps."""
        if self._name.of == 1:
            return True
        if shelf is None:
            return False
        try:
            # Told apart from what an earlier attempt of the same run said.
            shelf.set_note(*self._words(self._name.number), note={**note, "time": time.time_ns()})
        except ShelfTrouble:
            return False
        return True

    def _others(self, shelf: Shelf | None) -> list[str]:
        """Why the job is not recorded when this run has another command of its name: a check would take it for both."""
        if shelf is None or not self._wishes.run:
            return []
        words = ("commands", *self._words(1)[1:-1])
        own = f"of {self._name.of}" if self._name.of > 1 else f"{self._step.command} {self._step.folder}"
        try:
            known = {str(one) for one in (shelf.note(*words) or {}).get("commands", [])}  # type: ignore[attr-defined]
            if own not in known:
                shelf.set_note(*words, note={"commands": sorted({own, *known}), "time": time.time_ns()})
        except ShelfTrouble as error:
            return [str(error)]
        if known <= {own}:
            return []
        return [f"this run has other commands of {self._job.workflow!r}: give each a --workflow, or --step K/N"]

    def _withdraw_others(self, shelf: Shelf) -> None:
        """Have what this run recorded of other commands under the job's name serve no more."""
        job = Job(self._job.workflow, self._job.project, (self._job.write,), self._job.write)
        try:
            for stored in shelf.records(job).records:
                record = stored.record
                if (record.run, record.commit) == (self._wishes.run, self._subject.commit):
                    shelf.withdraw(stored.digest)
        except ShelfTrouble:
            return  # it cannot be read then

    def note_skip(self, shelf: Shelf, digest: str) -> None:
        """Leave word that the job is skipped, by which record."""
        self._note(shelf, {"skip": digest})

    def skipped_before(self, shelf: Shelf) -> str | None:
        """The record by which the job's first step was skipped; None if it was not."""
        try:
            note = shelf.note(*self._words(1)) or {}
        except ShelfTrouble:
            return None
        return str(note["skip"]) if "skip" in note else None

    def _earlier(self, shelf: Shelf | None) -> tuple[list[Record], list[str]]:
        """What the steps before this one left; and why the job cannot be recorded any more."""
        records, missing = [], []
        for number in range(1, self._name.number):
            try:
                note = shelf.note(*self._words(number)) if shelf is not None else None
                records.append(Record.decode(b64decode(str((note or {})["record"]))))
            except (KeyError, ValueError, MalformedRecord, ShelfTrouble):
                missing.append(f"step {number}/{self._name.of} of this job was not recorded")
        missing += [
            f"an earlier step had another {what}" for record in records[-1:] for what in self._others_than(record)
        ]
        return records[-1:], missing

    def _others_than(self, record: Record) -> Iterator[str]:
        """What an earlier step's record counts, and is another here: that step was of another job, or machine."""
        if record.fingerprint != dict(self._subject.fingerprint):
            yield "runner"
        for name, digest in record.variables.items():
            if digest_of_text(name, self._subject.environ.get(name)) != digest:
                yield f"value of {name}"


_MADE = "\0made"
"""Under this name, which is no path, a step tells the next one what it left behind."""


def run_plainly(invocation: Invocation) -> int:
    """Run the command without a tracer; return its wait status."""
    streams = invocation.streams if invocation.streams.read_ahead is not None else None
    with TimeLimit(invocation.options.timeout):
        return run_plain(invocation.argv, invocation.executable, invocation.environ, streams, False)


def _failed(status: int, timed_out: bool) -> str:
    if timed_out:
        return "it was ended by --timeout: a job that failed is never recorded"
    code = os.waitstatus_to_exitcode(status)
    return f"it {'was ended by signal' if code < 0 else 'failed with status'} {abs(code)}: such a job is never recorded"
