# SPDX-License-Identifier: Apache-2.0
"""`pytrace ci`: the group of verbs that skip a CI job which cannot have changed; one module each, `ci_VERB`."""

from __future__ import annotations

from importlib import import_module

import click

from pytrace_exec.cli.exit_status import stated
from pytrace_exec.cli.main import cli

CI_VERBS = ("check", "explain", "ls", "run", "withdraw")


class CiVerbs(click.Group):
    """Imports the module of a verb when the verb is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every verb."""
        return list(CI_VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The verb of that name; its module adds it to this group."""
        if name in CI_VERBS:
            import_module(f"pytrace_exec.cli.ci_{name}")
        return super().get_command(ctx, name)


@cli.group(
    cls=CiVerbs, epilog=stated("0 ok, or may skip; 1 must run"), short_help="Skip a job that cannot have changed."
)
def ci() -> None:
    """Skip a CI job that cannot have changed.

    `run` traces a job and records what it depended on; `check` decides from git objects alone whether the job could
    give another result at another commit. A record that is wrong is dropped by `withdraw`.
    """
