# SPDX-License-Identifier: Apache-2.0
"""`pytrace-cas check`: prove a store's invariants, and mend what does not hold."""

from __future__ import annotations

import base64
import json
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from pytrace_cas.cli.exit_status import PROBLEMS, SHOWN
from pytrace_cas.cli.main import cli, dir_option

if TYPE_CHECKING:
    from pytrace_cas.store import CheckReport, Problem


@cli.command(epilog=f"{SHOWN} With --repair, 1 means that some problem is left.")
@dir_option
@click.option("--read-data", is_flag=True, envvar="PYTRACE_CAS_READ_DATA", show_envvar=True, help="Hash every blob.")
@click.option("--repair", is_flag=True, envvar="PYTRACE_CAS_REPAIR", show_envvar=True, help="Mend what is wrong.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def check(dir: bytes, read_data: bool, repair: bool, as_json: bool) -> None:
    """Check a store, at rest or in use: index, files, references and totals agree."""
    from pytrace_cas.store.rebuild import check_directory

    report = check_directory(dir, read_data, repair)
    if as_json:
        click.echo(report_as_json(dir, report))
    else:
        show(report)
    if not report.sound:
        sys.exit(PROBLEMS)


def show(report: CheckReport) -> None:
    """Print what was found, for people."""
    for problem in report.problems:
        click.echo(f"{problem.code}: {problem.message}{' (repaired)' if problem.repaired else ''}")
    found = f"{len(report.problems)} problems" if report.problems else "no problems"
    click.echo(f"{report.blobs} blobs, {report.results} results, {report.bytes} bytes: {found}", err=True)


def report_as_json(dir: bytes, report: CheckReport) -> str:
    """Write what was found as one JSON object."""
    found = {
        "schema": 1,
        "dir": os.fsdecode(dir),
        "blobs": report.blobs,
        "results": report.results,
        "files": report.files,
        "bytes": report.bytes,
        "leftovers": report.leftovers,
        "uploads": report.uploads,
        "problems": [_problem_as_json(problem) for problem in report.problems],
    }
    return json.dumps(found)


def _problem_as_json(problem: Problem) -> dict[str, Any]:
    path = {} if problem.path is None else {"path": problem.path.decode("utf-8", "replace")}
    if problem.path is not None and not _is_utf8(problem.path):
        path["path_b64"] = base64.b64encode(problem.path).decode("ascii")
    return {
        "code": problem.code,
        "message": problem.message.encode("utf-8", "replace").decode("utf-8"),
        "function": problem.function,
        "digest": None if problem.digest is None else str(problem.digest),
        **path,
        "repaired": problem.repaired,
    }


def _is_utf8(path: bytes) -> bool:
    try:
        path.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
