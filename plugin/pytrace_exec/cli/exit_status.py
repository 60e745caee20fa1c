# SPDX-License-Identifier: Apache-2.0
"""Exit statuses of `pytrace`, and how each verb's help page states its own."""

from __future__ import annotations

from pytrace_exec.cache.errors import CacheFailed, RemoteDenied, RemoteLacks

DIFFERENT = 1
USAGE = 2
NO_STORE = 10
NOT_AUTHORISED = 12
UNREACHABLE = 13
NOT_FOUND = 20
INTERRUPTED = 130

_BY_ERROR: dict[type[CacheFailed], int] = {RemoteDenied: NOT_AUTHORISED, RemoteLacks: NOT_FOUND}
_STORE = "; 10 no cache there; 11 locked; 12 not authorised"


def status_of(error: CacheFailed) -> int:
    """The exit status for what went wrong with a remote."""
    return _BY_ERROR.get(type(error), UNREACHABLE)


def stated(own: str, store: bool = True, more: str = "") -> str:
    """The end of a help page: a verb's own statuses, then those that any verb (that opens a store) can end with."""
    return f"Exit status: {own}; 2 usage{_STORE if store else ''}{f'; {more}' if more else ''}; 130 interrupted."
