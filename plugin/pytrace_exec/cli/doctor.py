# SPDX-License-Identifier: Apache-2.0
"""`pytrace doctor`: what works here, what does not, why, and what to do."""

from __future__ import annotations

import sys

from pytrace_exec.cli.answer import Answer
from pytrace_exec.cli.checks import CHECKS, Finding
from pytrace_exec.cli.choices import chosen, format_options, wrapper_options
from pytrace_exec.cli.exit_status import DIFFERENT, stated
from pytrace_exec.cli.main import cli

_STYLES = {"ok": "good", "warning": "doubtful", "problem": "bad"}


@cli.command(
    epilog=stated("0 nothing keeps it from working; 1 some problem found", store=False), short_help="What works here."
)
@format_options()
@wrapper_options("dir", "root", "tracer", "digest-function")
def doctor(format: str, as_json: bool, color: str) -> None:
    """Find out what is available here: tracer, store, digest function, Python, git."""
    options = chosen()
    answer = Answer.on_stdout("json" if as_json else format, color)
    findings = [Finding(name, *check(options)) for name, check in CHECKS]
    worst = next((level for level in ("problem", "warning") if any(f.level == level for f in findings)), "ok")
    if answer.format == "json":
        answer.json({"status": worst, "checks": [finding.described() for finding in findings]})
    else:
        for finding in findings:
            answer.line(finding.line(), _STYLES[finding.level])
    if worst == "problem":
        sys.exit(DIFFERENT)
