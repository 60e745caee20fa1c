# SPDX-License-Identifier: Apache-2.0
"""`pytrace stats`: how runs went, by the store's counters or by a statistics log."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import attrs
import click

from pytrace_cas.json_fields import text_fields
from pytrace_cas.store import Store
from pytrace_exec.cli.answer import Answer
from pytrace_exec.cli.choices import chosen, folder_of, format_options, twin, wrapper_options
from pytrace_exec.cli.exit_status import NOT_FOUND, USAGE, stated
from pytrace_exec.cli.main import Failed, cli
from pytrace_exec.option_values import duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

OUTCOMES = ("hit", "miss", "not_stored", "bypass", "error")
_PATH = click.Path(path_type=bytes)
_RUNS, _REASONS = "runs_", "reason_"


@attrs.frozen
class Statistics:
    """How many runs had each outcome, and how many gave each reason."""

    runs: dict[str, int]
    reasons: dict[str, int]

    @classmethod
    def of_counters(cls, counters: dict[str, int]) -> Statistics:
        """From the counters that the wrapper keeps in its store."""
        runs = {outcome: counters.get(_RUNS + outcome, 0) for outcome in OUTCOMES}
        reasons = {name[len(_REASONS) :]: number for name, number in counters.items() if name.startswith(_REASONS)}
        return cls(runs, reasons)

    @classmethod
    def of_log(cls, lines: Iterable[dict[str, Any]]) -> Statistics:
        """From the lines of a log; a reason counts once a run."""
        runs, reasons = Counter[str](), Counter[str]()
        for line in lines:
            runs[str(line.get("outcome"))] += 1
            reasons.update({str(reason.get("code")) for reason in line.get("reasons", ())})
        return cls({outcome: runs[outcome] for outcome in OUTCOMES}, dict(reasons))

    @property
    def hit_rate(self) -> float | None:
        """The share of hits in all runs; None when there was none."""
        total = sum(self.runs.values())
        return self.runs["hit"] / total if total else None

    def described(self) -> dict[str, Any]:
        """As answers show it, the commonest reason first."""
        ordered = dict(sorted(self.reasons.items(), key=lambda item: (-item[1], item[0])))
        return {"runs": self.runs, "hit_rate": self.hit_rate, "reasons": ordered}


@cli.command(epilog=stated("0 told", more="20 no such log"), short_help="How runs went, and why.")
@format_options()
@wrapper_options("dir")
@click.option("-v", "--verbose", is_flag=True, **twin("PYTRACE_STATS_VERBOSE"), help="Every counter, every run.")
@click.option("--zero", is_flag=True, **twin("PYTRACE_STATS_ZERO"), help="Set the store's counters to zero afterwards.")
@click.option(
    "--since", metavar="DUR", **twin("PYTRACE_STATS_SINCE"), help="Only runs of that long ago or less: 24h, 30d."
)
@click.option("--remote", hidden=True, metavar="URL")
@click.option("--log", type=_PATH, metavar="FILE", **twin("PYTRACE_STATS_FROM"), help="A file of --stats-log.")
def stats(
    verbose: bool,
    zero: bool,
    since: str | None,
    remote: str | None,
    log: bytes | None,
    format: str,
    as_json: bool,
    color: str,
) -> None:
    """Tell how many runs hit, missed or were not stored, and why.

    The counters of the store hold all runs since --zero, with the reasons why runs were not stored. A log holds what
    its runs were asked to write there, with the reasons why they missed as well. A remote knows nothing of runs: what
    a server of pytrace-cas counts is at /status and /metrics of its HTTP address.
    """
    if remote is not None:
        raise Failed(
            "--remote: a remote keeps no statistics of runs; name a store with --dir, or read what a server of "
            "pytrace-cas counts at /status and /metrics of its HTTP address",
            USAGE,
        )
    if log is None and since is not None:
        raise Failed("--since needs --log: the store's counters do not know when a run was", USAGE)
    answer = Answer.on_stdout("json" if as_json else format, color)
    if log is not None:
        runs = list(_lines(log, None if since is None else time.time() - _seconds(since)))
        found = {**text_fields("log", log), **Statistics.of_log(runs).described(), **_durations(runs)}
        if verbose:
            found["lines"] = runs
    else:
        found = _of_store(verbose, zero)
    if answer.format == "json":
        answer.json(found)
    else:
        _print(answer, found)


def _seconds(text: str) -> float:
    try:
        return duration(os.fsencode(text))
    except ValueError as error:
        raise Failed(f"--since {error}", USAGE) from None


def _of_store(verbose: bool, zero: bool) -> dict[str, Any]:
    folder = folder_of(chosen())
    with Store.open(folder, read_only=not zero, create=False) as store:
        counters, (used, limit) = store.counters(), store.size()
        if zero:
            store.reset_counters()
    found = {**text_fields("store", folder), "size": used, "max_size": limit}
    found |= Statistics.of_counters(counters).described()
    return {**found, "counters": counters} if verbose else found


def _lines(log: bytes, oldest: float | None) -> Iterator[dict[str, Any]]:
    """The runs in a log; a line that is none is passed over, as one that a full disk cut short."""
    try:
        with open(log, encoding="utf-8", errors="replace") as file:
            for text in file:
                run = _parsed(text)
                if run is not None and (oldest is None or float(run.get("time", 0)) >= oldest):
                    yield run
    except OSError as error:
        raise Failed(f"--log {os.fsdecode(log)}: {error.strerror}; name a file of --stats-log", NOT_FOUND) from None


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        run = json.loads(text)
    except ValueError:
        return None
    return run if isinstance(run, dict) and "outcome" in run else None


def _durations(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Milliseconds that runs took altogether, and what the wrapper added to them."""
    return {name: round(sum(float(run.get(name, 0)) for run in runs), 3) for name in ("wall_ms", "overhead_ms")}


def _print(answer: Answer, found: dict[str, Any]) -> None:
    rate = found["hit_rate"]
    total = sum(found["runs"].values())
    answer.line(f"{total} runs, {'no hit rate yet' if rate is None else f'{rate:.1%} hits'}", "strong")
    rows = [(outcome.replace("_", " "), str(number)) for outcome, number in found["runs"].items() if number]
    answer.table(rows, ("outcome", "runs"))
    if found["reasons"]:
        answer.line("reasons", "strong")
        answer.table([(code, str(number)) for code, number in found["reasons"].items()], ("reason", "runs"))
    if "size" in found:
        answer.line(f"{found['store']}: {found['size']} of {found['max_size']} bytes")
    answer.table(sorted((name, str(number)) for name, number in found.get("counters", {}).items()), ("counter", ""))
    for run in found.get("lines", ()):
        answer.line(f"{run['outcome']:10}  {' '.join(map(str, run.get('command', ())))}")
