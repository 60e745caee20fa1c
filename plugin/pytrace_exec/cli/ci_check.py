# SPDX-License-Identifier: Apache-2.0
"""`pytrace ci check`: whether a job may be skipped at a commit, from git objects alone; needs no tracer."""

from __future__ import annotations

import sys
from typing import Any

from pytrace_exec.ci.opening import Opening
from pytrace_exec.cli.choices import chosen, format_options
from pytrace_exec.cli.ci import ci
from pytrace_exec.cli.ci_asking import job_options, place_options, question_options
from pytrace_exec.cli.ci_checking import check as checked
from pytrace_exec.cli.exit_status import stated

_STATUSES = stated("0 may skip; 1 must run, or whatever keeps it from knowing", store=False)


@ci.command(epilog=_STATUSES, short_help="May this job be skipped at this commit?")
@job_options()
@place_options()
@question_options()
@format_options()
def check(repo: bytes, **asked: Any) -> None:
    """Decide from commits and trees alone whether a job could give another result than in a recorded run.

    Prints why, and writes skip=true|false and reason= to $GITHUB_OUTPUT, Markdown to $GITHUB_STEP_SUMMARY.
    """
    sys.exit(checked(chosen(), Opening(repo), **asked))
