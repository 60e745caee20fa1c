# SPDX-License-Identifier: Apache-2.0
"""`pytrace ci run`: skip a job that cannot have changed, or run it and record what it depended on."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import attrs
import click

from pytrace_exec.ci.network import EVERYBODY
from pytrace_exec.ci.objects import GitTrouble
from pytrace_exec.ci.provider import workspace, write_outputs, write_summary
from pytrace_exec.ci.shelf import ShelfTrouble
from pytrace_exec.ci.verdict import Verdict, count, decide, unknown
from pytrace_exec.cli.answer import Answer, say
from pytrace_exec.cli.choices import chosen, format_options, twin, wrapper_options
from pytrace_exec.cli.ci import ci
from pytrace_exec.cli.ci_asking import job_options, question_options
from pytrace_exec.cli.ci_question import Asked, json_of, lines_of, shelf_of, summary_of
from pytrace_exec.cli.exit_status import USAGE
from pytrace_exec.cli.main import Failed
from pytrace_exec.options import files
from pytrace_exec.places import find_places
from pytrace_exec.standard_streams import inherited_descriptors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytrace_exec.ci.decision import Subject
    from pytrace_exec.ci.job import Ran, Run, StepName
    from pytrace_exec.ci.library import LibraryObjects
    from pytrace_exec.ci.shelf import Shelf
    from pytrace_exec.options import Options

_STATUSES = "Exit status: COMMAND's own, 0 when it is skipped; 126 it cannot be executed; 127 it is not there; 2 usage."
_STEP = re.compile(r"([1-9][0-9]*)/([1-9][0-9]*)")


@attrs.frozen
class Recording:
    """What the options say about recording."""

    step: str
    untracked: tuple[str, ...]
    network: tuple[str, ...]
    history: bool

    def peers(self) -> tuple[str, ...]:
        """Whom the job may talk to."""
        return tuple(host for word in self.network for host in word.split(",") if host)


@ci.command(
    epilog=_STATUSES,
    short_help="Skip a job, or run and record it.",
    context_settings={"allow_interspersed_args": False},
)
@job_options()
@question_options()
@click.option(
    "--step",
    default="1/1",
    metavar="K/N",
    **twin("PYTRACE_CI_STEP"),
    help="Which of how many steps of one job this is; they share a record.",
)
@click.option(
    "--allow-untracked",
    "untracked",
    multiple=True,
    metavar="GLOB",
    **twin("PYTRACE_CI_ALLOW_UNTRACKED"),
    help="Untracked files that are inputs, such as a restored cache; repeatable.",
)
@click.option(
    "--allow-network",
    "network",
    multiple=True,
    is_flag=False,
    flag_value=EVERYBODY,
    metavar="[HOST]",
    **twin("PYTRACE_CI_ALLOW_NETWORK"),
    help="Record a job that talked to HOST, or to anybody; repeatable. Without --max-age: for 24h.",
)
@click.option(
    "--allow-history",
    "history",
    is_flag=True,
    **twin("PYTRACE_CI_ALLOW_HISTORY"),
    help="Vouch that what git told of commits, branches and tags does not matter.",
)
@wrapper_options("root", "tracer", "pid-namespace", "ignore", "disposable", "timeout")
@format_options()
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(
    command: tuple[str, ...], step: str, untracked: tuple[str, ...], network: tuple[str, ...], history: bool,
    format: str, as_json: bool, color: str, **asked: Any,
) -> None:  # fmt: skip
    """Skip COMMAND when no recorded run of the job could have differed; else run it, and record it if it succeeds.

    The command's own output is all that stands on stdout; why it runs, and why it is not recorded, stands on stderr.
    """
    from pytrace_exec.ci.job import StepName

    question, recording = Asked(**asked), Recording(step, untracked, network, history)
    matched = _STEP.fullmatch(step)
    if matched is None or int(matched[1]) > int(matched[2]):
        raise Failed(f"--step {step}: K/N, the step's number and how many there are, such as 1/3", USAGE)
    name = StepName(int(matched[1]), int(matched[2]))
    told = _Teller(question.workflow, "json" if as_json else format, color)
    options = chosen()
    if sys.platform != "linux":
        told.run(unknown("recording needs Linux's tracers: here the job runs and is not recorded"))
        sys.exit(subprocess.run(command, check=False).returncode)
    sys.exit(_run(command, question, recording, name, options, told))


class _Teller:
    """Says on stderr what became of the job, and leaves the answer where the CI system wants it."""

    def __init__(self, workflow: str, format: str, color: str) -> None:
        self._workflow = workflow
        self._answer = Answer.on_stdout(format, color)
        self._found: dict[str, Any] = {"workflow": workflow}

    def run(self, verdict: Verdict) -> None:
        """Tell the verdict."""
        self._found |= json_of(verdict)
        for line in lines_of(verdict, self._workflow):
            say(line)
        try:
            write_outputs(verdict.skip, verdict.summary, os.environ)
        except OSError as error:
            say(f"$GITHUB_OUTPUT cannot be written: {error}")
        self._summarize(summary_of(verdict, self._workflow))

    def ran(self, ran: Ran) -> None:
        """Tell whether the run is recorded."""
        for reason in ran.refused:
            say(f"not recorded: {reason}")
        if ran.digest is not None and ran.record is not None:
            say(f"recorded {ran.digest}: {ran.record.size()} paths")
        self._found |= {"recorded": ran.digest, "not_recorded": list(ran.refused)}
        self._summarize([f"- not recorded: {' '.join(reason.split())}" for reason in ran.refused])

    def _summarize(self, lines: Sequence[str]) -> None:
        try:
            write_summary(lines, os.environ)
        except OSError as error:
            say(f"$GITHUB_STEP_SUMMARY cannot be written: {error}")

    def close(self, status: int) -> None:
        """Write the object that was asked for, after all that the command wrote."""
        if self._answer.format == "json":
            self._answer.given(status, lambda: self._object(status))

    def _object(self, status: int) -> None:
        if not self._found["skip"]:
            self._answer.line()  # the command's last line may not be ended
        self._answer.json({**self._found, "exit_code": status})


def _run(
    command: tuple[str, ...], question: Asked, recording: Recording, name: StepName, options: Options, told: _Teller
) -> int:

    words = [os.fsencode(word) for word in command]
    try:
        prepared = _Prepared(words, question, recording, name, options)
    except Failed:
        raise
    except Exception as error:  # not to know is no reason not to run
        told.run(unknown(str(error) if isinstance(error, GitTrouble) else f"the check failed: {error!r}"))
        status = _exit_status(_plainly(words, options))
        told.close(status)
        return status
    verdict = prepared.verdict()
    told.run(verdict)
    if verdict.skip:
        told.close(0)
        return 0
    ran: Ran = prepared.run()
    status = _exit_status(ran.status)
    if status:
        prepared.withdraw(verdict)
    told.ran(ran)
    told.close(status)
    return status


class _Prepared:
    """Everything that is known before a command is skipped or run; raises `GitTrouble` when nothing can be known."""

    def __init__(
        self, words: list[bytes], question: Asked, recording: Recording, name: StepName, options: Options
    ) -> None:
        from pytrace_exec.ci.job import Run, Wishes, step_of
        from pytrace_exec.ci.library import LibraryObjects
        from pytrace_exec.ci.standing import Standing
        from pytrace_exec.ci.worktree import Worktree

        self._options, self._words, self._question, self._name = options, words, question, name
        objects = LibraryObjects(options.root or b".")
        top = _top_of(objects)
        worktree = Worktree(objects, top)
        settings = _settings(options, top)
        options.root = top
        folder = os.path.relpath(os.path.realpath(os.getcwdb()), top)
        around = question.around
        wishes = Wishes(
            tuple(map(os.fsencode, recording.untracked)), recording.peers(), question.max_age, question.outside,
            recording.history, around.definition, around.branch or objects.branch(), around.run, settings,
            workspace(os.environ) or worktree.superproject(), around.split,
        )  # fmt: skip
        vouched = wishes.vouched(options.ignore, options.disposable)
        step = step_of(words, name, b"" if folder == b"." else folder, vouched)
        # What later steps find is what the first has left behind, and it has decided for them.
        standing = Standing(objects, objects.commit("HEAD")[1], top) if name.number == 1 else None
        self._subject: Subject = question.subject(
            objects, "HEAD", step=step, sparse=worktree.sparse(), standing=standing
        )
        self._run: Run = Run(self._subject, question.job, step, name, wishes)
        self._shelf: Shelf | None = None
        self._objects = objects

    def verdict(self) -> Verdict:
        """Whether to skip: of a job in several steps, as the first of them decided."""
        try:
            self._shelf = shelf_of(self._options, make=True)
            terms = self._question.terms(self._objects, self._subject.commit)
            verdict = decide(self._shelf, self._question.job, self._subject, terms)
            if self._name.number > 1:
                return self._as_decided(verdict)
            verdict = count(self._shelf, verdict, terms)
            if verdict.by is not None and self._name.of > 1:
                self._run.note_skip(self._shelf, str(verdict.by.digest))
            return verdict
        except ShelfTrouble as error:
            return unknown(str(error))
        except Exception as error:
            return unknown(f"the check failed: {error!r}")

    def _as_decided(self, verdict: Verdict) -> Verdict:
        assert self._shelf is not None
        skipped = self._run.skipped_before(self._shelf)
        if skipped is None:
            return unknown("the job's first step ran")
        by = next((stored for stored in verdict.matched if str(stored.digest) == skipped), None)
        return verdict if by is None else Verdict(by, verdict.misses, verdict.general, verdict.matched, verdict.notes)

    def run(self) -> Ran:
        """Run the command."""
        from pytrace_exec.cli.asking import asked

        invocation = asked(self._options, self._words, inherited_descriptors(), own_status=True)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        return self._run.run(invocation, self._shelf)

    def withdraw(self, before: Verdict) -> None:
        """Have the records serve no more that say of this very state that the job succeeds; tell it.

        Those too that another run has stored since: `before` was known when this one began.
        """
        if self._shelf is None:
            return
        try:
            terms = self._question.terms(self._objects, self._subject.commit)
            found = decide(self._shelf, self._question.job, self._subject, terms, all_of_them=True).matched
            digests = {stored.digest for stored in (*before.matched, *found)}
            for digest in digests:
                self._shelf.withdraw(digest)
        except (ShelfTrouble, GitTrouble) as error:
            say(f"records of this state could not be withdrawn: {error}")
            return
        if digests:
            say(f"it failed where it had succeeded: {len(digests)} records withdrawn")


def _settings(options: Options, top: bytes) -> tuple[bytes, ...]:
    """The repository's own file that says what is ignored, if anything is; to be asked before the root is the top."""
    if not options.ignore and not options.disposable:
        return ()
    file = os.path.realpath(next(files(find_places(options, os.getcwdb(), os.environb).root, os.environb)))
    if not file.startswith(top.rstrip(b"/") + b"/"):
        return ()
    if file.endswith(b"/pyproject.toml"):
        try:
            with open(file, "rb") as opened:
                if b"pytrace" not in opened.read():
                    return ()
        except OSError:
            return ()
    return (os.path.relpath(file, top),)


def _top_of(objects: LibraryObjects) -> bytes:
    if not objects.workdir:
        raise GitTrouble("this is a bare repository: run in a work tree")
    return os.path.realpath(objects.workdir)


def _plainly(words: list[bytes], options: Options) -> int:
    from pytrace_exec.ci.job import run_plainly
    from pytrace_exec.cli.asking import asked

    options.root = None
    return run_plainly(asked(options, words, inherited_descriptors(), own_status=True))


def _exit_status(status: int) -> int:
    """What a shell makes of a wait status."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code
