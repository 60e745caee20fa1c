# SPDX-License-Identifier: Apache-2.0
"""A check from its options to its exit status; without click, and with git's own program where it is installed."""

from __future__ import annotations

import os

from pytrace_exec.ci.provider import write_outputs, write_summary
from pytrace_exec.ci.verdict import Verdict, count, decide, unknown
from pytrace_exec.cli.answer import Answer, one_line, say
from pytrace_exec.cli.ci_question import TROUBLES, Asked, json_of, lines_of, shelf_of, summary_of
from pytrace_exec.cli.exit_status import DIFFERENT
from pytrace_exec.cli.failed import Failed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pytrace_exec.ci.opening import Opening
    from pytrace_exec.options import Options


def check(
    options: Options, opening: Opening, *, commit: str, format: str, as_json: bool, color: str, **asked: Any
) -> int:
    """Decide, tell it, and return the exit status; raise `Failed` for a question that makes no sense."""
    question = Asked(**asked)
    verdict = _verdict(question, options, opening, commit)
    try:
        write_outputs(verdict.skip, verdict.summary, os.environ)
    except OSError as error:  # no later step would hear of the skip
        verdict = unknown(f"$GITHUB_OUTPUT cannot be written: {error}")
    try:
        write_summary(summary_of(verdict, question.workflow), os.environ)
    except OSError as error:  # people read it, and nothing depends on it
        say(f"$GITHUB_STEP_SUMMARY cannot be written: {error}")
    answer = Answer.on_stdout("json" if as_json else format, color)
    return answer.given(0 if verdict.skip else DIFFERENT, lambda: _tell(answer, verdict, question.workflow))


def _tell(answer: Answer, verdict: Verdict, workflow: str) -> None:
    if answer.format == "json":
        answer.json({"workflow": workflow, **json_of(verdict)})
        return
    for number, line in enumerate(lines_of(verdict, workflow)):
        answer.line(one_line(line), None if number else "good" if verdict.skip else "strong")


def _verdict(question: Asked, options: Options, opening: Opening, commit: str) -> Verdict:
    try:
        with opening as objects:
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
