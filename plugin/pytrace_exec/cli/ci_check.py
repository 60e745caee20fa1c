# SPDX-License-Identifier: Apache-2.0
"""`pytrace ci check`: whether a job may be skipped at a commit, from git objects alone; needs no tracer."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from pytrace_exec.ci.provider import write_outputs, write_summary
from pytrace_exec.ci.verdict import Verdict, count, decide, unknown
from pytrace_exec.cli.answer import Answer, one_line
from pytrace_exec.cli.choices import chosen, format_options, twin
from pytrace_exec.cli.ci import ci
from pytrace_exec.cli.ci_asking import (
    TROUBLES,
    Asked,
    job_options,
    json_of,
    lines_of,
    open_objects,
    question_options,
    shelf_of,
    summary_of,
)
from pytrace_exec.cli.exit_status import DIFFERENT, stated
from pytrace_exec.cli.main import Failed

_STATUSES = stated("0 may skip; 1 must run, or whatever keeps it from knowing", store=False)


@ci.command(epilog=_STATUSES, short_help="May this job be skipped at this commit?")
@job_options()
@click.option(
    "--repo",
    type=click.Path(path_type=bytes),
    default=b".",
    metavar="DIR",
    **twin("PYTRACE_CI_REPO"),
    help="A clone; bare, shallow or without blobs will do.  [default: .]",
)
@click.option(
    "--commit", default="HEAD", metavar="REV", **twin("PYTRACE_CI_COMMIT"), help="Which commit.  [default: HEAD]"
)
@question_options()
@format_options()
def check(repo: bytes, commit: str, format: str, as_json: bool, color: str, **asked: Any) -> None:
    """Decide from commits and trees alone whether a job could give another result than in a recorded run.

    Prints why, and writes skip=true|false and reason= to $GITHUB_OUTPUT, Markdown to $GITHUB_STEP_SUMMARY.
    """
    question, options = Asked(**asked), chosen()
    verdict = _verdict(question, options, repo, commit)
    try:
        write_outputs(verdict.skip, verdict.summary, os.environ)
        write_summary(summary_of(verdict, question.workflow), os.environ)
    except OSError as error:
        if verdict.skip and os.environ.get("GITHUB_OUTPUT"):
            verdict = unknown(f"$GITHUB_OUTPUT or $GITHUB_STEP_SUMMARY cannot be written: {error}")
        click.echo(f"pytrace: {error}", err=True)
    answer = Answer.on_stdout("json" if as_json else format, color)
    if answer.format == "json":
        answer.json({"workflow": question.workflow, **json_of(verdict)})
    else:
        for number, line in enumerate(lines_of(verdict, question.workflow)):
            answer.line(one_line(line), None if number else "good" if verdict.skip else "strong")
    answer.stream.flush()
    sys.exit(0 if verdict.skip else DIFFERENT)


def _verdict(question: Asked, options: Any, repo: bytes, commit: str) -> Verdict:
    try:
        objects = open_objects(repo)
        subject = question.subject(objects, commit)
        shelf = shelf_of(options, make=False)
        terms = question.terms(objects, subject.commit)
        return count(shelf, decide(shelf, question.job, subject, terms), terms)
    except TROUBLES as error:
        return unknown(str(error))
    except Failed:  # what the user asks makes no sense
        raise
    except Exception as error:  # nothing but a record that was understood lets a job be skipped
        return unknown(f"the check failed: {error!r}")
