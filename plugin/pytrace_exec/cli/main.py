# SPDX-License-Identifier: Apache-2.0
"""The group of `pytrace`'s verbs, and how their errors end: with one line that says what to do."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import NoReturn

import click

from pytrace_cas.cli.exit_status import in_one_line, status_of
from pytrace_cas.store import StoreError
from pytrace_exec import interpreter
from pytrace_exec.cli.exit_status import DIFFERENT, INTERRUPTED, USAGE, stated
from pytrace_exec.cli.failed import Failed as Failed
from pytrace_exec.options import UsageError

VERBS = (
    "bazel-audit",
    "bazel-status",
    "cat",
    "ci",
    "completion",
    "config",
    "diff",
    "dir",
    "doctor",
    "download",
    "explain",
    "find",
    "invalidate",
    "ls",
    "prune",
    "rm",
    "show",
    "size",
    "stats",
    "status",
    "trace",
    "tree",
    "upload",
    "verify",
)


class Verbs(click.Group):
    """Imports the module of a verb, `pytrace_exec.cli.VERB`, when the verb is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every verb."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The verb of that name; its module adds it to this group."""
        if name in VERBS:
            import_module(f"pytrace_exec.cli.{name.replace('-', '_')}")
        return super().get_command(ctx, name)


@click.group(
    cls=Verbs,
    epilog=stated("0 ok; 1 differences or problems found"),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="pytrace-exec", prog_name="pytrace")
def cli() -> None:
    """What is in the cache, what a command depends on, and why a run missed."""


def main() -> None:
    """Run `pytrace` with the arguments in `sys.argv`."""
    interpreter.take_back()
    try:
        _answer()
    except click.ClickException as error:
        _end(in_one_line(error, "pytrace"), USAGE)
    except UsageError as error:
        _end(str(error), USAGE)
    except Failed as error:
        _end(str(error), error.status)
    except StoreError as error:
        _end(str(error), status_of(error))
    except (click.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
    except OSError as error:
        # What is still buffered has nowhere to go; whoever closed a pipe has seen enough.
        sys.stdout = None
        if isinstance(error, BrokenPipeError):
            sys.exit(0)
        _end(str(error), DIFFERENT)


def _answer() -> NoReturn:
    """Run the verb; when this ends, what it wrote has been taken."""
    try:
        sys.exit(cli.main(prog_name="pytrace", standalone_mode=False) or 0)
    finally:
        if sys.stdout is not None:
            sys.stdout.flush()


def _end(message: str, status: int) -> NoReturn:
    line = " ".join(message.split("\n"))
    click.echo(f"pytrace: {line}", err=True)
    sys.exit(status)
