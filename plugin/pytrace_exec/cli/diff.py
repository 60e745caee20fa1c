# SPDX-License-Identifier: Apache-2.0
"""`pytrace diff`: two actions, or two execution logs of Bazel, side by side."""

from __future__ import annotations

import sys
import tempfile
from typing import TYPE_CHECKING, Any

import click

from pytrace_cas.digest import Digest, MalformedDigest
from pytrace_cas.explained.shortening import shortened
from pytrace_cas.store import Store
from pytrace_exec.bazel_logs.comparing import compare as compare_builds
from pytrace_exec.bazel_logs.comparing import described
from pytrace_exec.bazel_logs.spawns import NotALog, is_log, read_log
from pytrace_exec.cli.answer import Answer, one_line
from pytrace_exec.cli.choices import REMOTE, chosen, format_options, open_chosen_cache, open_store, wrapper_options
from pytrace_exec.cli.exit_status import DIFFERENT, NOT_FOUND, USAGE, stated, status_of
from pytrace_exec.cli.foreign_actions import bring
from pytrace_exec.cli.main import Failed, cli
from pytrace_exec.cli.stored import Finder

if TYPE_CHECKING:
    from pytrace_cas.web.addresses import BlobAddress
    from pytrace_exec.options import Options

_STATUSES = stated("0 the same; 1 different", more="13 remote unreachable; 20 no such action")
_STYLES = {"+": "good", "-": "bad", "M": "doubtful", "T": "doubtful", "U": "faint"}


@cli.command(epilog=_STATUSES, short_help="Two actions, or two builds, side by side.")
@format_options()
@wrapper_options("dir", "root", *REMOTE)
@click.argument("first")
@click.argument("second")
def diff(first: str, second: str, format: str, as_json: bool, color: str) -> None:
    """Tell how SECOND differs from FIRST: + only in SECOND, - only in FIRST, M another content, T another type, U only
    mode or the like.

    Both are stored actions, of pytrace-exec (then by what was observed) or of any other client (then by input root),
    named as for `show`; with --remote, whole digests of that cache. Or both are files: execution logs of Bazel, as
    --execution_log_compact_file, --execution_log_binary_file or --execution_log_json_file writes them, in any mixture.
    """
    options = chosen()
    answer = Answer.on_stdout("json" if as_json else format, color)
    builds = is_log(first) and is_log(second)
    found = _builds(first, second) if builds else _actions(options, first, second)
    if answer.format == "json":
        answer.json(found)
    elif found["kind"] == "execution_logs":
        _tell_builds(answer, found)
    else:
        _tell_actions(answer, found)
    sys.exit(0 if found["same"] else DIFFERENT)


def _builds(first: str, second: str) -> dict[str, Any]:
    try:
        old, new = read_log(first), read_log(second)
    except NotALog as error:
        raise Failed(str(error), USAGE) from None
    changes = compare_builds(old, new)
    counts = {"first": len(old), "second": len(new), "different": len(changes)}
    return {"kind": "execution_logs", "same": not changes, "spawns": counts, "mnemonics": described(changes)}


def _actions(options: Options, first: str, second: str) -> dict[str, Any]:
    from pytrace_cas.services.errors import InvalidRequest
    from pytrace_cas.store import BlobNotFound
    from pytrace_cas.web.comparing import compare

    try:
        if options.remote is not None:
            with tempfile.TemporaryDirectory(prefix="pytrace-diff-") as folder, Store.open(folder) as scratch:
                places = [_in_remote(scratch, options, name) for name in (first, second)]
                return {"kind": "actions", **compare(scratch, *places)}
        with open_store(options) as store:
            places = [_here(store, options, name) for name in (first, second)]
            return {"kind": "actions", **compare(store, *places)}
    except (BlobNotFound, InvalidRequest) as error:
        raise Failed(f"an action cannot be read: {error}", NOT_FOUND) from None


def _here(store: Store, options: Options, name: str) -> BlobAddress:
    """An action of the local store: one of ours by any of its names, any other by its digest."""
    from pytrace_cas.web.addresses import BlobAddress

    try:
        digest = Digest.parse(name)
    except MalformedDigest:
        run = Finder(store, options).find(name)
        return BlobAddress(options.instance_name, run.cache.function, run.digest)
    for row in store.action_results(None, options.instance_name):
        if row.digest == digest:
            return BlobAddress(options.instance_name, row.function, digest)
    run = Finder(store, options).find(name)
    return BlobAddress(options.instance_name, run.cache.function, run.digest)


def _in_remote(scratch: Store, options: Options, name: str) -> BlobAddress:
    """An action of the remote, brought into a store that is thrown away."""
    from pytrace_cas.web.addresses import BlobAddress

    try:
        digest = Digest.parse(name)
    except MalformedDigest:
        raise Failed(f"{name}: a remote knows whole digests only, HASH/SIZE", USAGE) from None
    cache = open_chosen_cache(scratch, options)
    if not bring(cache, digest):
        for trouble in cache.troubles:
            raise Failed(str(trouble), status_of(trouble))
        raise Failed(f"the remote has no action {name}", NOT_FOUND)
    return BlobAddress(options.instance_name, cache.function, digest)


def _tell_actions(answer: Answer, found: dict[str, Any]) -> None:
    answer.line(f"{'the same' if found['same'] else 'different'} {found['first']} {found['second']}", "strong")
    for part, rows in found["parts"].items():
        if rows:
            answer.line(part, "strong")
        for row in rows:
            _tell_row(answer, row["letter"], row["name"], row["old"], row["new"])
    if found["left_out"]:
        answer.line(f"... and {found['left_out']} more", "faint")


def _tell_builds(answer: Answer, found: dict[str, Any]) -> None:
    counts = found["spawns"]
    said = f"{counts['different']} differ, of {counts['first']} and {counts['second']} commands"
    answer.line("the same" if found["same"] else said, "strong")
    for group in found["mnemonics"]:
        answer.line(f"{group['mnemonic']}: {len(group['spawns'])}", "strong")
        for spawn in group["spawns"]:
            name = " ".join(part for part in (spawn["target"], spawn["output"]) if part)
            answer.line(f"  {one_line(name)}: {', '.join(spawn['changes'])}")
            for row in spawn["rows"]:
                made = f" (made by {row['made_by']})" if row["made_by"] else ""
                _tell_row(answer, row["letter"], f"{row['part']} {row['name']}{made}", row["old"], row["new"], "    ")


def _tell_row(answer: Answer, letter: str, name: str, old: str | None, new: str | None, indent: str = "  ") -> None:
    shown = [shortened(value, other or "") for value, other in ((old, new), (new, old)) if value is not None]
    values = f"  {' -> '.join(shown)}" if shown else ""
    answer.line(f"{indent}{letter} {one_line(name + values)}", _STYLES.get(letter))
