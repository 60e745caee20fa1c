# SPDX-License-Identifier: Apache-2.0
"""Results that gave other outputs from the same inputs: a message that was replaced by one of other outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytrace_cas.reapi import ActionResult, MalformedMessage

if TYPE_CHECKING:
    import sqlite3

_PAIRS = """SELECT a.id, r.message, p.message FROM store.replaced p
CROSS JOIN actions a ON a.hash = p.hash AND a.function = p.function AND a.instance = p.instance AND a.size = p.size
CROSS JOIN store.results r ON r.id = a.id"""


def gave_other_outputs(db: sqlite3.Connection) -> list[int]:
    """Ids of the results for which that is so."""
    found = {id for id, now, before in db.execute(_PAIRS) if visible(bytes(now)) != visible(bytes(before))}
    return sorted(found)


def visible(message: bytes) -> object:
    """What a user can see of a result: exit code, streams, files by path, links; None for what is no result."""
    try:
        result = ActionResult.decode(message)
    except MalformedMessage:
        return None
    return (
        result.exit_code,
        str(result.stdout_digest or result.stdout_raw),
        str(result.stderr_digest or result.stderr_raw),
        {(file.path, str(file.digest)) for file in result.output_files if not file.path.startswith(".pytrace/")},
        {(link.path, link.target) for link in result.output_symlinks},
    )
