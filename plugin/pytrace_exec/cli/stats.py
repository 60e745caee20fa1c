# SPDX-License-Identifier: Apache-2.0
"""`pytrace stats`: how runs went, by the store's counters or by a statistics log."""

from __future__ import annotations

import json
import math
import os
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import attrs
import click

from pytrace_cas.catalogue import Catalogue, described_statistics
from pytrace_cas.json_fields import text_fields
from pytrace_exec.cli.answer import Answer, one_line
from pytrace_exec.cli.choices import REMOTE, chosen, folder_of, format_options, is_remote_asked, twin, wrapper_options
from pytrace_exec.cli.exit_status import NOT_FOUND, USAGE, stated
from pytrace_exec.cli.listing import open_writable
from pytrace_exec.cli.main import Failed, cli
from pytrace_exec.option_values import duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytrace_exec.options import Options

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
@wrapper_options("dir", *REMOTE)
@click.option("-v", "--verbose", is_flag=True, **twin("PYTRACE_STATS_VERBOSE"), help="Every counter, every run.")
@click.option("--zero", is_flag=True, **twin("PYTRACE_STATS_ZERO"), help="Set the store's counters to zero afterwards.")
@click.option(
    "--since", metavar="DUR", **twin("PYTRACE_STATS_SINCE"), help="Only runs of that long ago or less: 24h, 30d."
)
@click.option("--log", type=_PATH, metavar="FILE", **twin("PYTRACE_STATS_FROM"), help="A file of --stats-log.")
def stats(
    verbose: bool,
    zero: bool,
    since: str | None,
    log: bytes | None,
    format: str,
    as_json: bool,
    color: str,
) -> None:
    """Tell how many runs hit, missed or were not stored, and why.

    The counters of the store hold all runs since --zero, with the reasons why runs were not stored; with --since or -v,
    by hour, of the last 90 days. A log holds what its runs were asked to write there, with the reasons why they missed
    as well. With --remote, the HTTP address of a pytrace-cas: how often it was asked for a result, and had one.
    """
    answer = Answer.on_stdout("json" if as_json else format, color)
    options = chosen()
    seconds = None if since is None else _seconds(since)
    if log is not None:
        runs = list(_lines(log, None if seconds is None else time.time() - seconds))
        found = {**text_fields("log", log), **Statistics.of_log(runs).described(), **_durations(runs)}
        if verbose:
            found["lines"] = runs
    else:
        found = _of_remote(options, seconds, zero) if is_remote_asked() else _of_store(options, verbose, zero, seconds)
    if answer.format == "json":
        answer.json(found)
    else:
        _print(answer, found)


def _seconds(text: str) -> float:
    try:
        return duration(os.fsencode(text))
    except ValueError as error:
        raise Failed(f"--since {error}", USAGE) from None


def _of_store(options: Options, verbose: bool, zero: bool, since: float | None) -> dict[str, Any]:
    folder = folder_of(options)
    with open_writable(folder) as store:
        counters, (used, limit) = store.counters(), store.size()
        hours = Catalogue(store).statistics(since) if verbose or since is not None else None
        if zero:
            store.reset_counters()
    found = {**text_fields("store", folder), "size": used, "max_size": limit}
    if hours is not None and since is not None:
        total = {outcome: hours.total.runs.get(outcome, 0) for outcome in OUTCOMES}
        found |= Statistics(total, hours.total.reasons).described()
    else:
        found |= Statistics.of_counters(counters).described()
    if hours is not None:
        found["hours"] = described_statistics(hours)["hours"]
    return {**found, "counters": counters} if verbose else found


def _of_remote(options: Options, since: float | None, zero: bool) -> dict[str, Any]:
    from pytrace_exec.cli.remote_listing import RemoteListing

    if zero:
        raise Failed("--zero: what a server counted is its own; only a local store can be told to forget", USAGE)
    remote = RemoteListing.of(options)
    hours = {} if since is None else {"hours": max(1, math.ceil(since / 3600))}
    found = remote.get("/api/v1/statistics", hours)
    found.pop("schema", None)
    return {"remote": remote.base, **found}


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
    if "server" in found and sum(found["server"].values()):
        asked, rate = sum(found["server"].values()), found["server_hit_rate"]
        answer.line(f"{asked} results asked for, {'no hit rate yet' if rate is None else f'{rate:.1%} hits'}", "strong")
    rate = found["hit_rate"]
    total = sum(found["runs"].values())
    answer.line(f"{total} runs, {'no hit rate yet' if rate is None else f'{rate:.1%} hits'}", "strong")
    rows = [(outcome.replace("_", " "), str(number)) for outcome, number in found["runs"].items() if number]
    answer.table(rows, ("outcome", "runs"))
    if found["reasons"]:
        answer.line("reasons", "strong")
        answer.table([(code, str(number)) for code, number in found["reasons"].items()], ("reason", "runs"))
    answer.table([_hour(hour) for hour in found.get("hours", ())], ("hour", *OUTCOMES))
    if "size" in found:
        answer.line(f"{found['store']}: {found['size']} of {found['max_size']} bytes")
    answer.table(sorted((name, str(number)) for name, number in found.get("counters", {}).items()), ("counter", ""))
    for run in found.get("lines", ()):
        answer.line(one_line(f"{run['outcome']:10}  {' '.join(map(str, run.get('command', ())))}"))


def _hour(hour: dict[str, Any]) -> list[str]:
    begun = time.strftime("%Y-%m-%d %H:%M", time.localtime(hour["time"]))
    return [begun, *(str(hour["runs"][outcome]) for outcome in OUTCOMES)]
