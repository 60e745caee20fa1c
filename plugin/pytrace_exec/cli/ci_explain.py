# SPDX-License-Identifier: Apache-2.0
"""`pytrace ci explain`: every record of a job held against a commit, and what a record says."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from pytrace_cas.json_fields import text_fields
from pytrace_exec.ci.opening import Opening
from pytrace_exec.ci.verdict import decide
from pytrace_exec.cli.answer import Answer, one_line
from pytrace_exec.cli.choices import format_options
from pytrace_exec.cli.ci import ci
from pytrace_exec.cli.ci_asking import job_options, open_shelf, place_options, question_options
from pytrace_exec.cli.ci_question import TROUBLES, Asked, find_record, json_of, lines_of, where
from pytrace_exec.cli.exit_status import DIFFERENT, NOT_FOUND, stated
from pytrace_exec.cli.main import Failed

if TYPE_CHECKING:
    from pytrace_exec.ci.record import Record
    from pytrace_exec.ci.shelf import Stored
    from pytrace_exec.ci.verdict import Verdict

_LETTERS = {"v": "content", "t": "existence", "l": "names", "w": "everything below"}


@ci.command(
    epilog=stated("0 would skip; 1 would run; 20 no such record", store=False),
    short_help="Why a job runs, or what it read.",
)
@job_options()
@place_options()
@question_options()
@format_options()
@click.argument("record", required=False)
def explain(repo: bytes, commit: str, record: str | None, format: str, as_json: bool, color: str, **asked: Any) -> None:
    """Tell of every record of a job whether it serves at a commit, and every reason why not.

    With RECORD, the beginning of one's digest, tell everything that this one depends on.
    """
    question = Asked(**asked)
    answer = Answer.on_stdout("json" if as_json else format, color)
    try:
        shelf = open_shelf(make=False)
        if record is not None:
            _show(find_record(shelf, question.job, record), answer)
            return
        with Opening(repo) as objects:
            subject = question.subject(objects, commit)
            terms = question.terms(objects, subject.commit)
            verdict = decide(shelf, question.job, subject, terms, all_of_them=True)
    except TROUBLES as error:
        raise Failed(str(error), DIFFERENT) from None
    none = any(reason.code == "no_record" for reason in verdict.general)
    status = 0 if verdict.skip else NOT_FOUND if none else DIFFERENT
    sys.exit(answer.given(status, lambda: _tell(answer, verdict, question.workflow)))


def _tell(answer: Answer, verdict: Verdict, workflow: str) -> None:
    if answer.format == "json":
        served = [{"digest": str(stored.digest), "commit": stored.record.commit.hex()} for stored in verdict.matched]
        answer.json({"workflow": workflow, **json_of(verdict), "serving": served})
        return
    for line in lines_of(verdict, workflow):
        answer.line(one_line(line))
    for stored in verdict.matched:
        answer.line(f"  {_place(stored.record)}: serves", "good")
    for stored, reasons in verdict.misses if verdict.skip else ():
        answer.line(f"  {_place(stored.record)}:")
        for reason in reasons:
            answer.line(one_line(f"    {reason.message}"))


def _show(stored: Stored, answer: Answer) -> None:
    record = stored.record
    facts = [
        (part.path + b"/" + path if part.path and path else part.path or path, letter)
        for part in record.parts
        for path, letter in part.facts
    ]
    around = {
        "fingerprint": record.fingerprint, "variables": record.variables, "untracked": record.files,
        "outside": record.outside or {}, "hosts": list(record.hosts), "max_age": record.max_age,
        "steps": [step.name or "1/1" for step in record.steps], "head": record.head,
    }  # fmt: skip
    if answer.format == "json":
        branch = text_fields("branch", os.fsencode(record.branch))
        told = {"digest": str(stored.digest), **branch, "commit": record.commit.hex(), "run": record.run}
        paths = [{**text_fields("path", path), "counts": _LETTERS[letter]} for path, letter in facts]
        answer.json({**told, "time": int(record.time), **around, "paths": paths})
        return
    answer.line(f"{stored.digest}  {_place(record)}", "strong")
    answer.table([[name, str(value)] for name, value in around.items() if value])
    answer.table([[_LETTERS[letter], one_line(os.fsdecode(path)) or "."] for path, letter in facts])


def _place(record: Record) -> str:
    return where(record.branch, record.commit, record.run)
