# SPDX-License-Identifier: Apache-2.0
"""What the refs of a git repository resolve to, wherever they are kept: loose, or in `packed-refs` (git-pack-refs(1)).

A loose ref is a file with an id or `ref: NAME`; it goes before a line of `packed-refs`. A worktree of its own has a
folder with its HEAD and, in `commondir`, the way to the folder that has the refs (gitrepository-layout(5)).
"""

from __future__ import annotations

import os
import re
import stat

from pytrace_exec.observe.git_objects import Objects, UnknownObjects

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytrace_exec.observe.facts import View

_LOOSE = re.compile(rb"(?:ref:\s*(\S+)|((?:[0-9a-f]{40}|[0-9a-f]{64})))\s*")
_PACKED = re.compile(rb"([0-9a-f]{40}|[0-9a-f]{64}) (\S+)")
_PEELED = re.compile(rb"\^(?:[0-9a-f]{40}|[0-9a-f]{64})")
_DEEPEST = 5
"""How many refs may stand for one another (git resolves no more)."""

_PRIVATE = (b"refs/bisect/", b"refs/rewritten/", b"refs/worktree/")


class UnknownRefs(Exception):
    """A ref that is kept in another way: a symbolic link, a file that cannot be read."""


def common_folder(view: View, folder: bytes) -> bytes:
    """The folder that has the refs and objects of a repository's folder."""
    path = os.path.join(folder, b"commondir")
    if isinstance(view.lstat(path), str):
        return folder
    return os.path.normpath(os.path.join(folder, _read(view, path).rstrip(b"\n")))


def _read(view: View, path: bytes) -> bytes:
    digest = view.digest(path)
    data = view.data(path, digest)
    if data is None:
        raise UnknownRefs
    return data


class Refs:
    """The refs that a repository's folder sees, in a view."""

    def __init__(self, view: View, folder: bytes) -> None:
        self._view = view
        self._folder = folder
        self._common = common_folder(view, folder)
        self._packed = self._read_packed()
        self._objects: dict[int, Objects] = {}

    def _read_packed(self) -> dict[bytes, bytes]:
        path = os.path.join(self._common, b"packed-refs")
        found = self._view.lstat(path)
        if found == "ENOENT":
            return {}
        if isinstance(found, str) or not stat.S_ISREG(found.st_mode):
            raise UnknownRefs
        packed: dict[bytes, bytes] = {}
        for line in _read(self._view, path).splitlines():
            if (entry := _PACKED.fullmatch(line)) is not None:
                packed[entry[2]] = entry[1]
            elif not line.startswith(b"#") and not _PEELED.fullmatch(line):
                raise UnknownRefs
        return packed

    def raw(self, name: bytes) -> bytes:
        """What stands under a name: an id, `ref: NAME`, or nothing."""
        self._check_private(name)
        path = os.path.join(self._common if name.startswith(b"refs/") else self._folder, name)
        found = self._view.lstat(path)
        if found in ("ENOENT", "ENOTDIR") or (not isinstance(found, str) and stat.S_ISDIR(found.st_mode)):
            return self._packed.get(name, b"")
        if isinstance(found, str) or not stat.S_ISREG(found.st_mode):
            raise UnknownRefs
        data = _read(self._view, path)
        match = _LOOSE.fullmatch(data)
        if match is None:
            raise UnknownRefs
        return match[2] or b"ref: " + match[1]

    def id_of(self, name: bytes) -> bytes | None:
        """The id that a name resolves to in the end."""
        for _ in range(_DEEPEST):
            raw = self.raw(name)
            if not raw.startswith(b"ref: "):
                return bytes.fromhex(raw.decode()) if raw else None
            name = raw.removeprefix(b"ref: ")
        raise UnknownRefs

    def _check_private(self, name: bytes) -> None:
        """Refuse the refs that each worktree has for itself."""
        if self._folder != self._common and name.startswith(_PRIVATE):
            raise UnknownRefs

    def below(self, prefix: bytes) -> set[bytes]:
        """All names that begin with a prefix, which ends with a slash."""
        if self._folder != self._common and not isinstance(self._view.lstat(self._folder + b"/refs"), str):
            raise UnknownRefs
        names = {name for name in self._packed if name.startswith(prefix)}
        listed = self._view.names(os.path.join(self._common, prefix.rstrip(b"/")))
        for name, letter in () if isinstance(listed, str) else listed:
            if letter == "d":
                names |= self.below(prefix + name + b"/")
            elif letter != "f":
                raise UnknownRefs
            elif not name.endswith(b".lock"):
                names.add(prefix + name)
        return names

    def objects(self, identity: bytes) -> Objects:
        """The repository's objects with ids like this one."""
        if len(identity) not in self._objects:
            self._objects[len(identity)] = Objects(
                self._view, os.path.join(self._common, b"objects"), len(identity)
            )  # fmt: skip
        return self._objects[len(identity)]

    def line(self, name: bytes) -> bytes:
        """What a name leads to, step by step, and whether there is such an object."""
        steps, last = [name], name
        for _ in range(_DEEPEST):
            steps.append(raw := self.raw(last))
            if not raw.startswith(b"ref: "):
                break
            last = raw.removeprefix(b"ref: ")
        identity = self.id_of(name)
        there = identity is not None and self.objects(identity).has(identity)
        return b"\0".join([*steps, b"there" if there else b"not there"])


def meaning(view: View, folder: bytes, names: Iterable[bytes]) -> bytes | None:
    """What some names stand for, in canonical form; one that ends with a slash means all below it."""
    try:
        refs = Refs(view, folder)
        wanted: set[bytes] = set()
        for name in names:
            wanted |= refs.below(name) if name.endswith(b"/") else {name}
        return b"".join(refs.line(name) + b"\n" for name in sorted(wanted))
    except (UnknownRefs, UnknownObjects):
        return None


def abbreviation(view: View, folder: bytes, least: int) -> bytes | None:
    """All that decides how git abbreviates the id of HEAD (`Objects.abbreviation`)."""
    try:
        refs = Refs(view, folder)
        identity = refs.id_of(b"HEAD")
        return b"unborn" if identity is None else refs.objects(identity).abbreviation(identity, least)
    except (UnknownRefs, UnknownObjects):
        return None
