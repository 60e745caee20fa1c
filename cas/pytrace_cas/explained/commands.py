# SPDX-License-Identifier: Apache-2.0
"""How two commands differ, as both keys name them: arguments, variables, working directory, umask, user, machine."""

from __future__ import annotations

import os
import shlex

from pytrace_cas.explained.reasons import reason
from pytrace_cas.recorded.keys import properties, variables
from pytrace_cas.recorded.places import MalformedText

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytrace_cas.reapi import Command
    from pytrace_cas.recorded.places import Places

_PROPERTIES = {
    "working-directory": "directory_changed",
    "umask": "umask_changed",
    "effective-root": "user_changed",
    "machine": "machine_changed",
    "operating-system": "machine_changed",
    "scheme": "scheme_changed",
}
"""The properties that tell commands apart; `slot` only says where a list of path sets lies."""

_NAMES = {"%R": "<root>", "%H": "<home>", "%T": "<tmp>", "%W": "<workspace>", "%X": "<execroot>", "%O": "<output base>"}
"""What stands for a place of the stored command, which is not known to have been today's."""


_HASHED = "sha256:"
"""What stands in a stored value's place that looks like a secret (`policy.environment.stored_value`)."""


def command_differences(
    old: Command, new: Command, places: Places, origin: Places | None = None
) -> Iterator[dict[str, object]]:
    """Every difference between a stored command and today's; `origin`: the places of then, where they are known.

    What was the same text then, in another place, did not change: the result belongs to that place.
    """
    if old.arguments != new.arguments:
        unsaid = _unsaid("\0".join(new.arguments))
        stored = [_stored(word, unsaid, places, origin) or "" for word in old.arguments]
        today = [_restored(word, places) or "" for word in new.arguments]
        if stored == today:
            yield from _moved(" ".join(old.arguments), " ".join(new.arguments), "the arguments", places, origin)
        else:
            yield reason("arguments_changed", None, shlex.join(stored), shlex.join(today))
    before, now = variables(old), variables(new)
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            yield from _variable(name, before.get(name), now.get(name), places, origin)
    was, is_ = properties(old), properties(new)
    for name, code in _PROPERTIES.items():
        if was.get(name) != is_.get(name):
            yield reason(code, None, was.get(name), is_.get(name))


def _variable(
    name: str, before: str | None, now: str | None, places: Places, origin: Places | None
) -> Iterator[dict[str, object]]:
    """A variable whose stored texts differ. Of a secret only that it differs is told."""
    if any(value is not None and value.startswith(_HASHED) for value in (before, now)):
        old, new = ("(not shown)" if value is not None else None for value in (before, now))
        said = "its value is not shown" if old == new else None
        yield {**reason("environment_changed", None, old, new, name=name, said=said), "hidden": True}
        return
    old, new = _stored(before, _unsaid(now or ""), places, origin), _restored(now, places)
    if old == new:
        yield from _moved(before or "", now or "", name, places, origin)
    else:
        yield reason("environment_changed", None, old, new, name=name)


def _moved(before: str, now: str, name: str, places: Places, origin: Places | None) -> Iterator[dict[str, object]]:
    """The places in which a text lay, or lies, that is the same: they are others."""
    named = (("%R", "root"), ("%H", "home"), ("%T", "tmp"))
    for sign, place in named:
        then, today = (None if where is None else getattr(where, place) for where in (origin, places))
        if (sign in before or sign in now) and then != today:
            old, new = (None if path is None else os.fsdecode(path) for path in (then, today))
            yield reason("belongs_to_checkout", None, old, new, name=f"{name} and the {place} folder")


def _unsaid(today: str) -> dict[str, str]:
    """The places that today's text does not name, as they are called."""
    return {sign: name for sign, name in _NAMES.items() if sign not in today}


def _stored(text: str | None, unsaid: Mapping[str, str], places: Places, origin: Places | None) -> str | None:
    """A stored text as people read it, with the places of then; where not known, unsaid ones by their names."""
    if text is None:
        return None
    if origin is not None:
        return _restored(text, origin)
    for sign, name in unsaid.items():
        text = text.replace(sign, name)
    return _restored(text, places)


def _restored(text: str | None, places: Places) -> str | None:
    """Text with today's places; as stored if one of them is not set today."""
    if text is None:
        return None
    try:
        return os.fsdecode(places.restore(text.encode()))
    except MalformedText:
        return text
