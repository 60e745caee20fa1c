# SPDX-License-Identifier: Apache-2.0
"""What the store keeps of a run that no stored result answered: its command, and why. On the way of every miss."""

from __future__ import annotations

from _json import encode_basestring_ascii as quoted

from pytrace_cas.recorded.command_lines import command_line
from pytrace_cas.store import events

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytrace_cas.digest import DigestFunction
    from pytrace_cas.reapi import Command
    from pytrace_exec.outcome import Outcome

_FIELDS = ("code", "message", "path", "old", "new", "name")


def run_event(outcome: Outcome, function: DigestFunction, command: Command | None) -> events.Event:
    """The event of a run; `command` is the one that the keys name."""
    line = command_line(command.arguments) if command is not None else ""
    instance = outcome.invocation.options.instance_name
    reasons = as_json(outcome.reasons)
    return events.run(outcome.kind, function, instance, outcome.weak, outcome.action, line, reasons)


def as_json(reasons: Iterable[Mapping[str, object]]) -> str:
    """Reasons as a JSON list, as many as an event holds; without json, which takes long to import."""
    told: list[str] = []
    room = events.LONGEST - 2
    for reason in reasons:
        fields = ((name, reason[name]) for name in _FIELDS if reason.get(name) is not None)
        text = "{" + ", ".join(f"{quoted(name)}: {quoted(str(value))}" for name, value in fields) + "}"
        room -= len(text) + 2
        if room < 0:
            break
        told.append(text)
    return "[" + ", ".join(told) + "]"
