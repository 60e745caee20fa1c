# SPDX-License-Identifier: Apache-2.0
"""`pytrace ls`: what is stored."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from pytrace_cas.catalogue import FILTER_HELP
from pytrace_exec.cli.answer import Answer, one_line
from pytrace_exec.cli.choices import REMOTE, chosen, folder_of, format_options, is_remote_asked, twin, wrapper_options
from pytrace_exec.cli.exit_status import USAGE, stated
from pytrace_exec.cli.listing import HEADINGS, age, cells, open_listing, open_writable, size
from pytrace_exec.cli.main import Failed, cli

if TYPE_CHECKING:
    from pytrace_exec.options import Options

_STATUSES = stated("0 listed", more="13 remote unreachable")
_HELP = f"""List what is stored: actions, or blobs.

Without --remote those of the local store; with the HTTP address of a pytrace-cas, those of the server.

A --filter is:

\b
{FILTER_HELP}"""
_ONE = click.IntRange(min=1)


@cli.command(epilog=_STATUSES, help=_HELP, short_help="What is stored.")
@format_options()
@wrapper_options("dir", *REMOTE)
@click.option("--limit", type=_ONE, default=50, show_default=True, **twin("PYTRACE_LS_LIMIT"), help="Lines at most.")
@click.option(
    "--sort",
    type=click.Choice(("time", "size", "hits")),
    default="time",
    show_default=True,
    **twin("PYTRACE_LS_SORT"),
    help="What comes first: the last stored (of blobs: used), the largest, the most used.",
)
@click.option("--filter", "expression", metavar="EXPR", default="", **twin("PYTRACE_LS_FILTER"), help="Only those.")
@click.option(
    "--nondeterministic",
    is_flag=True,
    **twin("PYTRACE_LS_NONDETERMINISTIC"),
    help="Only those that gave other outputs for equal inputs, and which.",
)
@click.argument("what", type=click.Choice(("actions", "blobs")), default="actions")
def ls(
    what: str,
    limit: int,
    sort: str,
    expression: str,
    nondeterministic: bool,
    format: str,
    as_json: bool,
    color: str,
) -> None:
    """List what is stored."""
    options = chosen()
    answer = Answer.on_stdout("json" if as_json else format, color)
    if what == "blobs":
        _blobs(answer, options, limit, sort, expression or nondeterministic)
        return
    with open_listing(options) as listing:
        rows = listing.actions(f"{expression} nondeterministic" if nondeterministic else expression, sort, limit)
        if nondeterministic:
            rows = [{**row, **listing.differing(row)} for row in rows]
    if answer.format == "json":
        answer.json({"actions": rows})
        return
    now = time.time()
    answer.table([cells(row, now) for row in rows], HEADINGS)
    for row in rows:
        for name, values in row.get("differs", {}).items():
            answer.line(one_line(f"{row['action'][:12]}  {name}: {', '.join(str(value) for value in values)}"))


def _blobs(answer: Answer, options: Options, limit: int, sort: str, filtered: object) -> None:
    if is_remote_asked():
        raise Failed("--remote: no protocol lists blobs; on the server's machine, name its store with --dir", USAGE)
    if sort == "hits" or filtered:
        raise Failed("blobs have neither hits nor what a filter asks for: use --sort time or size", USAGE)
    with open_writable(folder_of(options)) as store:
        found = store.blobs(sort, limit)
    if answer.format == "json":
        answer.json({"blobs": [_described(blob) for blob in found]})
        return
    now = time.time()
    rows = [[one_line(str(blob.digest)), blob.function.name, age(now - blob.used), size(blob.stored)] for blob in found]
    answer.table(rows, ("blob", "function", "used", "stored"))


def _described(blob: Any) -> dict[str, Any]:
    return {
        "digest": str(blob.digest),
        "digest_function": blob.function.name,
        "size": blob.digest.size_bytes,
        "stored_size": blob.stored,
        "used": blob.used,
    }
