# SPDX-License-Identifier: Apache-2.0
"""How two commands differ, as both keys name them: arguments, variables, working directory, umask, user, machine."""

from __future__ import annotations

import os
import shlex

from pytrace_exec.explain.reasons import reason
from pytrace_exec.places import MalformedText

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytrace_cas.reapi import Command
    from pytrace_exec.places import Places

_PROPERTIES = {
    "working-directory": "directory_changed",
    "umask": "umask_changed",
    "effective-root": "user_changed",
    "machine": "machine_changed",
    "operating-system": "machine_changed",
    "scheme": "scheme_changed",
}
"""The properties that tell commands apart; `slot` only says where a list of path sets lies."""


def command_differences(old: Command, new: Command, places: Places) -> Iterator[dict[str, object]]:
    """Every difference between a stored command and today's."""
    if old.arguments != new.arguments:
        yield reason("arguments_changed", None, line(old, places), line(new, places))
    before, now = variables(old), variables(new)
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            values = (_restored(value, places) for value in (before.get(name), now.get(name)))
            yield reason("environment_changed", None, *values, name=name)
    was, is_ = properties(old), properties(new)
    for name, code in _PROPERTIES.items():
        if was.get(name) != is_.get(name):
            yield reason(code, None, was.get(name), is_.get(name))


def line(command: Command, places: Places) -> str:
    """The arguments as a shell would take them."""
    return shlex.join(_restored(word, places) or "" for word in command.arguments)


def variables(command: Command) -> dict[str, str]:
    """The variables that count always, as stored."""
    return {variable.name: variable.value for variable in command.environment_variables}


def properties(command: Command) -> dict[str, str]:
    """The properties of its platform."""
    return {item.name: item.value for item in command.platform.properties} if command.platform else {}


def _restored(text: str | None, places: Places) -> str | None:
    """Text with today's places; as stored if one of them is not set today."""
    if text is None:
        return None
    try:
        return os.fsdecode(places.restore(text.encode()))
    except MalformedText:
        return text
