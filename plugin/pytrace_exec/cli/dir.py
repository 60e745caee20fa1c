# SPDX-License-Identifier: Apache-2.0
"""`pytrace dir`: where the store is, or the Bazel rules are."""

from __future__ import annotations

import os

import click

from pytrace_cas.json_fields import text_fields
from pytrace_exec.cli.answer import Answer
from pytrace_exec.cli.choices import chosen, folder_of, format_options, twin, wrapper_options
from pytrace_exec.cli.exit_status import NOT_FOUND, stated
from pytrace_exec.cli.main import Failed, cli


@cli.command(epilog=stated("0 told", more="20 no rules there"), short_help="Where the store is, or the Bazel rules.")
@format_options()
@wrapper_options("dir")
@click.option("--rules", is_flag=True, **twin("PYTRACE_DIR_RULES"), help="The Bazel rules, for a local_repository.")
def dir(rules: bool, format: str, as_json: bool, color: str) -> None:
    """Print the folder of the store, whether there is one yet or not; with --rules that of the Bazel rules."""
    answer = Answer.on_stdout("json" if as_json else format, color)
    folder = _rules() if rules else folder_of(chosen())
    if answer.format == "json":
        answer.json({**text_fields("dir", folder), "exists": os.path.isdir(folder)})
    else:
        answer.stream.flush()
        os.write(answer.stream.fileno(), folder + b"\n")


def _rules() -> bytes:
    from pytrace_exec.bazel.rules_folder import NoRules, rules_folder

    try:
        return bytes(rules_folder())
    except NoRules as error:
        raise Failed(str(error), NOT_FOUND) from None
