# SPDX-License-Identifier: Apache-2.0
"""`python -m bench`: print ratios, measured side by side in one run."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from bench import report

_quick = click.option("--quick", is_flag=True, help="Small work, one round: that it runs, not what it costs.")
_peers = click.option(
    "--peer", "peers", multiple=True, metavar="COMMAND", help="Another wrapper: what stands before the command."
)


@click.group(invoke_without_command=True)
@_quick
@click.pass_context
def bench(context: click.Context, quick: bool) -> None:
    """Measure the wrapper and the server; without a verb, both."""
    if context.invoked_subcommand is None:
        context.invoke(wrapper, quick=quick)
        context.invoke(server, quick=quick)


@bench.command()
@_quick
@_peers
def wrapper(quick: bool, peers: tuple[str, ...] = ()) -> None:
    """Time commands plain, traced, stored and answered from the cache."""
    from bench.wrapper import measure_all

    with tempfile.TemporaryDirectory(prefix="pytrace-bench-") as folder:
        click.echo(f"{report.machine(Path(folder))}\n")
        for part in measure_all(Path(folder).resolve(), peers, quick):
            click.echo(f"{part}\n")


@bench.command()
@_quick
def server(quick: bool) -> None:
    """Load a server."""


if __name__ == "__main__":
    bench(prog_name="python -m bench")
