# SPDX-License-Identifier: Apache-2.0
"""`pytrace bazel-status`: Bazel's `--workspace_status_command` of a workspace with traced rules."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from pytrace_cas.json_fields import text_fields
from pytrace_cas.store import StoreError
from pytrace_exec.bazel.note import Note, NoteFailed
from pytrace_exec.bazel.status import Status, validate
from pytrace_exec.cli.answer import Answer
from pytrace_exec.cli.choices import chosen, folder_of, format_options, twin, wrapper_options
from pytrace_exec.cli.exit_status import stated
from pytrace_exec.cli.main import cli
from pytrace_exec.places import find_root
from pytrace_exec.store_opening import open_folder

NAME = "STABLE_PYTRACE"
_TOLD = 10
_PATH = click.Path(path_type=bytes, exists=True, file_okay=False)


@cli.command("bazel-status", epilog=stated("0 told", store=False), short_help="Bazel's workspace status command.")
@format_options()
@wrapper_options("dir")
@click.option("-v", "--verbose", is_flag=True, **twin("PYTRACE_VERBOSE"), help="Say on stderr what changed.")
@click.option("--workspace", type=_PATH, **twin("PYTRACE_WORKSPACE"), help="The workspace; default: around here.")
def bazel_status(verbose: bool, workspace: bytes | None, format: str, as_json: bool, color: str) -> None:
    """Print `STABLE_PYTRACE DIGEST`: the digest stays while nothing changes that traced actions read undeclared.

    Bazel runs this before every build (`build --workspace_status_command="pytrace bazel-status"`). One pass looks at
    what traced actions of the workspace read outside their declared inputs since the digest last changed. Where that
    cannot be told, the digest is a new one: traced actions are asked again, and answered from the cache.
    """
    answer = Answer.on_stdout("json" if as_json else format, color)
    here = os.getcwdb()
    folder = workspace or find_root(here, None)
    status = _status(folder)
    if answer.format == "json":
        answer.json(_described(status))
    else:
        answer.line(f"{NAME} {status.digest}")
    if verbose:
        _tell(status)


def _status(folder: bytes) -> Status:
    options = chosen()
    try:
        store = open_folder(folder_of(options), options.max_size).path  # made now, so that the first digest lasts
        return validate(Note(store, folder), os.path.join(store, b"digests.sqlite"))
    except (NoteFailed, StoreError) as error:
        # No digest may ever come back, so that even this one is new.
        click.echo(f"pytrace: {error}; every traced action is asked again", err=True)
        return Status(os.urandom(16).hex(), 0, (), None)


def _described(status: Status) -> dict[str, Any]:
    changes = [
        {"kind": change.kind, **text_fields("path", change.path), "action": change.action} for change in status.changes
    ]
    return {"digest": status.digest, "facts": status.facts, "volatile": status.volatile, "changes": changes}


def _tell(status: Status) -> None:
    lines = [
        f"changed: {os.fsdecode(one.path) or one.kind} ({one.kind}; read by {one.action})" for one in status.changes
    ]
    more = [f"and {len(lines) - _TOLD} more"] if len(lines) > _TOLD else []
    always = [f"asked at every build: {status.volatile}"] if status.volatile else []
    for line in [*lines[:_TOLD], *more, *always]:
        print(f"pytrace: {line}", file=sys.stderr)
