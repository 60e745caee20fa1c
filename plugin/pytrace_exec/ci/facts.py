# SPDX-License-Identifier: Apache-2.0
"""What a job looked at, as git can tell it again: paths of the repository, each with a letter for what counts of it.

| letter | what counts |
|---|---|
| `v` | the entry as a whole: absent, a file with its id and executable bit, a link with its id, a folder, a gitlink |
| `t` | the type and the executable bit: somebody only asked whether there is such a thing |
| `l` | of a folder: the names in it and their types |
| `w` | of a folder: everything below, by its tree's id; stands for `l` and `v` of all that is below |

What a path holds is decided by `.gitattributes` too (line endings, filters), so those of every folder above a file
whose content counts are facts without being listed.
"""

from __future__ import annotations

import os

from pytrace_exec.ci.objects import FOLDER, GITLINK, LINK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import TypeAlias

    from pytrace_exec.ci.objects import Entries, Objects

    Fact: TypeAlias = tuple[bytes, str]
    """A path relative to the repository (b"" is its root), and a letter."""

ATTRIBUTES = b".gitattributes"
STRENGTH = {"t": 0, "v": 1, "l": 2, "w": 3}
"""Of two letters for one path the stronger counts: on what is no folder `l` and `w` mean `v`."""


class Values:
    """Values of facts in one tree of one repository."""

    def __init__(self, objects: Objects, tree: bytes) -> None:
        self._objects = objects
        self._folders: dict[bytes, bytes] = {b"": b"d" + tree}

    def state(self, path: bytes) -> bytes:
        """What stands at a path, links not followed: `-` absent, `/` below no folder, else a letter and an id.

        The letters are `d`, `f`, `x`, `@` and `s`; below a link or a gitlink it is that one's state after a `>`.
        """
        if not path:
            return self._folders[b""]
        above, _, name = path.rpartition(b"/")
        folder = self._folder(above)
        if not folder.startswith(b"d"):
            return folder if folder[:1] in b"->/" else (b">" + folder if folder[:1] in b"@s" else b"/")
        entry = self._objects.entries(folder[1:]).get(name)
        return b"-" if entry is None else state_of(*entry)

    def _folder(self, path: bytes) -> bytes:
        known = self._folders.get(path)
        if known is None:
            known = self._folders[path] = self.state(path)
        return known

    def names(self, path: bytes) -> dict[bytes, str] | None:
        """Names in a folder with a letter for the type of each (`f`, `l`, `d`); None when it is none."""
        state = self.state(path)
        if not state.startswith(b"d"):
            return None
        return {name: type_letter(mode) for name, (mode, _) in self._objects.entries(state[1:]).items()}

    def entries(self, path: bytes) -> Entries:
        """What the tree has in a folder; nothing when it is none."""
        return self._entries(path) or {}

    def value(self, fact: Fact) -> bytes:
        """The value of a fact."""
        return self._value(fact[0], fact[1], self.state(fact[0]))

    def read_ahead(self, facts: Iterable[Fact]) -> None:
        """Read every folder that facts lie in, a level of the tree after the other."""
        level = {path.rpartition(b"/")[0] for path, _ in facts}
        folders = set(level)
        while level := {path.rpartition(b"/")[0] for path in level} - folders:
            folders |= level
        levels: dict[int, list[bytes]] = {}
        for path in folders:
            levels.setdefault(path.count(b"/") + bool(path), []).append(path)
        for depth in sorted(levels):
            states = [self._folder(path) for path in levels[depth]]
            self._objects.read_ahead(state[1:] for state in states if state[:1] == b"d")

    def values(self, facts: Iterable[Fact]) -> list[bytes]:
        """The value of each fact in order; of neighbours in one folder the folder is found once."""
        found = []
        above, entries = b"", self._entries(b"")
        for path, letter in facts:
            at, _, name = path.rpartition(b"/")
            if at != above:
                above, entries = at, self._entries(at)
            entry = entries.get(name) if entries is not None and path else None
            if entry is None:
                found.append(self._value(path, letter, self.state(path)))
                continue
            mode, id = entry
            if letter == "v" and mode == b"100644":
                found.append(b"f" + id)
            else:
                found.append(self._value(path, letter, state_of(mode, id)))
        return found

    def _entries(self, folder: bytes) -> Entries | None:
        state = self._folder(folder)
        return self._objects.entries(state[1:]) if state[:1] == b"d" else None

    def _value(self, path: bytes, letter: str, state: bytes) -> bytes:
        kind = state[:1]
        if kind == b"d":
            if letter == "l":
                return b"l" + listing(self.names(path) or {})
            return b"w" + state[1:] if letter == "w" else b"d"
        if letter == "t" and kind in b"fx@s":
            return b"d" if kind == b"s" else kind
        return state


def state_of(mode: bytes, id: bytes) -> bytes:
    """The state that an entry of a tree gives its path."""
    if mode == FOLDER:
        return b"d" + id
    if mode == GITLINK:
        return b"s" + id
    if mode == LINK:
        return b"@" + id
    return (b"x" if int(mode, 8) & 0o100 else b"f") + id


def type_letter(mode: bytes) -> str:
    """The letter that a listing has for an entry's type; a submodule is a folder."""
    return "d" if mode in (FOLDER, GITLINK) else "l" if mode == LINK else "f"


def listing(names: Mapping[bytes, str]) -> bytes:
    """What a listing counts as."""
    import hashlib

    data = b"".join(name + b"\0" + names[name].encode() for name in sorted(names))
    return hashlib.sha1(data, usedforsecurity=False).digest()


def with_attributes(facts: Iterable[Fact], below: bytes = b"") -> list[Fact]:
    """Facts in their order with those about `.gitattributes` that they bring along; `below`: no farther up."""
    listed = list(facts)
    counting = {os.path.dirname(path) if letter == "v" else path for path, letter in listed if letter in "vw"}
    folders: set[bytes] = set()
    for folder in counting:
        while folder not in folders:
            folders.add(folder)
            if folder == below:
                break
            folder = os.path.dirname(folder)
    known = {path for path, letter in listed if letter == "v"}
    added = {folder + b"/" + ATTRIBUTES if folder else ATTRIBUTES for folder in folders} - known
    return [*listed, *((path, "v") for path in sorted(added))]


def strongest(facts: Iterable[Fact]) -> list[Fact]:
    """Each path once, with its strongest letter, sorted."""
    found: dict[bytes, str] = {}
    for path, letter in facts:
        if path not in found or STRENGTH[letter] > STRENGTH[found[path]]:
            found[path] = letter
    return sorted(found.items(), key=lambda fact: fact[0].split(b"/"))


def joined(facts: Iterable[Fact], objects: Objects, tree: bytes) -> list[Fact]:
    """The same with one `w` in place of all facts below a folder of which everything counts: it means just as much."""
    known = dict(strongest(facts))
    values = Values(objects, tree)
    whole: set[bytes] = set()
    for path in sorted((path for path, letter in known.items() if letter == "l"), key=_depth, reverse=True):
        state = values.state(path)
        if state.startswith(b"d") and all(
            known.get(below) == "v" if mode != FOLDER else below in whole
            for below, mode in _below(path, objects.entries(state[1:]))
        ):
            whole.add(path)
    kept = [(path, letter) for path, letter in known.items() if path not in whole and not _is_below(path, whole)]
    return strongest([*kept, *((path, "w") for path in whole if not _is_below(path, whole))])


def _below(path: bytes, entries: Mapping[bytes, tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    for name, (mode, _) in entries.items():
        yield path + b"/" + name if path else name, mode


def _depth(path: bytes) -> int:
    return path.count(b"/") + bool(path)


def _is_below(path: bytes, folders: set[bytes]) -> bool:
    """Whether one of some folders is above a path."""
    while path:
        path = os.path.dirname(path)
        if path in folders:
            return True
    return False
