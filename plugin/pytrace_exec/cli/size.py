# SPDX-License-Identifier: Apache-2.0
"""`pytrace size`: how full the store is."""

from __future__ import annotations

from pytrace_exec.cli.answer import Answer
from pytrace_exec.cli.choices import chosen, format_options, open_store, wrapper_options
from pytrace_exec.cli.exit_status import stated
from pytrace_exec.cli.listing import size as readable
from pytrace_exec.cli.main import cli


@cli.command(epilog=stated("0 told"), short_help="How full the store is.")
@format_options()
@wrapper_options("dir")
def size(format: str, as_json: bool, color: str) -> None:
    """Tell how many bytes of its limit the store has in use, and for how many blobs and results.

    What a remote holds, `pytrace status --remote URL` tells of a pytrace-cas; the protocol does not say.
    """
    answer = Answer.on_stdout("json" if as_json else format, color)
    with open_store(chosen()) as store:
        (used, limit), (blobs, results) = store.size(), store.entries()
    if answer.format == "json":
        answer.json({"size": used, "max_size": limit, "blobs": blobs, "results": results})
    else:
        answer.line(f"{readable(used)} of {readable(limit)}: {blobs} blobs, {results} results")
