# SPDX-License-Identifier: Apache-2.0
"""How two builds differ, command by command: in the words that others use for it.

A command is known by its mnemonic and first output. Whose inputs, tools, environment, arguments and platform are equal
and whose outputs are not is not hermetic. An input that another command made follows from that command.
"""

from __future__ import annotations

from collections import defaultdict
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pytrace_exec.bazel_logs.spawn import Spawn

CHANGES = {
    "arguments": "arguments changed",
    "environment": "environment changed",
    "platform": "platform changed",
    "tools": "tools changed",
    "inputs": "inputs changed",
    "outputs": "outputs changed",
    "exit status": "exit status changed",
}
NON_HERMETIC = "non-hermetic: equal inputs, other outputs"
ADDED, REMOVED = "only in the second build", "only in the first build"


@attrs.frozen
class Row:
    """One difference. `letter`: + only then, - only before, M another content, T another type; `made_by`: the output
    by which the command is known that made it, when it differs there already.
    """

    part: str
    letter: str
    name: str
    old: str | None
    new: str | None
    made_by: str | None = None


@attrs.frozen
class Change:
    """How one command differs."""

    mnemonic: str
    target: str
    output: str
    changes: tuple[str, ...]
    rows: tuple[Row, ...]


def compare(old: Iterable[Spawn], new: Iterable[Spawn]) -> list[Change]:
    """Every command that is not the same in both builds, by mnemonic and output."""
    before, now = _known(old), _known(new)
    makers = _makers(before, now)
    found = []
    for key in sorted(before.keys() | now.keys()):
        first, second = before.get(key), now.get(key)
        one = second or first
        assert one is not None
        if first is None or second is None:
            change = ADDED if first is None else REMOVED
            found.append(Change(one.mnemonic, one.target, one.output, (change,), ()))
            continue
        rows = tuple(_rows(first, second, makers))
        if rows:
            parts = {row.part for row in rows}
            changes = tuple(said for part, said in CHANGES.items() if part in parts)
            if parts == {"outputs"}:
                changes = (NON_HERMETIC,)
            found.append(Change(one.mnemonic, one.target, one.output, changes, rows))
    return found


def described(changes: list[Change]) -> list[dict[str, Any]]:
    """The changes by mnemonic, for an answer."""
    by: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for change in changes:
        by[change.mnemonic].append({name: value for name, value in attrs.asdict(change).items() if name != "mnemonic"})
    return [{"mnemonic": mnemonic, "spawns": spawns} for mnemonic, spawns in sorted(by.items())]


def _known(spawns: Iterable[Spawn]) -> dict[tuple[str, str, str, int], Spawn]:
    """By mnemonic, first output and target; several that have all of them in common (tests that run twice) by turn."""
    found: dict[tuple[str, str, str, int], Spawn] = {}
    for spawn in spawns:
        turn = 0
        while (key := (spawn.mnemonic, spawn.output, "" if spawn.output else spawn.target, turn)) in found:
            turn += 1
        found[key] = spawn
    return found


def _makers(
    before: Mapping[tuple[str, str, str, int], Spawn], now: Mapping[tuple[str, str, str, int], Spawn]
) -> dict[str, str]:
    """Which command made each output that differs."""
    found = {}
    for key in before.keys() & now.keys():
        old, new = before[key].outputs, now[key].outputs
        found.update({path: before[key].output for path in old.keys() | new.keys() if old.get(path) != new.get(path)})
    return found


def _rows(old: Spawn, new: Spawn, makers: Mapping[str, str]) -> Iterator[Row]:
    yield from _arguments(old.arguments, new.arguments)
    yield from _named("environment", old.environment, new.environment)
    yield from _named("platform", old.platform, new.platform)
    tools = old.tools | new.tools
    for row in _named("inputs", old.inputs, new.inputs):
        part = "tools" if row.name in tools else "inputs"
        yield attrs.evolve(row, part=part, made_by=makers.get(row.name))
    yield from _named("outputs", old.outputs, new.outputs)
    if old.exit_code != new.exit_code:
        yield Row("exit status", "M", "exit status", str(old.exit_code), str(new.exit_code))


def _named(part: str, old: Mapping[str, str | None], new: Mapping[str, str | None]) -> Iterator[Row]:
    for name in sorted(old.keys() | new.keys()):
        before, now = old.get(name), new.get(name)
        if before != now:
            yield Row(part, _letter(before, now), name, before, now)


def _letter(old: str | None, new: str | None) -> str:
    if old is None or new is None:
        return "+" if old is None else "-"
    return "M" if old.startswith("-> ") == new.startswith("-> ") else "T"


def _arguments(old: tuple[str, ...], new: tuple[str, ...]) -> Iterator[Row]:
    """Words that came and went, in order."""
    for tag, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "equal":
            yield from (Row("arguments", "-", str(at), old[at], None) for at in range(a, b))
            yield from (Row("arguments", "+", str(at), None, new[at]) for at in range(c, d))
