# SPDX-License-Identifier: Apache-2.0
"""`pytrace ci ls`: the records of jobs, and where they came from."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import click

from pytrace_cas.json_fields import text_fields
from pytrace_exec.ci.shelf import Job
from pytrace_exec.cli.answer import Answer, one_line
from pytrace_exec.cli.choices import REMOTE, format_options, twin, wrapper_options
from pytrace_exec.cli.ci import ci
from pytrace_exec.cli.ci_asking import open_shelf
from pytrace_exec.cli.ci_question import TROUBLES
from pytrace_exec.cli.exit_status import NO_STORE, stated
from pytrace_exec.cli.main import Failed

if TYPE_CHECKING:
    from pytrace_exec.ci.shelf import Shelf, Stored


@ci.command(epilog=stated("0 also when there is none"), short_help="What is recorded.")
@click.option(
    "--workflow", metavar="W", **twin("PYTRACE_CI_WORKFLOW"), help="Of this job.  [default: of the latest 32]"
)
@click.option("--project", default="", metavar="NAME", **twin("PYTRACE_CI_PROJECT"), help="Whose jobs they are.")
@click.option(
    "--read-scope",
    "read_scopes",
    multiple=True,
    metavar="S",
    **twin("PYTRACE_CI_READ_SCOPE"),
    help="Of these scopes; repeatable.  [default: all]",
)
@wrapper_options("dir", *REMOTE)
@format_options()
def ls(
    workflow: str | None, project: str, read_scopes: tuple[str, ...], format: str, as_json: bool, color: str
) -> None:
    """List the recorded runs of jobs: when, on which branch and commit, how many paths count, and the run's address."""
    answer = Answer.on_stdout("json" if as_json else format, color)
    try:
        found = _records(open_shelf(make=False), workflow, project, read_scopes)
    except TROUBLES as error:
        raise Failed(str(error), NO_STORE) from None
    if answer.format == "json":
        answer.json({"records": [_described(stored) for stored in found]})
        return
    headings = ("digest", "workflow", "when", "branch", "commit", "paths", "scope", "run")
    answer.table([_row(stored) for stored in found], headings)


def _records(shelf: Shelf, workflow: str | None, project: str, scopes: tuple[str, ...]) -> list[Stored]:
    jobs = [job for job in shelf.jobs(project) if workflow in (None, job[0]) and (not scopes or job[1] in scopes)]
    if workflow is not None:
        jobs = list(dict.fromkeys([*jobs, *((workflow, scope) for scope in scopes or ("",))]))
    found = [one for name, scope in jobs for one in shelf.records(Job(name, project, (scope,), scope)).records]
    return sorted(found, key=lambda one: one.record.time, reverse=True)


def _row(stored: Stored) -> list[str]:
    record = stored.record
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(record.time))
    place = [record.branch or "-", record.commit.hex()[:12], str(record.size()), record.scope or "-", record.run or "-"]
    return [stored.digest.hash[:12], *map(one_line, [record.workflow, when, *place])]


def _described(stored: Stored) -> dict[str, Any]:
    record = stored.record
    return {
        "digest": str(stored.digest), "workflow": record.workflow, "project": record.project, "scope": record.scope,
        **text_fields("branch", os.fsencode(record.branch)), "commit": record.commit.hex(), "tree": record.tree.hex(),
        "run": record.run,
        "time": int(record.time), "paths": record.size(), "hosts": list(record.hosts), "max_age": record.max_age,
    }  # fmt: skip
