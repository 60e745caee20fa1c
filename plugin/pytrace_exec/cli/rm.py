# SPDX-License-Identifier: Apache-2.0
"""`pytrace rm`: drop one stored result."""

from __future__ import annotations

import click

from pytrace_cas.store import Store
from pytrace_exec.cli.answer import Answer, one_line
from pytrace_exec.cli.choices import chosen, folder_of, format_options, is_remote_asked, wrapper_options
from pytrace_exec.cli.exit_status import NOT_FOUND, USAGE, stated
from pytrace_exec.cli.main import Failed, cli
from pytrace_exec.cli.stored import resolved


@cli.command(epilog=stated("0 dropped", more="20 no such result"), short_help="Drop one stored result.")
@format_options()
@wrapper_options("dir", "root", "instance-name", "remote")
@click.argument("ref")
def rm(ref: str, format: str, as_json: bool, color: str) -> None:
    """Drop the result REF from the local store: a digest or the beginning of one, 'latest', or the path of an output.

    Its blobs stay until they are evicted, since others may share them. The next run of its command misses, unless a
    remote has the result too: no protocol can delete from a remote. `pytrace invalidate` makes it miss everywhere.
    """
    options = chosen()
    answer = Answer.on_stdout("json" if as_json else format, color)
    if is_remote_asked():
        raise Failed(
            "--remote: the protocol cannot delete; `pytrace invalidate REF --remote URL` makes the result miss", USAGE
        )
    with Store.open(folder_of(options), create=False) as store:
        row = resolved(store, ref, options)
        if not store.remove_action_result(row.function, row.instance, row.digest):
            raise Failed(f"{row.digest} was evicted meanwhile", NOT_FOUND)
    if answer.format == "json":
        answer.json({"dropped": str(row.digest), "digest_function": row.function.name, "instance": row.instance})
    else:
        answer.line(one_line(f"dropped {row.digest}  {row.command}".rstrip()))
