# SPDX-License-Identifier: Apache-2.0
"""The group of `pytrace-cas`'s verbs, and how their errors end."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from pytrace_cas.cli.exit_status import INTERRUPTED, SHOWN, USAGE, in_one_line, status_of
from pytrace_cas.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

VERBS = ("backup", "check", "config", "conform", "prune", "restore", "serve", "version")


class Verbs(click.Group):
    """Imports the module of a verb, `pytrace_cas.cli.VERB`, when the verb is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every verb."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The verb of that name; its module adds it to this group."""
        if name in VERBS:
            import_module(f"pytrace_cas.cli.{name}")
        return super().get_command(ctx, name)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a verb; an error of the store ends it with one line and its exit status."""
        try:
            return super().invoke(ctx)
        except StoreError as error:
            click.echo(f"pytrace-cas: {error}", err=True)
            sys.exit(status_of(error))


@click.group(cls=Verbs, epilog=SHOWN, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """A Remote Execution API cache over a durable local store."""


def dir_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--dir`, the directory of a store."""
    return click.option(
        "--dir",
        type=click.Path(path_type=bytes, resolve_path=False),
        envvar="PYTRACE_CAS_DIR",
        show_envvar=True,
        required=True,
        help="The store.",
    )(command)


def main() -> None:
    """Run `pytrace-cas`."""
    # What gRPC's core has to say of an address is said by us; it reads this when a verb imports it.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        sys.exit(cli.main(prog_name="pytrace-cas", standalone_mode=False) or 0)
    except click.ClickException as error:
        click.echo(f"pytrace-cas: {in_one_line(error, 'pytrace-cas')}", err=True)
        sys.exit(USAGE)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
