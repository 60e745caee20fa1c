# SPDX-License-Identifier: Apache-2.0
"""Exit statuses of `pytrace-cas`, and which error ends with which."""

from __future__ import annotations

import click

from pytrace_cas.store import (
    FolderInUse,
    NetworkFileSystem,
    NewerFormat,
    NoStore,
    StoreBusy,
    StoreError,
    StoreIsFile,
    StoreNotWritable,
    StoreOfAnother,
    StoreUnreadable,
    UnknownFormat,
)
from pytrace_cas.store.backup import NotABackup

PROBLEMS = 1
USAGE = 2
NO_STORE = 10
LOCKED = 11
NOT_AUTHORISED = 12
ADDRESS_IN_USE = 98
INTERRUPTED = 130

_BY_ERROR: dict[type[StoreError], int] = {
    NoStore: NO_STORE,
    FolderInUse: NO_STORE,
    StoreBusy: LOCKED,
    StoreUnreadable: NOT_AUTHORISED,
    StoreOfAnother: NOT_AUTHORISED,
    StoreNotWritable: NOT_AUTHORISED,
    StoreIsFile: USAGE,
    NetworkFileSystem: USAGE,
    NewerFormat: USAGE,
    UnknownFormat: USAGE,
    NotABackup: USAGE,
}

SHOWN = "Exit status: 0; 1 problems found; 2 usage; 10 no store there; 11 locked; 12 not authorised."
SERVE_SHOWN = SHOWN[:-1] + "; 98 address in use."


def in_one_line(error: click.ClickException, program: str) -> str:
    """What is wrong with how a program was called, and which page says how to."""
    if not isinstance(error, click.UsageError):
        return error.format_message()
    page = f"{error.ctx.command_path} --help" if error.ctx is not None else f"{program} --help"
    return f"{' '.join(error.format_message().split())} (see {page})"


def status_of(error: StoreError) -> int:
    """The exit status for an error of the store."""
    return _BY_ERROR.get(type(error), PROBLEMS)
