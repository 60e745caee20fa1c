# SPDX-License-Identifier: Apache-2.0
"""`pytrace trace`: run a command under the tracer, store nothing, tell what it looked at and what it did."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import click

from pytrace_exec.cli.answer import Answer, line_of
from pytrace_exec.cli.asking import asked
from pytrace_exec.cli.choices import chosen, format_options, function_of, twin, wrapper_options
from pytrace_exec.cli.exit_status import DIFFERENT, USAGE, stated
from pytrace_exec.cli.main import Failed, cli
from pytrace_exec.standard_streams import inherited_descriptors

if TYPE_CHECKING:
    from pytrace_exec.cli.trace_report import Report

_STATUSES = stated("0 the trace is complete, whatever the command's own status; 1 it is not", store=False)


@cli.command(
    epilog=_STATUSES, short_help="What a command depends on.", context_settings={"allow_interspersed_args": False}
)
@format_options()
@click.option(
    "-o", "output", type=click.Path(dir_okay=False, path_type=bytes), help="Where the report goes.  [default: stdout]",
    metavar="FILE", **twin("PYTRACE_TRACE_REPORT"),
)  # fmt: skip
@click.option("--all", "calls", is_flag=True, **twin("PYTRACE_TRACE_ALL"), help="Tell every call that was traced, too.")
@wrapper_options("root", "tracer", "pid-namespace")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def trace(command: tuple[str, ...], calls: bool, output: bytes | None, format: str, as_json: bool, color: str) -> None:
    """Run COMMAND under the tracer, store nothing, and tell what its result depends on.

    The report follows the command's own output. Facts are told as they would be stored; with PYTRACE_STRICT=1, none
    is left out.
    """
    inherited = inherited_descriptors()
    # The report's file is opened first, so that one that cannot be written keeps the command from running.
    answer = _answer(output, "json" if as_json else format, color)
    report = run(command, inherited, calls)
    found = report.describe(calls)
    if output is None and report.ended_within_line:
        answer.line()
    if answer.format == "json":
        answer.json(found)
    else:
        _print(answer, found)
    answer.stream.flush()
    sys.exit(0 if report.complete else DIFFERENT)


def run(command: tuple[str, ...], inherited: dict[int, bytes], whole: bool = False) -> Report:
    """Run a command under the tracer; raise `Failed` if it cannot be found or traced. `whole`: ask for inodes too."""
    from pytrace_exec.cli.trace_report import Report
    from pytrace_exec.miss import ABBREVIATED, observe, run_command
    from pytrace_exec.tracer.namespace import NamespaceUnavailable
    from pytrace_exec.tracer.possible import TracerUnavailable

    options = chosen()
    invocation = asked(options, [os.fsencode(word) for word in command], inherited)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        snapshot, traced = run_command(invocation, () if whole else ABBREVIATED)
    except (NamespaceUnavailable, TracerUnavailable) as error:
        raise Failed(str(error), DIFFERENT) from None
    function = function_of(options)
    return Report(invocation, observe(invocation, function, snapshot, traced, {}), function)


def _answer(output: bytes | None, format: str, color: str) -> Answer:
    answer = Answer.on_stdout(format, color)
    if output is None:
        return answer
    try:
        stream = open(output, "w", encoding="utf-8")  # noqa: SIM115 - open until the process ends
    except OSError as error:
        raise Failed(
            f"-o {os.fsdecode(output)} cannot be written ({error.strerror}); name another file", USAGE
        ) from None
    return Answer(stream, answer.format, color == "always")


def _print(answer: Answer, found: dict[str, Any]) -> None:
    answer.line(f"exit status {found['exit_code']}", "strong")
    for title, key in (("observations", "observations"), ("outputs", "outputs")):
        answer.line(f"{title}: {len(found[key])}", "strong")
        for item in found[key]:
            answer.line(f"  {line_of(item)}")
    answer.line("storable" if not found["not_storable"] else "not storable:", "strong")
    for reason in found["not_storable"]:
        answer.line(f"  {reason['message']}", "bad")
    answer.line(f"programs: {len(found['processes'])}", "strong")
    for process in found["processes"]:
        answer.line(f"  {process['pid']}  {' '.join(process['argv'])}")
    for call in found.get("calls", ()):
        answer.line(f"  {call['pid']}  {call['call']}  {call['path'] or ''}  {call['error'] or ''}".rstrip())
    answer.line("calls: " + ", ".join(f"{name} {number}" for name, number in found["counts"].items()), "faint")
