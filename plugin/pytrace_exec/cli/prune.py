# SPDX-License-Identifier: Apache-2.0
"""`pytrace prune`: evict now."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from pytrace_cas.store import Store
from pytrace_exec.cli.answer import Answer
from pytrace_exec.cli.choices import chosen, folder_of, format_options, twin, wrapper_options
from pytrace_exec.cli.exit_status import USAGE, stated
from pytrace_exec.cli.listing import size
from pytrace_exec.cli.main import Failed, cli
from pytrace_exec.option_values import duration
from pytrace_exec.option_values import size as bytes_of

if TYPE_CHECKING:
    from collections.abc import Callable


@cli.command(epilog=stated("0 done"), short_help="Evict now.")
@format_options()
@wrapper_options("dir")
@click.option("--max-size", metavar="SIZE", **twin("PYTRACE_PRUNE_MAX_SIZE"), help="Until this much is left: 500M.")
@click.option(
    "--older-than", metavar="DUR", **twin("PYTRACE_PRUNE_OLDER_THAN"), help="What was not used for that long."
)
@click.option("--dry-run", is_flag=True, **twin("PYTRACE_PRUNE_DRY_RUN"), help="Only say what would go.")
def prune(max_size: str | None, older_than: str | None, dry_run: bool, format: str, as_json: bool, color: str) -> None:
    """Evict the least recently used blobs and results of the local store: to the low-water mark unless told otherwise.

    Neither option changes the store's own limit. Ages are kept to the hour. A remote prunes itself.
    """
    answer = Answer.on_stdout("json" if as_json else format, color)
    limit = _read("--max-size", max_size, bytes_of)
    oldest = _read("--older-than", older_than, duration)
    with Store.open(folder_of(chosen()), create=False, read_only=dry_run) as store:
        gone = store.evict(limit, oldest, dry_run)
        used, most = store.size()
    if answer.format == "json":
        told = {"dry_run": dry_run, "blobs": gone.blobs, "results": gone.results, "bytes": gone.bytes}
        answer.json({**told, "size": used, "max_size": most})
        return
    did = "would evict" if dry_run else "evicted"
    answer.line(
        f"{did} {gone.blobs} blobs and {gone.results} results, {size(gone.bytes)}; {size(used)} of {size(most)} in use"
    )


def _read(name: str, text: str | None, read: Callable[[bytes], Any]) -> Any:
    try:
        return None if text is None else read(os.fsencode(text))
    except ValueError as error:
        raise Failed(f"{name} {error}", USAGE) from None
