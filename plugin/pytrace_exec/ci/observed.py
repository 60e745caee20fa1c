# SPDX-License-Identifier: Apache-2.0
"""From what a tracer saw of a job to what a record says: facts of the repository, and every reason not to record.

A fact of the repository is recorded only where the work tree was what the commit says: then the commit's tree tells its
value, at this commit and at any other.
"""

from __future__ import annotations

import os
import re
import stat

import attrs

from pytrace_exec.ci import git_facts
from pytrace_exec.ci.decision import submodule_objects
from pytrace_exec.ci.facts import Values, joined
from pytrace_exec.ci.objects import GitTrouble
from pytrace_exec.ci.runner import ABSENT, digest_of, digest_of_listed, digest_of_untracked
from pytrace_exec.ci.worktree import Worktree, blob_id, is_bytecode
from pytrace_exec.observe.mounts import other_places
from pytrace_exec.policy.git_commands import is_git
from pytrace_exec.policy.globs import Globs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from pytrace_cas.recorded.subjects import Subject
    from pytrace_exec.ci.facts import Fact
    from pytrace_exec.ci.library import LibraryObjects
    from pytrace_exec.miss import Traced

# Where DESIGN 5 refuses a replay only: nothing is put back here, and the runner is in the fingerprint.
_OF_REPLAY = frozenset({
    "clock", "wrote_outside", "machine", "device", "attributes", "owner", "special_file", "rename_ring",
    "absolute_times", "reader_gone", "exit_status", "network",
})  # fmt: skip
_ONLY_TYPE = frozenset({"access", "change", "error"})
_NOT_IN_GIT = frozenset({"fact", "identity", "order", "stream", "variable"})
# What lies below the folders of a process can be anything, the repository's files too.
_BY_PROCESS = re.compile(rb"/proc/[^/]+/(task/[^/]+/)?(cwd|root|fd/[0-9]+)/.|/dev/fd/[0-9]+/.", re.DOTALL)
_MACHINE = (b"/proc/", b"/sys/", b"/dev/", b"/run/")


@attrs.frozen
class Observed:
    """What a step depended on.

    `parts` name facts by the part's path; `trees` has commit and tree of each. `made`: paths that it left behind, as
    text; `files`: untracked inputs; `filtered`: digests of tracked files that hold something else than their blobs;
    `refused`: why it is not recorded, each with a code.
    """

    parts: dict[bytes, list[Fact]]
    trees: dict[bytes, tuple[bytes, bytes]]
    made: tuple[str, ...]
    files: dict[str, str]
    filtered: dict[str, str]
    outside: dict[str, str]
    head: bool
    refused: tuple[tuple[str, str], ...]


class Place:
    """One repository of the work tree: the main one, or a submodule whose objects are here."""

    def __init__(self, path: bytes, objects: LibraryObjects, commit: bytes, tree: bytes, top: bytes) -> None:
        self.path = path
        self.objects = objects
        self.commit = commit
        self.tree = tree
        self.values = Values(objects, tree)
        self.worktree = Worktree(objects, os.path.join(top, path) if path else top)
        self.facts: list[Fact] = []
        self.folder = objects.folder

    def name(self, inside: bytes) -> str:
        """A path of this repository as a record has it."""
        return os.fsdecode(self.path + b"/" + inside if self.path else inside)


class Observer:
    """Takes the observations of one traced step apart.

    `made`: what earlier steps of the job left behind; `allowed`: globs of untracked inputs; `history`: what git told of
    its history is vouched not to matter; `workspace`: the folder in which other repositories may lie, too.
    """

    def __init__(
        self,
        objects: LibraryObjects,
        commit: bytes,
        tree: bytes,
        top: bytes,
        made: Collection[str] = (),
        allowed: Collection[bytes] = (),
        history: bool = False,
        workspace: bytes | None = None,
    ) -> None:
        self._top = top
        self._main = Place(b"", objects, commit, tree, top)
        self._places: dict[bytes, Place] = {b"": self._main}
        self._made = {os.fsencode(path) for path in made}
        self._allowed = Globs(map(os.fsdecode, allowed))
        self._history = history
        self._workspace = None if workspace is None else workspace.rstrip(b"/") + b"/"
        self._branch = objects.branch()
        self._git_folders = self._main.worktree.git_folders()
        self._files: dict[str, str] = {}
        self._filtered: dict[str, str] = {}
        self._outside: dict[str, str] = {}
        self._refused: dict[tuple[str, str], None] = {}
        self._head = False
        self._mounted = other_places(top)
        self._linked: frozenset[tuple[int, int]] | None = None

    def conclude(self, traced: Traced) -> Observed:
        """Everything that the step depended on."""
        self._traced = traced
        self._outputs = {output.path for output in traced.seen.outputs}
        self._written = {reason.path for reason in traced.seen.reasons if reason.code == "wrote_outside"}
        for reason in traced.seen.reasons:
            if reason.code not in _OF_REPLAY and not self._is_elsewhere(reason.code, reason.path):
                self._refuse(reason.code, reason.message)
        for subject, value in traced.seen.values.items():
            if subject.kind not in _NOT_IN_GIT:
                for path in subject.paths:
                    self._take(subject, path, value)
        places = self._places.values()
        if self._head:
            self._filtered |= {place.name(b".git"): place.worktree.history() for place in places}
        return Observed(
            {place.path: joined(place.facts, place.objects, place.tree) for place in places},
            {place.path: (place.commit, place.tree) for place in places},
            tuple(sorted(os.fsdecode(path) for path in map(self._below_top, self._outputs) if path is not None)),
            dict(sorted(self._files.items())),
            dict(sorted(self._filtered.items())),
            self._outside,
            self._head,
            tuple(self._refused),
        )

    def _is_elsewhere(self, code: str, path: bytes | None) -> bool:
        """Whether a reason about an input concerns a file of the runner, which the fingerprint stands for."""
        if path is None or code not in ("input_changed", "input_too_new", "input_destroyed", "left_out", "many_links"):
            return False
        return (self._below_top(path) is None and not self._in_workspace(path)) or self._in_git(path) is not None

    def _in_workspace(self, path: bytes) -> bool:
        return self._workspace is not None and path.startswith(self._workspace)

    def _refuse(self, code: str, message: str) -> None:
        self._refused[code, message] = None

    def _below_top(self, path: bytes) -> bytes | None:
        if path == self._top:
            return b""
        top = self._top.rstrip(b"/") + b"/"
        return path[len(top) :] if path.startswith(top) else None

    def _in_git(self, path: bytes) -> bytes | None:
        """The path in one of git's own folders; None elsewhere."""
        for folder in self._git_folders:
            if path == folder:
                return b""
            if path.startswith(folder + b"/"):
                return path[len(folder) + 1 :]
        head, sign, rest = path.partition(b"/.git/")
        if sign and self._below_top(head) is not None:
            return rest
        return b"" if path.endswith(b"/.git") and self._below_top(path) is not None else None

    def _take(self, subject: Subject, path: bytes, value: bytes) -> None:
        inside = self._in_git(path)
        if inside is not None:
            self._of_git(subject, path, inside, value)
            return
        below = self._below_top(path)
        on_runner = below is None and not self._in_workspace(path)
        by_git = below is None and self._is_by_git(path)
        if git_facts.is_of_repository(subject, path, value, by_git) and not (on_runner and self._history):
            self._refuse_foreign(path, " (--allow-history vouches for it)" if on_runner else "")
        elif below is None:
            self._of_runner(subject, path, value)
        else:
            self._of_tree(subject, path, below, value)

    def _of_git(self, subject: Subject, place: bytes, path: bytes, value: bytes) -> None:
        meaning = git_facts.meaning_of(subject, path, value, self._branch, self._is_by_git(place))
        if self._history and meaning != git_facts.TREE:
            return
        if meaning in (git_facts.TREE, git_facts.HEAD) and not self._is_as_committed(place, path):
            self._refuse_foreign(place)
        elif meaning == git_facts.TREE:
            if self._main.worktree.index_is_clean():
                self._main.facts.append((b"", "w"))
            else:
                self._refuse("modified", "it read git's index, which is not what HEAD says")
        elif meaning == git_facts.HEAD:
            self._head = True
        elif meaning == git_facts.HISTORY:
            name = os.fsdecode(path) or ".git"
            self._refuse(
                "history", f"it read git's history, which no tree tells: {name} (--allow-history vouches for it)"
            )

    def _is_by_git(self, path: bytes) -> bool:
        """Whether nobody but git looked at a path."""
        lookers = self._traced.seen.run.lookers.get(path, ())
        return bool(lookers) and all(map(is_git, lookers))

    def _refuse_foreign(self, place: bytes, hint: str = "") -> None:
        name = os.fsdecode(place)
        told = f"it asked git about a repository that no gitlink of the commit tells of: {name}{hint}"
        self._refuse("submodule", told)

    def _is_as_committed(self, place: bytes, path: bytes) -> bool:
        """Whether git's files at a place are the repository's own, or a submodule's that is what its gitlink names."""
        own = any(place == folder or place.startswith(folder + b"/") for folder in self._git_folders)
        if own and not path.startswith(b"modules/"):
            return True
        for name in self._main.objects.repository.listall_submodules():
            found, _, known = self._place_of(os.fsencode(name), True)
            if known and found is not self._main and place.startswith(os.path.realpath(found.folder) + b"/"):
                return found.worktree.is_at(found.commit)
        return False

    def _of_runner(self, subject: Subject, path: bytes, value: bytes) -> None:
        if _BY_PROCESS.match(path):
            self._refuse("process_folder", f"it looked for a file by way of a process: {os.fsdecode(path)}")
        if path.startswith(_MACHINE) or path in self._outputs:
            return
        if any(path == place or path.startswith(place + b"/") for place in self._mounted):
            self._refuse("mount", f"it used the repository by way of another mount: {os.fsdecode(path)}")
        if self._in_workspace(path):
            self._of_workspace(subject, path)
        if subject.kind == "content" and self._is_also_tracked(path):
            self._refuse("many_links", f"it read a tracked file by a name outside the repository: {os.fsdecode(path)}")
        if subject.kind == "link" or (subject.kind == "content" and not subject.arg and b"/" in value):
            self._outside.setdefault(os.fsdecode(path), "")

    def _is_also_tracked(self, path: bytes) -> bool:
        """Whether a file outside the repository is a second name (hard link) of a tracked one."""
        try:
            found = os.lstat(path)
        except (OSError, ValueError):
            return False
        if found.st_nlink < 2 or not stat.S_ISREG(found.st_mode):
            return False
        if self._linked is None:
            self._linked = self._main.worktree.linked()
        return (found.st_dev, found.st_ino) in self._linked

    def _of_workspace(self, subject: Subject, path: bytes) -> None:
        """Have a file beside the repository count as an untracked input does: no runner has it from its image."""
        name = os.fsdecode(os.path.relpath(path, self._top))
        if self._top.startswith(path.rstrip(b"/") + b"/"):
            return  # a folder above
        if subject.kind == "listing":
            names = self._traced.earlier.names(path)
            self._files[name] = ABSENT if isinstance(names, str) else digest_of_listed(one for one, _ in names)
            return
        if path in self._written:
            self._of_written(subject, path, name)
            return
        digest = digest_of_untracked(os.fsdecode(path))
        # Tools look for their settings in every folder above.
        if digest != ABSENT or not self._top.startswith(os.path.dirname(path) + b"/"):
            self._files.setdefault(name, digest)

    def _of_written(self, subject: Subject, path: bytes, name: str) -> None:
        """The same of a file that it also wrote: only that it was not there can be told of it afterwards."""
        if subject.kind != "target" and path in self._traced.seen.run.exclusive:
            self._files.setdefault(name, ABSENT)
        elif subject.kind != "target":
            self._refuse("untracked", f"it changed an untracked input: {name}")

    def _of_tree(self, subject: Subject, path: bytes, below: bytes, value: bytes) -> None:
        place, inside, known = self._place_of(below, subject.kind == "listing")
        if not known:
            self._unknown_submodule(place, inside)
            return
        state = place.values.state(inside) if inside else b"d" + place.tree
        if subject.kind == "listing":
            self._listing(place, inside, path, below, state)
            return
        letter = "t" if subject.kind in _ONLY_TYPE else "v"
        if self._agrees(place, inside, path, state, letter):
            place.facts.append((inside, "t" if state[:1] in b"-/ds" else letter))
            self._look_in_vain(path, below, state)
        elif not self._is_own(subject, below, value):
            self._foreign(path, below, state)
        elif subject.kind == "target" and below not in self._made:
            place.facts.append((inside, "t"))  # it wrote over a plain file: a folder or a link there is another matter

    def _look_in_vain(self, path: bytes, below: bytes, state: bytes) -> None:
        """Have it count that an untracked input that would be taken was not there."""
        if state[:1] in b"-/>" and path not in self._outputs and self._is_allowed(os.fsdecode(below)):
            self._files.setdefault(os.fsdecode(below), ABSENT)

    def _unknown_submodule(self, place: Place, link: bytes) -> None:
        """A submodule whose commit is not here: its gitlink says nothing about files that lie there all the same."""
        at = place.path + b"/" + link if place.path else link
        names = self._traced.earlier.names(os.path.join(self._top, at))
        name = os.fsdecode(at)
        if names and not isinstance(names, str):
            self._refuse("submodule", f"{name}: this submodule is not at the commit that its gitlink names")
        self._filtered[name] = digest_of_listed(())
        place.facts.append((link, "v"))

    def _is_own(self, subject: Subject, below: bytes, value: bytes) -> bool:
        """Whether what lies beside the commit's files there is the job's own, or nothing that it could tell."""
        if subject.kind == "target" and value == b"plain":
            return True
        return below in self._made or is_bytecode(below) or any(below.startswith(path + b"/") for path in self._made)

    def _agrees(self, place: Place, inside: bytes, path: bytes, state: bytes, letter: str) -> bool:
        """Whether what was at a path before the run is what the tree says."""
        was = self._traced.earlier.lstat(path)
        kind = state[:1]
        if isinstance(was, str):
            if kind in b"-/>":
                return True
            return self._is_left_out(place, inside)
        if stat.S_ISDIR(was.st_mode):
            return kind in b"ds"
        if stat.S_ISLNK(was.st_mode):
            target = self._traced.earlier.readlink(path)
            return kind == b"@" and isinstance(target, bytes) and blob_id(target) == state[1:]
        if not stat.S_ISREG(was.st_mode) or kind not in b"fx":
            return False
        if (b"x" if was.st_mode & 0o100 else b"f") != kind:
            return False
        return letter == "t" or self._content(place, inside, path, state[1:])

    def _is_left_out(self, place: Place, inside: bytes) -> bool:
        """Whether the sparse checkout leaves out a tracked path, which counts: its patterns alone do not say so."""
        if not place.worktree.is_left_out(inside):
            return False
        self._filtered[place.name(inside)] = ABSENT
        return True

    def _content(self, place: Place, inside: bytes, path: bytes, id: bytes) -> bool:
        """Whether a file was what the tree says before the run, which may have changed it since."""
        if path not in self._outputs:
            if place.worktree.is_blob(inside, id):
                return True
            self._filtered[place.name(inside)] = digest_of(os.fsdecode(path))
            return place.worktree.is_clean(inside, id)
        try:
            data = place.objects.repository.get(id.hex()).data  # type: ignore[union-attr]
        except (KeyError, AttributeError):
            return False
        text = str(self._traced.earlier.live.function.of(data)).encode()
        told = [value for subject, value in self._traced.seen.values.items() if path in subject.paths]
        return any(text in value.split(b" ") for value in told)

    def _listing(self, place: Place, inside: bytes, path: bytes, below: bytes, state: bytes) -> None:
        names = self._traced.earlier.names(path)
        if isinstance(names, str) or state[:1] != b"d":
            if isinstance(names, str) and state[:1] in b"-/>":
                place.facts.append((inside, "t"))
                self._look_in_vain(path, below, state)
            elif isinstance(names, str) or below not in self._made:
                self._foreign(path, below, state)
                if not isinstance(names, str) and os.fsdecode(below) in self._files:
                    self._files[os.fsdecode(below)] = digest_of_listed(name for name, _ in names)
            return
        tracked = place.values.names(inside) or {}
        for name, letter in names:
            at = below + b"/" + name if below else name
            if tracked.get(name) != letter and not self._may_be_listed(name, at):
                self._foreign(path + b"/" + name, at, b"-")
        gone = tracked.keys() - {name for name, _ in names}
        for name in gone:
            at = below + b"/" + name if below else name
            if at not in self._made and not self._is_left_out(place, inside + b"/" + name if inside else name):
                self._refuse("modified", f"a tracked file was gone: {os.fsdecode(at)}")
        place.facts.append((inside, "l"))

    def _may_be_listed(self, name: bytes, below: bytes) -> bool:
        return name in (b".git", b"__pycache__") or below in self._made

    def _foreign(self, path: bytes, below: bytes, state: bytes) -> None:
        """Something that the commit does not say: an input by its digest if that is allowed, else a reason."""
        name = os.fsdecode(below)
        if self._is_allowed(name):
            if path in self._outputs:
                self._refuse("untracked", f"it changed an untracked input: {name}")
            self._files.setdefault(name, digest_of_untracked(os.fsdecode(path)))
        elif state[:1] in b"-/>":
            self._refuse("untracked", f"it used an untracked file: {name} (--allow-untracked takes it as an input)")
        else:
            self._refuse("modified", f"a tracked file was not as in the commit: {name}")

    def _is_allowed(self, name: str) -> bool:
        """Whether an untracked path, or a folder above it, is one of those that are taken as inputs."""
        while name and name not in self._allowed:
            name = os.path.dirname(name)
        return bool(name)

    def _place_of(self, below: bytes, itself: bool = False) -> tuple[Place, bytes, bool]:
        """The repository that a path lies in, the path there, and True; or a gitlink without objects, and False.

        `itself`: what is inside a submodule is meant where the path is its own.
        """
        place, inside = self._main, below
        while True:
            link = _gitlink_above(place, inside, itself)
            if link is None:
                return place, inside, True
            at = place.path + b"/" + link if place.path else link
            found = self._places.get(at) or self._enter(place, link, at)
            if found is None:
                return place, link, False
            place, inside = found, inside[len(link) + 1 :]

    def _enter(self, place: Place, link: bytes, at: bytes) -> Place | None:
        commit = place.values.state(link)[1:]
        objects = submodule_objects(place.objects, link)
        if objects is None:
            return None
        try:
            tree = objects.tree_of(commit)
        except GitTrouble:
            return None
        place.facts.append((link, "t"))
        self._places[at] = Place(at, objects, commit, tree, self._top)
        return self._places[at]


def _gitlink_above(place: Place, path: bytes, itself: bool) -> bytes | None:
    """The gitlink that a path leads through, or (`itself`) to, if any."""
    above = b""
    for name in path.split(b"/"):
        above = above + b"/" + name if above else name
        state = place.values.state(above)
        if state[:1] == b"s":
            return above if itself or above != path else None
        if state[:1] != b"d":
            return None
    return None
