# SPDX-License-Identifier: Apache-2.0
"""`pytrace-cas prune`: evict now."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from pytrace_cas.cli.exit_status import SHOWN
from pytrace_cas.cli.main import cli, dir_option
from pytrace_cas.cli.serve_options import SizeType
from pytrace_cas.cli.values import duration
from pytrace_cas.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable


def _option(name: str, **attributes: Any) -> Callable[[Any], Any]:
    """An option whose variable names the verb too: a server's own limit must not prune."""
    variable = "PYTRACE_CAS_PRUNE_" + name[2:].replace("-", "_").upper()
    return click.option(name, envvar=variable, show_envvar=True, **attributes)


@cli.command(epilog=SHOWN)
@dir_option
@_option("--max-size", type=SizeType(), help="Evict until this much is left (500M, 20GiB).")
@_option("--older-than", type=duration, help="Evict what was not used for that long (90s, 24h, 30d).")
@_option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def prune(dir: bytes, max_size: int | None, older_than: float | None, dry_run: bool, as_json: bool) -> None:
    """Evict the least recently used blobs and results: to the low-water mark unless told otherwise.

    Neither option changes the store's own limit. Ages are kept to the hour. What is younger than the store's
    `--min-lifetime` stays.
    """
    with Store.open(dir, create=False, read_only=dry_run) as store:
        gone = store.evict(max_size, older_than, dry_run)
        used, limit = store.size()
    if as_json:
        answer = {"schema": 1, "dry_run": dry_run, "blobs": gone.blobs, "results": gone.results, "bytes": gone.bytes}
        click.echo(json.dumps({**answer, "size": used, "max_size": limit}))
    else:
        did = "would evict" if dry_run else "evicted"
        click.echo(f"{did} {gone.blobs} blobs, {gone.results} results, {gone.bytes} bytes; {used} of {limit} in use")
