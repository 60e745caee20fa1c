# SPDX-License-Identifier: Apache-2.0
"""`pytrace completion`: what a shell needs to complete the three commands."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from pytrace_exec.cli.exit_status import stated
from pytrace_exec.cli.main import cli
from pytrace_exec.cli.wrapper_completion import SCRIPTS

_EXAMPLES = {
    "bash": 'eval "$(pytrace completion bash)"      # in ~/.bashrc',
    "zsh": 'eval "$(pytrace completion zsh)"       # in ~/.zshrc, after compinit',
    "fish": "pytrace completion fish | source       # in ~/.config/fish/config.fish",
}


@cli.command(epilog=stated("0 written", store=False), short_help="Completion for a shell.")
@click.option("--json", "as_json", is_flag=True, help="The script as a JSON object.")
@click.argument("shell", type=click.Choice(tuple(SCRIPTS)), metavar="SHELL")
def completion(shell: str, as_json: bool) -> None:
    """Write the completions of pytrace, pytrace-exec and pytrace-cas for SHELL: bash, zsh or fish.

    \b
    eval "$(pytrace completion bash)"         in ~/.bashrc
    eval "$(pytrace completion zsh)"          in ~/.zshrc, after compinit
    pytrace completion fish | source          in ~/.config/fish/config.fish
    """
    script = script_for(shell)
    if as_json:
        from pytrace_exec.cli.answer import Answer

        Answer.on_stdout("json", "never").json({"shell": shell, "script": script})
    else:
        click.echo(script, nl=False)


def script_for(shell: str) -> str:
    """The script: click asks its commands; pytrace-exec, which is no click command, is completed from its options."""
    made_by = get_completion_class(shell)
    assert made_by is not None
    parts = [f"# {_EXAMPLES[shell]}\n"]
    for program in ("pytrace", "pytrace-cas"):
        variable = f"_{program.replace('-', '_').upper()}_COMPLETE"
        parts.append(made_by(cli, {}, program, variable).source().rstrip() + "\n")
    return "\n".join([*parts, SCRIPTS[shell]()])
