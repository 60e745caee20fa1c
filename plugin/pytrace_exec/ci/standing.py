# SPDX-License-Identifier: Apache-2.0
"""Whether a work tree is as its commit says where a job looked: what is not committed decides there as well."""

from __future__ import annotations

import os
import stat

from pytrace_exec.ci.decision import Reason, submodule_objects
from pytrace_exec.ci.facts import Values
from pytrace_exec.ci.objects import FOLDER, GITLINK
from pytrace_exec.ci.record import above
from pytrace_exec.ci.runner import ABSENT, digest_of, digest_of_left, digest_of_names
from pytrace_exec.ci.worktree import Worktree, blob_id, is_bytecode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytrace_exec.ci.facts import Fact
    from pytrace_exec.ci.library import LibraryObjects
    from pytrace_exec.ci.record import Part, Record


class Standing:
    """The work tree at `top`, which is to hold the tree `tree`."""

    def __init__(self, objects: LibraryObjects, tree: bytes, top: bytes) -> None:
        self._objects = objects
        self._values = Values(objects, tree)
        self._top = top
        self._found: dict[str, str] = {}

    def reasons(self, record: Record) -> Iterator[Reason]:
        """Each path that the recorded run looked at and that is not as the commit says; raise `GitTrouble`."""
        for part in record.parts:
            objects, values = self._objects, self._values
            if part.path:
                found = submodule_objects(objects, part.path)
                if found is None:
                    yield _reason(part.path, "this submodule, which it used, is not checked out here")
                    continue
                state = values.state(part.path)
                commit = state[1:] if state[:1] == b"s" else part.commit
                objects = found
                values = Values(found, found.tree_of(commit))
                if not Worktree(objects, os.path.join(self._top, part.path)).is_at(commit):
                    yield _reason(part.path, "this submodule is not at the commit that its gitlink names")
            top = os.path.join(self._top, part.path) if part.path else self._top
            yield from _Place(part, values, Worktree(objects, top), self._is_own, record).reasons()

    def _is_own(self, record: Record, name: str) -> bool:
        """Whether an untracked path is held by its digest, or lies there as the recorded run left it."""
        paths = (name, *above(name))
        if not record.files.keys().isdisjoint(paths):
            return True
        return any(self._left(path) == record.made[path] for path in paths if path in record.made)

    def _left(self, path: str) -> str:
        if path not in self._found:
            self._found[path] = digest_of_left(os.path.join(os.fsdecode(self._top), path))
        return self._found[path]


class _Place:
    """One repository of the work tree; `own`: whether an untracked path is the record's own, or held by its digest."""

    def __init__(
        self, part: Part, values: Values, worktree: Worktree, own: Callable[[Record, str], bool], record: Record
    ) -> None:
        self._part = part
        self._values = values
        self._worktree = worktree
        self._own = own
        self._record = record

    def reasons(self) -> Iterator[Reason]:
        if (b"", "w") in self._part.facts and not self._worktree.index_is_clean():
            yield _reason(self._joined(b".git/index"), "it is not what HEAD says")
        then = self._then(b".git")
        if then is not None and then != self._worktree.history():
            yield _reason(self._joined(b".git"), "its history ends elsewhere (a shallow clone), or is replaced")
        for path, letter in self._part.facts:
            for at, one in self._whole(path) if letter == "w" else ((path, letter),):
                yield from self._of(at, one)

    def _whole(self, path: bytes) -> Iterator[Fact]:
        """Everything that a folder stands for of which everything counts."""
        yield path, "l"
        state = self._values.state(path)
        for name, (mode, _) in self._values.entries(path).items() if state[:1] == b"d" else ():
            below = path + b"/" + name if path else name
            if mode == FOLDER:
                yield from self._whole(below)
            elif mode != GITLINK:
                yield below, "v"

    def _of(self, path: bytes, letter: str) -> Iterator[Reason]:
        state = self._values.state(path) if path else b"d"
        if not self._agrees(path, letter, state):
            told = "an untracked file" if state[:1] in b"-/>" else "not as in the commit, or checked out in another way"
            yield _reason(self._joined(path), f"{told}, in the work tree")
        elif letter == "l" and state[:1] == b"d":
            yield from self._of_names(path)

    def _agrees(self, path: bytes, letter: str, state: bytes) -> bool:
        kind, place = state[:1], os.path.join(self._worktree.top, path)
        try:
            found = os.lstat(place)
        except (OSError, ValueError):
            return kind in b"-/>" or self._then(path) == ABSENT
        if self._then(path) == ABSENT:
            return False
        if kind in b"-/>":
            return self._is_own(path)
        if stat.S_ISDIR(found.st_mode):
            return kind == b"d" or (kind == b"s" and self._is_there_as_recorded(path, place))
        if stat.S_ISLNK(found.st_mode):
            return kind == b"@" and blob_id(os.readlink(place)) == state[1:]
        if not stat.S_ISREG(found.st_mode) or kind != (b"x" if found.st_mode & 0o100 else b"f"):
            return False
        return letter == "t" or self._is_as_recorded(path, place, state[1:])

    def _is_there_as_recorded(self, path: bytes, place: bytes) -> bool:
        """Whether a submodule that was not checked out then is not now."""
        then = self._then(path)
        return then is None or digest_of_names(os.fsdecode(place)) == then

    def _is_as_recorded(self, path: bytes, place: bytes, id: bytes) -> bool:
        """Whether a file of that blob is checked out as it was then: line endings and LFS are the runner's."""
        then = self._then(path)
        if then is None:
            return self._worktree.is_blob(path, id)
        return digest_of(os.fsdecode(place)) == then and self._worktree.is_clean(path, id)

    def _of_names(self, path: bytes) -> Iterator[Reason]:
        tracked = self._values.names(path) or {}
        names = _names(os.path.join(self._worktree.top, path))
        for name in sorted(names.keys() | tracked.keys()):
            below = path + b"/" + name if path else name
            left_out = self._then(below) == ABSENT
            if name not in tracked:
                if name not in (b".git", b"__pycache__") and not self._is_own(below):
                    yield _reason(self._joined(below), "an untracked file in a folder that it listed")
            elif name not in names and not left_out:
                yield _reason(self._joined(below), "it is gone from the work tree")
            elif name in names and (left_out or names[name] != tracked[name]):
                yield _reason(self._joined(below), "not as in the commit, or not left out any more, in the work tree")

    def _is_own(self, path: bytes) -> bool:
        return is_bytecode(path) or self._own(self._record, os.fsdecode(self._joined(path)))

    def _then(self, path: bytes) -> str | None:
        """What the record says of a tracked path that was checked out in another way than its blob, or not at all."""
        return self._record.filtered.get(os.fsdecode(self._joined(path)))

    def _joined(self, path: bytes) -> bytes:
        return self._part.path + b"/" + path if self._part.path and path else self._part.path or path


def _names(folder: bytes) -> dict[bytes, str]:
    """Names in a folder with a letter for the type of each, as a tree has them (`o`: none that it can have)."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name: "l" if entry.is_symlink() else "d" if entry.is_dir(follow_symlinks=False)
                    else "f" if entry.is_file(follow_symlinks=False) else "o" for entry in entries}  # fmt: skip
    except OSError:
        return {}


def _reason(path: bytes, what: str) -> Reason:
    return Reason("worktree", f"{os.fsdecode(path)}: {what}", path)
