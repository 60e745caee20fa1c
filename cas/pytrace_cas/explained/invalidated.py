# SPDX-License-Identifier: Apache-2.0
"""Invalidations as reasons: those that lie between two states, with who made them and why."""

from __future__ import annotations

import os

from pytrace_cas.explained.reasons import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytrace_cas.recorded.invalidations import Invalidation

_SALT = b"generations: "
NONE = b"none"


def ids_in_salt(salt: bytes) -> set[str]:
    """The invalidations that an action's salt names."""
    return ids_in(salt.removeprefix(_SALT))


def ids_in(value: bytes) -> set[str]:
    """The invalidations that a value names."""
    return {os.fsdecode(id) for id in value.split(b" ") if id} - {os.fsdecode(NONE)}


def between(
    then: set[str], now: set[str], known: Iterable[Invalidation], path: bytes | None = None, shown: str = ""
) -> Iterator[dict[str, object]]:
    """One reason for each invalidation that one side names and the other does not."""
    by_id = {one.id: one for one in known}
    for id in sorted(then ^ now):
        said = _said(by_id.get(id)) if id in now else "this was taken back since"
        yield {**reason("invalidated", path, name=shown + said), "invalidation": id, "holds": id in now}


def _said(one: Invalidation | None) -> str:
    """Who did it, and why."""
    if one is None:
        return "by somebody"
    why = f": {os.fsdecode(one.why)}" if one.why else ""
    return f"by {os.fsdecode(one.by) or 'somebody'}{why} ({one.id})"
