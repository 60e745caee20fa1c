# SPDX-License-Identifier: Apache-2.0
"""Which invalidations lie between a stored result and today, with who made them and why (DESIGN 10)."""

from __future__ import annotations

import os

from pytrace_exec.explain.reasons import reason
from pytrace_exec.generations.applying import KIND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytrace_cas.recorded.invalidations import Invalidation
    from pytrace_cas.recorded.keys import StoredKey
    from pytrace_exec.lookup import LookUp

_SALT = b"generations: "
_NONE = b"none"
_BY_LABEL = ("label", "target", "mnemonic")


def by_salt(look_up: LookUp, salt: bytes) -> Iterator[dict[str, object]]:
    """The invalidations known before a look-up that a stored result's salt has not, or has though they hold no more.

    Labels stand in no result: an invalidation by label that one was stored under is taken to concern it still.
    """
    generations = look_up.generations
    labelled = {one.id for one in generations.others if any(one.get(name) for name in _BY_LABEL)}
    then, now = (_ids(text.removeprefix(_SALT)) for text in (salt, generations.salt))
    yield from _between(then - labelled, now, generations.salted)


def by_facts(look_up: LookUp, key: StoredKey) -> Iterator[dict[str, object]]:
    """The same for paths that a stored result depends on, and for the result itself."""
    generations, places = look_up.generations, look_up.invocation.places
    seen = [subject for subject in key.values if subject.kind != KIND]
    today = generations.of_paths(seen)
    for subject in sorted({*today, *(one for one in key.values if one.kind == KIND and one.paths)}):
        path = subject.paths[0]
        then, now = _ids(key.values.get(subject, _NONE)), _ids(today.get(subject, _NONE))
        yield from _between(then, now, generations.paths.get(path, ()), path, places.readable(path) + " ")
    dropped = generations.actions.get(str(key.digest), [])
    yield from _between(set(), {one.id for one in dropped}, dropped)


def without_old(reasons: Iterable[dict[str, object]]) -> list[dict[str, object]]:
    """Leave out what was taken back where something else holds: the result compared with came between the two."""
    found = list(reasons)
    holds = any(one.get("holds") for one in found)
    return [one for one in found if one.get("holds", True) or not holds]


def _ids(value: bytes) -> set[str]:
    return {os.fsdecode(id) for id in value.split(b" ")} - {os.fsdecode(_NONE)}


def _between(
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
