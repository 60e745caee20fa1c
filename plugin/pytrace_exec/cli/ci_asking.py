# SPDX-License-Identifier: Apache-2.0
"""What the verbs of `pytrace ci` share: their options, the cache with the records, and the question that is asked."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import attrs
import click

from pytrace_cas.store import Store, StoreError
from pytrace_exec.cache.errors import CacheFailed
from pytrace_exec.cache.local import LocalCache
from pytrace_exec.ci.decision import Subject
from pytrace_exec.ci.objects import GitTrouble, Objects, open_repository
from pytrace_exec.ci.provider import FORCED, Surroundings, code, listed, surroundings
from pytrace_exec.ci.runner import fingerprint
from pytrace_exec.ci.shelf import Job, Shelf, ShelfTrouble
from pytrace_exec.ci.verdict import Terms, Verdict
from pytrace_exec.cli.choices import REMOTE, chosen, function_of, twin, wrapper_options
from pytrace_exec.cli.exit_status import USAGE
from pytrace_exec.cli.main import Failed
from pytrace_exec.option_values import positive_duration
from pytrace_exec.store_opening import open_folder, store_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytrace_exec.options import Options


class Duration(click.ParamType[float]):
    """Seconds, written as `90s`, `24h`, `30d`."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read a duration."""
        if isinstance(value, float):
            return value
        try:
            return positive_duration(os.fsencode(str(value)))
        except ValueError as error:
            self.fail(str(error), param, ctx)


_JOB = (
    click.option("--workflow", required=True, metavar="W", **twin("PYTRACE_CI_WORKFLOW"),
                 help="The job's name: its records are found by it."),
    click.option("--project", default="", metavar="NAME", **twin("PYTRACE_CI_PROJECT"),
                 help="Whose job it is, where projects share a cache."),
    click.option("--read-scope", "read_scopes", multiple=True, metavar="S", **twin("PYTRACE_CI_READ_SCOPE"),
                 help="A scope whose records are believed; repeatable.  [default: --write-scope]"),
    click.option("--write-scope", default="", metavar="S", **twin("PYTRACE_CI_WRITE_SCOPE"),
                 help="The scope that records are written to."),
)  # fmt: skip
_QUESTION = (
    click.option("--env", "variables", multiple=True, metavar="NAME", **twin("PYTRACE_CI_ENV"),
                 help="A variable whose value counts; repeatable."),
    click.option("--fingerprint", "text", metavar="TEXT", **twin("PYTRACE_CI_FINGERPRINT"),
                 help="What stands for the runner.  [default: OS release, architecture, image]"),
    click.option("--fingerprint-outside", "outside", is_flag=True, **twin("PYTRACE_CI_FINGERPRINT_OUTSIDE"),
                 help="Count the files outside the repository that the job used, too."),
    click.option("--definition", "definitions", multiple=True, metavar="PATH", **twin("PYTRACE_CI_DEFINITION"),
                 help="A file of the repository that says what the job does; repeatable.  [default: the CI system's]"),
    click.option("--branch", metavar="NAME", **twin("PYTRACE_CI_BRANCH"),
                 help="The branch whose records are tried first."),
    click.option("--default-branch", "default_branch", metavar="NAME", **twin("PYTRACE_CI_DEFAULT_BRANCH"),
                 help="The branch whose records are tried next."),
    click.option("--max-age", type=Duration(), metavar="DUR", **twin("PYTRACE_CI_MAX_AGE"),
                 help="How long a record serves."),
    click.option("--max-skips", type=click.IntRange(min=0), metavar="N", **twin("PYTRACE_CI_MAX_SKIPS"),
                 help="How often one record serves."),
    click.option("--force", is_flag=True, **twin("PYTRACE_CI_FORCE"),
                 help=f"Run whatever is recorded, as {FORCED} in the commit's message does."),
)  # fmt: skip


@attrs.frozen
class Asked:
    """What the options say, of which the verbs have no need themselves."""

    workflow: str
    project: str
    read_scopes: tuple[str, ...]
    variables: tuple[str, ...] = ()
    text: str | None = None
    outside: bool = False
    definitions: tuple[str, ...] = ()
    branch: str | None = None
    default_branch: str | None = None
    max_age: float | None = None
    max_skips: int | None = None
    force: bool = False
    write_scope: str = ""

    @property
    def job(self) -> Job:
        """Whose records are meant."""
        return Job(self.workflow, self.project, self.read_scopes or (self.write_scope,), self.write_scope)

    @property
    def around(self) -> Surroundings:
        """What the CI system says, less what the user says otherwise."""
        found = surroundings(os.environ)
        definition = tuple(map(_in_repository, self.definitions)) or found.definition
        return Surroundings(self.branch or found.branch, self.default_branch or found.default, found.run, definition)

    def terms(self, objects: Objects, commit: bytes) -> Terms:
        """What decides besides the records."""
        forced = "--force" if self.force else None
        if forced is None and FORCED in objects.message(commit).lower():
            forced = f"the commit's message says {FORCED}"
        around = self.around
        return Terms(around.branch or objects.branch(), around.default, self.max_skips, forced)

    def subject(self, objects: Objects, revision: str, **more: Any) -> Subject:
        """The commit that is asked about, on this machine; raise `GitTrouble`."""
        commit, tree = objects.commit(revision)
        workdir = objects.repository.workdir
        return Subject(
            objects, commit, tree, fingerprint(self.text, os.environ), os.environ, time.time(),
            _branch_at(objects, commit),
            os.path.realpath(os.fsencode(workdir)) if workdir else None,
            definition=self.around.definition, variables=self.variables, outside=self.outside, max_age=self.max_age,
            **more,
        )  # fmt: skip


def _branch_at(objects: Objects, commit: bytes) -> str | None:
    """The branch that the job reads the name of, if it is to run in this work tree as it is."""
    try:
        there = bool(objects.repository.workdir) and objects.commit("HEAD")[0] == commit
    except GitTrouble:
        return None
    return objects.branch() if there else None


def _in_repository(name: str) -> bytes:
    path = os.path.normpath(os.fsencode(name))
    if path.startswith((b"/", b"../")) or path in (b".", b".."):
        raise Failed(f"--definition {name}: a path of the repository, from its top folder", USAGE)
    return path


def job_options() -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the options that say whose records are meant, and where they are."""
    return _adding(_JOB, ("dir", *REMOTE))


def question_options() -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the options that say what is asked."""
    return _adding(_QUESTION, ())


def _adding(options: tuple[Any, ...], wrappers: tuple[str, ...]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        command = wrapper_options(*wrappers)(command)
        for option in reversed(options):
            command = option(command)
        return command

    return add


def open_shelf(make: bool) -> Shelf:
    """The records in the cache that the options name; raise `ShelfTrouble`. `make`: a local store if need be."""
    return shelf_of(chosen(), make)


def shelf_of(options: Options, make: bool) -> Shelf:
    """The same for options that were read before."""
    try:
        if options.remote is not None:
            from pytrace_exec.ci.direct import DirectTier

            return Shelf(DirectTier(options))
        folder = store_folder(options, os.environb)
        if folder is None:
            raise ShelfTrouble("no cache: HOME is not set; --dir or --remote names one")
        store = open_folder(folder, options.max_size) if make else _existing(folder)
        return Shelf(LocalCache(store, function_of(options), options.instance_name))
    except (StoreError, CacheFailed, OSError) as error:
        raise ShelfTrouble(str(error)) from None


def _existing(folder: bytes) -> Store:
    """A store that is there already: a question makes none."""
    return open_folder(folder) if os.path.isdir(folder) else Store.open(folder, read_only=True)


def open_objects(repo: bytes) -> Objects:
    """The repository that a path lies in; raise `GitTrouble`."""
    return Objects(open_repository(repo))


TROUBLES = (GitTrouble, ShelfTrouble)


def lines_of(verdict: Verdict, workflow: str) -> list[str]:
    """A verdict for people: the answer, then every reason, the nearest record's first."""
    head = f"{'skip' if verdict.skip else 'run'} {workflow}: {verdict.summary}"
    lines = [head, *(reason.message for reason in verdict.general[1:]), *verdict.notes]
    for stored, reasons in () if verdict.skip else verdict.misses:
        lines.append(f"  {where(stored.record.branch, stored.record.commit, stored.record.run)}:")
        lines += [f"    {' '.join(reason.message.split())}" for reason in reasons]
    return lines


def summary_of(verdict: Verdict, workflow: str) -> list[str]:
    """A verdict as Markdown for a summary page."""
    lines = [f"### {code(workflow)}: {'skipped' if verdict.skip else 'run'}", "", code(verdict.summary)]
    for stored, reasons in () if verdict.skip else verdict.misses:
        place = where(stored.record.branch, stored.record.commit, stored.record.run)
        lines += ["", f"Against {code(place)}:", "", *listed(reasons)]
    return lines


def where(branch: str, commit: bytes, run: str) -> str:
    """Where a record comes from."""
    return " ".join(word for word in (commit.hex()[:12], f"({branch})" if branch else "", run) if word)


def json_of(verdict: Verdict) -> dict[str, Any]:
    """A verdict as an object."""

    def reasons(found: Any) -> list[dict[str, Any]]:
        return [
            {"code": one.code, "message": one.message, "path": None if one.path is None else os.fsdecode(one.path)}
            for one in found
        ]

    def record(stored: Any) -> dict[str, Any]:
        found = stored.record
        return {
            "digest": str(stored.digest), "branch": found.branch, "commit": found.commit.hex(), "run": found.run,
            "time": int(found.time), "scope": found.scope, "paths": found.size(),
        }  # fmt: skip

    return {
        "skip": verdict.skip,
        "reason": verdict.summary,
        "by": record(verdict.by) if verdict.by is not None else None,
        "reasons": reasons(verdict.general),
        "records": [{**record(stored), "reasons": reasons(found)} for stored, found in verdict.misses],
        "notes": list(verdict.notes),
    }
