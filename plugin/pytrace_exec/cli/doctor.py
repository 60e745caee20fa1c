# SPDX-License-Identifier: Apache-2.0
"""`pytrace doctor`: what works here, what does not, why, and what to do."""

from __future__ import annotations

import sys

from pytrace_exec.cache.errors import RemoteFailed
from pytrace_exec.cli.answer import Answer
from pytrace_exec.cli.checks import CHECKS, Finding
from pytrace_exec.cli.choices import REMOTE, chosen, format_options, wrapper_options
from pytrace_exec.cli.exit_status import DIFFERENT, stated, status_of
from pytrace_exec.cli.main import cli
from pytrace_exec.cli.remote_checks import REMOTE_CHECKS, Answers, ask, unreached

_STYLES = {"ok": "good", "warning": "doubtful", "problem": "bad"}
_STATUSES = stated(
    "0 nothing keeps it from working; 1 some problem found",
    store=False,
    more="12 the remote wants credentials; 13 remote unreachable",
)


@cli.command(epilog=_STATUSES, short_help="What works here.")
@format_options()
@wrapper_options("dir", "root", "tracer", "pid-namespace", *REMOTE)
def doctor(format: str, as_json: bool, color: str) -> None:
    """Find out what is available here: tracer, store, digest function, Python, git, and the remote if one is named.

    A remote is asked what it offers, whether it can be read and whether it takes results, and how long an answer takes.
    Nothing is left behind in it.
    """
    options = chosen()
    answer = Answer.on_stdout("json" if as_json else format, color)
    findings = [Finding(name, *check(options)) for name, check in CHECKS]
    answers: Answers | None = None
    status = DIFFERENT
    if options.remote is not None:
        try:
            answers = ask(options.remote, options)
            findings += [Finding(name, *check(answers)) for name, check in REMOTE_CHECKS]
        except RemoteFailed as error:
            findings.append(unreached(error))
            status = status_of(error)
    worst = next((level for level in ("problem", "warning") if any(f.level == level for f in findings)), "ok")
    if answer.format == "json":
        remote = answers.described() if answers is not None else None
        answer.json({"status": worst, "remote": remote, "checks": [finding.described() for finding in findings]})
    else:
        for finding in findings:
            answer.line(finding.line(), _STYLES[finding.level])
    if worst == "problem":
        sys.exit(status)
