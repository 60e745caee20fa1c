# SPDX-License-Identifier: Apache-2.0
"""`pytrace-cas restore`: go back to a backup of the index."""

from __future__ import annotations

import sys

import click

from pytrace_cas.cli.check import report_as_json, show
from pytrace_cas.cli.exit_status import PROBLEMS, SHOWN
from pytrace_cas.cli.main import cli, dir_option


@cli.command(epilog=f"{SHOWN} 1 means that some problem is left, 11 that a server still runs.")
@dir_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=bytes))
def restore(dir: bytes, as_json: bool, file: bytes) -> None:
    """Put FILE, a backup, in the place of the store's index, and mend what has changed since; stop the server first.

    Blobs that are files and came after the backup are kept. What the backup names and is gone is dropped, with the
    results that need it. The index that was there goes into `quarantine/`.
    """
    from pytrace_cas.store.backup import restore as put_back

    report = put_back(dir, file)
    if as_json:
        click.echo(report_as_json(dir, report))
    else:
        show(report)
    if not report.sound:
        sys.exit(PROBLEMS)
