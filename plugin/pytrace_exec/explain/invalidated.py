# SPDX-License-Identifier: Apache-2.0
"""Which invalidations lie between a stored result and today, with who made them and why (DESIGN 10)."""

from __future__ import annotations

from pytrace_cas.explained.invalidated import NONE, between, ids_in, ids_in_salt
from pytrace_cas.recorded.subjects import GENERATION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytrace_cas.recorded.keys import StoredKey
    from pytrace_exec.lookup import LookUp

_BY_LABEL = ("label", "target", "mnemonic")


def by_salt(look_up: LookUp, salt: bytes) -> Iterator[dict[str, object]]:
    """The invalidations known before a look-up that a stored result's salt has not, or has though they hold no more.

    Labels stand in no result: an invalidation by label that one was stored under is taken to concern it still.
    """
    generations = look_up.generations
    labelled = {one.id for one in generations.others if any(one.get(name) for name in _BY_LABEL)}
    then, now = ids_in_salt(salt), ids_in_salt(generations.salt)
    yield from between(then - labelled, now, generations.salted)


def by_facts(look_up: LookUp, key: StoredKey) -> Iterator[dict[str, object]]:
    """The same for paths that a stored result depends on, and for the result itself."""
    generations, places = look_up.generations, look_up.invocation.places
    seen = [subject for subject in key.values if subject.kind != GENERATION]
    today = generations.of_paths(seen)
    for subject in sorted({*today, *(one for one in key.values if one.kind == GENERATION and one.paths)}):
        path = subject.paths[0]
        then, now = ids_in(key.values.get(subject, NONE)), ids_in(today.get(subject, NONE))
        yield from between(then, now, generations.paths.get(path, ()), path, places.readable(path) + " ")
    dropped = generations.actions.get(str(key.digest), [])
    yield from between(set(), {one.id for one in dropped}, dropped)


def without_old(reasons: Iterable[dict[str, object]]) -> list[dict[str, object]]:
    """Leave out what was taken back where something else holds: the result compared with came between the two."""
    found = list(reasons)
    holds = any(one.get("holds") for one in found)
    return [one for one in found if one.get("holds", True) or not holds]
