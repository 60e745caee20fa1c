# SPDX-License-Identifier: Apache-2.0
"""`pytrace status`: one cache, now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytrace_cas.catalogue.statistics import hit_rate
from pytrace_cas.json_fields import text_fields
from pytrace_cas.store.index import FORMAT
from pytrace_exec.cli.answer import Answer
from pytrace_exec.cli.choices import REMOTE, chosen, folder_of, format_options, is_remote_asked, wrapper_options
from pytrace_exec.cli.exit_status import stated
from pytrace_exec.cli.listing import open_catalogue, size
from pytrace_exec.cli.main import cli

if TYPE_CHECKING:
    from pytrace_exec.options import Options

_DAY = 86400.0


@cli.command(epilog=stated("0 told", more="13 remote unreachable"), short_help="One cache, now.")
@format_options()
@wrapper_options("dir", *REMOTE)
def status(format: str, as_json: bool, color: str) -> None:
    """Tell how one cache is now: where it is, how full, and how the last day went.

    With --remote, the HTTP address of a pytrace-cas, what the server says of itself. `pytrace doctor` looks for what is
    wrong with a cache, any REAPI cache among them.
    """
    options = chosen()
    answer = Answer.on_stdout("json" if as_json else format, color)
    found = _of_remote(options) if is_remote_asked() else _of_store(options)
    if answer.format == "json":
        answer.json(found)
    else:
        answer.table([(name.replace("_", " "), _text(name, value)) for name, value in found.items()])


def _of_store(options: Options) -> dict[str, Any]:
    with open_catalogue(options) as listing:
        store = listing.store
        (used, limit), (blobs, results) = store.size(), store.entries()
        day = listing.statistics(_DAY).total
        return {
            **text_fields("store", folder_of(options)),
            "format": FORMAT,
            "read_only": store.read_only,
            "size": used,
            "max_size": limit,
            "blobs": blobs,
            "results": results,
            "actions": listing.catalogue.count(),
            "runs_last_day": sum(day.runs.values()),
            "hit_rate_last_day": hit_rate(day.runs),
        }


def _of_remote(options: Options) -> dict[str, Any]:
    from pytrace_exec.cli.remote_listing import RemoteListing

    remote = RemoteListing.of(options)
    said = remote.get("/status", {})
    said.pop("schema", None)
    return {"remote": remote.base, **said}


def _text(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name in ("size", "max_size", "size_bytes", "size_limit_bytes"):
        return f"{value} ({size(value)})"
    if name.startswith("hit_rate"):
        return f"{value:.1%}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {number}" for key, number in value.items())
    return str(value)
