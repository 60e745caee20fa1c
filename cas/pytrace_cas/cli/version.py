# SPDX-License-Identifier: Apache-2.0
"""`pytrace-cas version`."""

from __future__ import annotations

import json

import click

from pytrace_cas import __version__
from pytrace_cas.cli.exit_status import SHOWN
from pytrace_cas.cli.main import cli
from pytrace_cas.store.index import FORMAT


@cli.command(epilog=SHOWN)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def version(as_json: bool) -> None:
    """Print the version, and the store format that it reads and writes."""
    if as_json:
        click.echo(json.dumps({"schema": 1, "version": __version__, "store_format": FORMAT}))
    else:
        click.echo(f"pytrace-cas {__version__} (store format {FORMAT})")
