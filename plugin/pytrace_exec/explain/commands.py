# SPDX-License-Identifier: Apache-2.0
"""How two commands differ, as both keys name them: arguments, variables, working directory, umask, user, machine."""

from __future__ import annotations

import os
import shlex

from pytrace_cas.recorded.keys import properties, variables
from pytrace_cas.recorded.places import MalformedText
from pytrace_exec.explain.reasons import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

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

_NAMES = {"%R": "<root>", "%H": "<home>", "%T": "<tmp>"}
"""What stands for a place of the stored command, which is not known to have been today's."""


def command_differences(old: Command, new: Command, places: Places) -> Iterator[dict[str, object]]:
    """Every difference between a stored command and today's."""
    if old.arguments != new.arguments:
        said = "\0".join(new.arguments)
        stored = [_stored(word, said, places) or "" for word in old.arguments]
        today = [_restored(word, places) or "" for word in new.arguments]
        yield reason("arguments_changed", None, shlex.join(stored), shlex.join(today))
    before, now = variables(old), variables(new)
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            values = _stored(before.get(name), now.get(name) or "", places), _restored(now.get(name), places)
            yield reason("environment_changed", None, *values, name=name)
    was, is_ = properties(old), properties(new)
    for name, code in _PROPERTIES.items():
        if was.get(name) != is_.get(name):
            yield reason(code, None, was.get(name), is_.get(name))


def _stored(text: str | None, today: str, places: Places) -> str | None:
    """A stored text as people read it; a place that today's text does not name as well stands for itself."""
    if text is None:
        return None
    for sign, name in _NAMES.items():
        if sign not in today:
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
