# SPDX-License-Identifier: Apache-2.0
"""`pytrace tree`: a Merkle tree as a tree."""

from __future__ import annotations

from typing import Any

import click

from pytrace_exec.cli.answer import Answer, one_line
from pytrace_exec.cli.blobs import named
from pytrace_exec.cli.choices import REMOTE, chosen, format_options, open_store_for_remote, wrapper_options
from pytrace_exec.cli.exit_status import stated
from pytrace_exec.cli.main import cli
from pytrace_exec.cli.merkle import Entry, walk


@cli.command(epilog=stated("0 shown", more="13 remote unreachable; 20 no such tree"), short_help="A Merkle tree.")
@format_options()
@wrapper_options("dir", "root", *REMOTE)
@click.argument("ref")
def tree(ref: str, format: str, as_json: bool, color: str) -> None:
    """Show the Merkle tree REF: a directory or a tree by its digest, or the input root of an action.

    An action is called by a digest, the beginning of one, 'latest', or the path of an output. The input root of
    the wrapper's holds what the command read: below the project's root, the home and the temporary directory, and
    elsewhere (abs), with every other fact in the file facts.
    """
    options = chosen()
    answer = Answer.on_stdout("json" if as_json else format, color)
    with open_store_for_remote(options) as store:
        found = named(store, options, ref)
        root = found.root()
        if answer.format == "json":
            entries = [_described(entry) for entry in walk(found, root)]
            answer.json({"digest": str(found.cache.function.of(root.SerializeToString())), "entries": entries})
            return
        answer.line(str(found.cache.function.of(root.SerializeToString())), "strong")
        for entry in walk(found, root):
            answer.line(_line(entry), "bad" if entry.missing else None)


def _described(entry: Entry) -> dict[str, Any]:
    more: dict[str, Any] = {"digest": str(entry.digest)} if entry.digest is not None else {"target": entry.target}
    if entry.type == "file":
        more["executable"] = entry.executable
    return {"path": entry.path, "type": entry.type, **more, **({"missing": True} if entry.missing else {})}


def _line(entry: Entry) -> str:
    *above, last = entry.last
    indent = "".join("    " if ended else "│   " for ended in above) + ("└── " if last else "├── ")
    name = one_line(entry.names[-1])
    if entry.type == "symlink":
        return f"{indent}{name} -> {one_line(entry.target)}"
    mark = "/" if entry.type == "directory" else "*" if entry.executable else ""
    return f"{indent}{name}{mark}  {entry.digest}{' (missing)' if entry.missing else ''}"
