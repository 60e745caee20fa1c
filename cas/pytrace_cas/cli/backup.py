# SPDX-License-Identifier: Apache-2.0
"""`pytrace-cas backup`: copy a store's index while it is served."""

from __future__ import annotations

import json

import click

from pytrace_cas.cli.exit_status import SHOWN
from pytrace_cas.cli.main import cli, dir_option
from pytrace_cas.store import Store


@cli.command(epilog=SHOWN)
@dir_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.argument("file", type=click.Path(dir_okay=False, path_type=bytes))
def backup(dir: bytes, as_json: bool, file: bytes) -> None:
    """Write the index as it is now to FILE, which is replaced whole; the server goes on.

    The index says what is stored and holds the action results and small blobs; larger blobs are files under
    `cas/`. `pytrace-cas restore FILE` goes back to it.
    """
    with Store.open(dir, create=False, read_only=True) as store:
        done = store.back_up(file)
    if as_json:
        answer = {"schema": 1, "blobs": done.blobs, "results": done.results, "bytes": done.bytes}
        click.echo(json.dumps(answer))
    else:
        click.echo(f"backed up {done.blobs} blobs and {done.results} results in {done.bytes} bytes")
