# SPDX-License-Identifier: Apache-2.0
"""Exit statuses of `pytrace`, and how each verb's help page states its own."""

from __future__ import annotations

DIFFERENT = 1
USAGE = 2
NO_STORE = 10
UNREACHABLE = 13
NOT_FOUND = 20
INTERRUPTED = 130

_STORE = "; 10 no cache there; 11 locked; 12 not authorised"


def stated(own: str, store: bool = True, more: str = "") -> str:
    """The end of a help page: a verb's own statuses, then those that any verb (that opens a store) can end with."""
    return f"Exit status: {own}; 2 usage{_STORE if store else ''}{f'; {more}' if more else ''}; 130 interrupted."
