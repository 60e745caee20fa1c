# SPDX-License-Identifier: Apache-2.0
"""`pytrace ci withdraw`: have records serve no more that somebody knows to be wrong."""

from __future__ import annotations

from typing import Any

import click

from pytrace_exec.cli.answer import Answer, one_line
from pytrace_exec.cli.choices import format_options
from pytrace_exec.cli.ci import ci
from pytrace_exec.cli.ci_asking import job_options, open_shelf
from pytrace_exec.cli.ci_question import TROUBLES, Asked, find_record, where
from pytrace_exec.cli.exit_status import DIFFERENT, USAGE, stated
from pytrace_exec.cli.main import Failed


@ci.command(
    epilog=stated("0 withdrawn; 1 the cache cannot be asked or written; 20 no such record", store=False),
    short_help="Have records serve no more.",
)
@job_options()
@format_options()
@click.option("--all", "every", is_flag=True, help="Every record of the job.")
@click.argument("records", nargs=-1)
def withdraw(records: tuple[str, ...], every: bool, format: str, as_json: bool, color: str, **asked: Any) -> None:
    """Have RECORDS, by the beginnings of their digests, let the job be skipped no more; `pytrace ci ls` shows them."""
    if bool(records) == every:
        raise Failed("name records, or --all; pytrace ci ls shows them", USAGE)
    job = Asked(**asked).job
    answer = Answer.on_stdout("json" if as_json else format, color)
    try:
        shelf = open_shelf(make=True)
        chosen = shelf.records(job).records if every else [find_record(shelf, job, wanted) for wanted in records]
        for stored in chosen:
            shelf.withdraw(stored.digest)
    except TROUBLES as error:
        raise Failed(str(error), DIFFERENT) from None
    if answer.format == "json":
        answer.json({"workflow": job.workflow, "withdrawn": [str(stored.digest) for stored in chosen]})
        return
    for stored in chosen:
        record = stored.record
        answer.line(one_line(f"withdrawn {stored.digest}  {where(record.branch, record.commit, record.run)}"))
