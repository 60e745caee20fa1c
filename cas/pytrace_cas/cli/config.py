# SPDX-License-Identifier: Apache-2.0
"""`pytrace-cas config show`: what `serve` would do, and where each value came from."""

from __future__ import annotations

import json
from typing import Any

import click
from click.core import ParameterSource

from pytrace_cas.cli.exit_status import SHOWN
from pytrace_cas.cli.main import cli
from pytrace_cas.cli.serve_options import serve_options, size_limit

_SOURCES = {
    ParameterSource.COMMANDLINE: "command line",
    ParameterSource.ENVIRONMENT: "environment",
    ParameterSource.DEFAULT_MAP: "configuration file",
    ParameterSource.DEFAULT: "default",
}


@cli.group(epilog=SHOWN)
def config() -> None:
    """Look at the server's settings."""


@config.command(epilog=SHOWN)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@serve_options(complete=False)
@click.pass_context
def show(ctx: click.Context, /, as_json: bool, **values: Any) -> None:
    """Print the value of every option of `serve` and where it came from; takes the same options."""
    sources = {name: ctx.get_parameter_source(name) or ParameterSource.DEFAULT for name in values}
    if values["max_size_gib"] is not None:
        sources["max_size"] = sources["max_size_gib"]
    values["max_size"] = size_limit(values["max_size"], values.pop("max_size_gib"))
    rows = {name.replace("_", "-"): (_plain(value), _SOURCES[sources[name]]) for name, value in sorted(values.items())}
    if as_json:
        settings = {name: {"value": value, "source": source} for name, (value, source) in rows.items()}
        click.echo(json.dumps({"schema": 1, "settings": settings}))
        return
    for name, row in rows.items():
        click.echo(f"{name} = {json.dumps(row[0])}  ({row[1]})")


def _plain(value: object) -> object:
    """Return a value as JSON has it; addresses as they are written."""
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return value if isinstance(value, str | int | None) else str(value)
