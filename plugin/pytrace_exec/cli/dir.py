# SPDX-License-Identifier: Apache-2.0
"""`pytrace dir`: where the store is."""

from __future__ import annotations

import os

from pytrace_cas.json_fields import text_fields
from pytrace_exec.cli.answer import Answer
from pytrace_exec.cli.choices import chosen, folder_of, format_options, wrapper_options
from pytrace_exec.cli.exit_status import stated
from pytrace_exec.cli.main import cli


@cli.command(epilog=stated("0 told"), short_help="Where the store is.")
@format_options()
@wrapper_options("dir")
def dir(format: str, as_json: bool, color: str) -> None:
    """Print the folder of the store, whether there is one yet or not."""
    answer = Answer.on_stdout("json" if as_json else format, color)
    folder = folder_of(chosen())
    if answer.format == "json":
        answer.json({**text_fields("dir", folder), "exists": os.path.isdir(folder)})
    else:
        answer.stream.flush()
        os.write(answer.stream.fileno(), folder + b"\n")
