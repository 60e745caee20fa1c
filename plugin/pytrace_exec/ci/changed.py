# SPDX-License-Identifier: Apache-2.0
"""What differs between two trees, found by reading only folders that differ; and which facts that can concern."""

from __future__ import annotations

from pytrace_exec.ci.facts import ATTRIBUTES, state_of, with_attributes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TypeAlias

    from pytrace_exec.ci.facts import Fact
    from pytrace_exec.ci.objects import Entries, Objects

    Changes: TypeAlias = dict[bytes, tuple[bytes, bytes]]
    """State before and after of every path that differs, folders included; b"" is the top folder."""


def changes(objects: Objects, old: bytes, new: bytes) -> Changes:
    """What differs between two trees; raise `ObjectMissing`."""
    if old == new:
        return {}
    found: Changes = {b"": (b"d" + old, b"d" + new)}
    level = [b""]
    while level:
        both = [(path, *found[path]) for path in level]
        objects.read_ahead(tree for _, *states in both for tree in (states[0][1:], states[1][1:]))
        level = []
        for path, before, after in both:
            for name, states in _different(objects.entries(before[1:]), objects.entries(after[1:])):
                below = path + b"/" + name if path else name
                found[below] = states
                if states[0][:1] == states[1][:1] == b"d":
                    level.append(below)
    return found


def _different(old: Entries, new: Entries) -> list[tuple[bytes, tuple[bytes, bytes]]]:
    names = {name for name, _ in old.items() ^ new.items()}
    return [(name, (_state(old, name), _state(new, name))) for name in names]


def _state(entries: Entries, name: bytes) -> bytes:
    entry = entries.get(name)
    return b"-" if entry is None else state_of(*entry)


def concerned(facts: Sequence[Fact], found: Mapping[bytes, tuple[bytes, bytes]]) -> list[Fact]:
    """The facts, those about `.gitattributes` included, of which the value can be another; every other has the same."""
    # Below what was a folder, a link or absent and is no more, every name means something else.
    turned = {path for path, (old, new) in found.items() if _kind(old) != _kind(new) or old[:1] in b"@s"}
    if turned or any(path.rpartition(b"/")[2] == ATTRIBUTES for path in found):
        facts = with_attributes(facts)
    if not turned:
        return [fact for fact in facts if fact[0] in found]
    kept, above, below = [], b"", False
    for fact in facts:
        folder = fact[0].rpartition(b"/")[0]
        if folder != above:
            above, below = folder, _is_within(folder, turned)
        if below or fact[0] in found:
            kept.append(fact)
    return kept


def _kind(state: bytes) -> bytes:
    return b"f" if state[:1] == b"x" else state[:1]


def _is_within(path: bytes, places: set[bytes]) -> bool:
    while path:
        if path in places:
            return True
        path = path.rpartition(b"/")[0]
    return False
