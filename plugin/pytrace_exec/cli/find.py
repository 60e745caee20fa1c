# SPDX-License-Identifier: Apache-2.0
"""`pytrace find`: which actions read or wrote a path."""

from __future__ import annotations

import os
import re
import shlex
import time
from typing import TYPE_CHECKING, Any

import click

from pytrace_cas.json_fields import text_fields
from pytrace_cas.recorded.places import unescape
from pytrace_exec.cli.answer import Answer
from pytrace_exec.cli.choices import REMOTE, chosen, format_options, twin, wrapper_options
from pytrace_exec.cli.exit_status import NOT_FOUND, stated
from pytrace_exec.cli.listing import HEADINGS, cells, open_listing
from pytrace_exec.cli.main import Failed, cli
from pytrace_exec.places import find_places

if TYPE_CHECKING:
    from pytrace_exec.cli.listing import Listing
    from pytrace_exec.options import Options

_STATUSES = stated("0 found", more="13 remote unreachable; 20 no action did")
_MAGIC = re.compile(r"[*?[]")


@cli.command(epilog=_STATUSES, short_help="Which actions read or wrote a path.")
@format_options()
@wrapper_options("dir", "root", *REMOTE)
@click.option(
    "--limit", type=click.IntRange(min=1), default=50, show_default=True, **twin("PYTRACE_FIND_LIMIT"), help="Lines."
)
@click.option("--read", is_flag=True, **twin("PYTRACE_FIND_READ"), help="Only those that read it or looked at it.")
@click.option("--written", is_flag=True, **twin("PYTRACE_FIND_WRITTEN"), help="Only those that made or changed it.")
@click.argument("path", type=click.Path(path_type=bytes))
def find(path: bytes, limit: int, read: bool, written: bool, format: str, as_json: bool, color: str) -> None:
    """Find the actions that read, looked at, made, changed or removed PATH, the last stored first.

    PATH is a file, a glob ('src/*.c'), or a folder with / at its end, which means all below it; what is called so to
    the letter ('[id].tsx') comes before what a glob fits. Of another checkout the same path below its root is found as
    well.
    """
    options = chosen()
    answer = Answer.on_stdout("json" if as_json else format, color)
    term = _term(path, options)
    ways = [way for way, wanted in (("reads", read), ("writes", written)) if wanted] or ["reads", "writes"]
    with open_listing(options) as listing:
        rows = _found(listing, _literal(term), ways, limit) if _MAGIC.search(term) else []
        rows = rows or _found(listing, term, ways, limit)
    if not rows:
        raise Failed(f"no stored action {' or '.join(_SAID[way] for way in ways)} {os.fsdecode(path)}", NOT_FOUND)
    if answer.format == "json":
        answer.json({**text_fields("path", path), "actions": rows})
        return
    now = time.time()
    table = [[*cells(row, now)[:-1], " ".join(row["access"]), cells(row, now)[-1]] for row in rows]
    answer.table(table, (*HEADINGS[:-1], "access", HEADINGS[-1]))


_SAID = {"reads": "read", "writes": "wrote"}
_ACCESS = {"reads": "read", "writes": "written"}


def _found(listing: Listing, term: str, ways: list[str], limit: int) -> list[dict[str, Any]]:
    """Rows with how each touched the path, in the order in which they were stored, the last first."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for way in ways:
        for row in listing.actions(shlex.quote(f"{way}={term}"), "time", limit):
            key = row["digest_function"], row["instance"], row["action"]
            found.setdefault(key, {**row, "access": []})["access"].append(_ACCESS[way])
    ordered = sorted(found.values(), key=lambda row: row["stored"] or 0, reverse=True)
    return ordered[:limit]


def _term(path: bytes, options: Options) -> str:
    """The path as the catalogue keeps it: links in its folder followed, places as `%R`, `%H`, `%T`."""
    folder, name = os.path.split(os.path.abspath(path))
    if _MAGIC.search(os.fsdecode(folder)):
        whole = os.path.join(folder, name)
    else:
        whole = os.path.join(os.path.realpath(folder), name)
    places = find_places(options, os.getcwdb(), os.environb)
    below = b"/" if path.endswith((b"/", b"/.")) or path in (b".", b"..") else b""
    place, slash, escaped = places.encode_path(whole).partition(b"/")
    return os.fsdecode(place + slash + unescape(escaped) + below)


def _literal(term: str) -> str:
    """A glob that fits the term to the letter; of a folder, what is below it."""
    return _MAGIC.sub(lambda sign: f"[{sign[0]}]", term) + ("*" if term.endswith("/") else "")
