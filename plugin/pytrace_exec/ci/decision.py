# SPDX-License-Identifier: Apache-2.0
"""Whether a job could give another result at a commit than in a recorded run, and every reason why."""

from __future__ import annotations

import os

from pytrace_exec.ci.changed import changes, concerned
from pytrace_exec.ci.facts import Values
from pytrace_exec.ci.objects import GitTrouble, ObjectMissing, Objects
from pytrace_exec.ci.record import digests, groups_that_differ
from pytrace_exec.ci.runner import TEXT, digest_of_text, outside_digests

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytrace_exec.ci.changed import Changes
    from pytrace_exec.ci.facts import Fact
    from pytrace_exec.ci.library import LibraryObjects
    from pytrace_exec.ci.record import Part, Record, Step
    from pytrace_exec.ci.standing import Standing

SKEW = 300
"""Seconds that clocks of runners may differ: a record that is younger than now by more than that is not believed."""


class Reason:
    """One reason to run: a code, a sentence, and the path that it is about."""

    __slots__ = ("code", "message", "path")

    def __init__(self, code: str, message: str, path: bytes | None = None) -> None:
        self.code = code
        self.message = message
        self.path = path


class Subject:
    """What is asked about: a commit, and what is known around it.

    `head`: the branch that the job could read the name of, None when nobody knows; `worktree`: where untracked inputs
    lie, None for a bare repository; `standing`: the same, where the job is to run in it as it is; `step`: the one that
    is to run, None when nobody knows; `definition`: files of the repository that say what the job does.
    """

    def __init__(
        self,
        objects: Objects,
        commit: bytes,
        tree: bytes,
        fingerprint: Mapping[str, str],
        environ: Mapping[str, str],
        now: float,
        head: str | None = None,
        worktree: bytes | None = None,
        *,
        sparse: str | None = None,
        step: Step | None = None,
        definition: tuple[bytes, ...] = (),
        variables: tuple[str, ...] = (),
        outside: bool = False,
        max_age: float | None = None,
        standing: Standing | None = None,
    ) -> None:
        self.objects = objects
        self.commit = commit
        self.tree = tree
        self.fingerprint = fingerprint
        self.environ = environ
        self.now = now
        self.head = head
        self.worktree = worktree
        self.sparse = sparse
        self.step = step
        self.definition = definition
        self.variables = variables
        self.outside = outside
        self.max_age = max_age
        self.standing = standing


class Judge:
    """Holds records against one subject; trees are read once for all of them."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._values = Values(subject.objects, subject.tree)
        self._known: dict[tuple[bytes, tuple[Fact, ...]], tuple[bytes, bytes]] = {}
        self._changes: dict[tuple[bytes, bytes], Changes] = {}

    def reasons(self, record: Record) -> list[Reason]:
        """Every reason why the record does not allow the job to be skipped; none: it does."""
        try:
            found = [*self._around(record), *self._of_parts(record)]
            if not found and not record.project and not self._is_from_here(record):
                found = [
                    Reason("project", "it read no file of the repository, and may be another's: --project names each")
                ]
            if not found and self._subject.standing is not None:
                found = list(self._subject.standing.reasons(record))
            return found
        except GitTrouble as error:
            return [Reason("git", str(error))]

    def _is_from_here(self, record: Record) -> bool:
        """Whether something tells that the record is of this repository: its tree, or content that is the same."""
        values, objects = self._values, self._subject.objects
        return objects.has_tree(record.tree) or any(
            letter in "vw" and values.state(path)[:1] not in b"-/>" for path, letter in record.parts[0].facts
        )

    def _around(self, record: Record) -> Iterator[Reason]:
        """What counts beside the repository's content."""
        yield from self._of_age(record)
        yield from self._of_step(record)
        yield from self._of_runner(record)
        if record.head is not None and record.commit != self._subject.commit:
            yield Reason("commit", f"it read git's own HEAD, which was at {record.commit.hex()[:12]}", b".git/HEAD")
        elif record.head is not None and record.head != self._subject.head:
            yield Reason("commit", f"it read the branch's name, which was {record.head!r}", b".git/HEAD")
        if self._subject.sparse is not None and record.sparse != self._subject.sparse:
            yield Reason("sparse", "the checkout's sparse patterns are others")
        if record.files or record.untracked:
            from pytrace_exec.ci.untracked import differences  # few jobs have such inputs

            for path, what in differences(record, self._subject.worktree, self._subject.objects, self._values):
                yield Reason("untracked", f"{path}: {what}", os.fsencode(path))
        counted = {path for path, letter in record.parts[0].facts if letter in "vw"}
        for named in self._subject.definition:
            if self._values.state(named) != b"-" and counted.isdisjoint(_with_folders(named)):
                message = f"{os.fsdecode(named)}: it did not count this file, which says what the job does"
                yield Reason("definition", message, named)

    def _of_age(self, record: Record) -> Iterator[Reason]:
        age = self._subject.now - record.time
        limits = [limit for limit in (record.max_age, self._subject.max_age) if limit is not None]
        if limits and age > min(limits):
            yield Reason("age", f"it is {_duration(age)} old, and serves for {_duration(min(limits))}")
        elif limits and age < -SKEW:
            yield Reason("age", "it was recorded in the future: this clock or the recording runner's is wrong")

    def _of_step(self, record: Record) -> Iterator[Reason]:
        if self._subject.step is None:
            return
        asked = self._subject.step
        step = next((step for step in record.steps if step.name == asked.name), None)
        if step is None:
            yield Reason("step", f"it has no step {asked.name}" if asked.name else "it is of a job in several steps")
        elif step.command != asked.command:
            yield Reason("command", "the command is another")
        elif step.vouched != asked.vouched:
            yield Reason("command", "what is ignored or allowed for it is another")
        elif step.folder != asked.folder:
            yield Reason("command", f"it ran in {step.folder or 'the top folder'}")

    def _of_runner(self, record: Record) -> Iterator[Reason]:
        subject = self._subject
        now, then = dict(subject.fingerprint), record.fingerprint
        for name in sorted(now.keys() | then.keys()):
            if now.get(name) != then.get(name):
                what = "the fingerprint" if name == TEXT else f"the runner's {name}"
                yield Reason("fingerprint", f"{what} is {_quoted(now.get(name))}, was {_quoted(then.get(name))}")
        for name in sorted({*record.variables, *subject.variables}):
            if record.variables.get(name) != digest_of_text(name, subject.environ.get(name)):
                yield Reason("variable", f"the variable {name} {_changed(name, record, subject)}")
        if subject.outside and record.outside is None:
            yield Reason("outside", "it does not say which files outside the repository it used")
        for path, digest in outside_digests(record.outside or ()).items():
            if (record.outside or {})[path] != digest:
                yield Reason("outside", f"{path}: this file outside the repository is another", os.fsencode(path))

    def _of_parts(self, record: Record) -> Iterator[Reason]:
        accepted: set[bytes] = set()
        for part in record.parts:
            if any(part.path.startswith(path + b"/") for path in accepted):
                continue  # below a gitlink that is the same all is the same
            if part.path:
                yield from self._of_submodule(part, accepted)
            else:
                yield from self._of_part(part, self._subject.objects, self._values, self._subject.tree)

    def _of_submodule(self, part: Part, accepted: set[bytes]) -> Iterator[Reason]:
        state = self._values.state(part.path)
        if state == b"s" + part.commit:
            accepted.add(part.path)
            return
        name = os.fsdecode(part.path)
        if state[:1] != b"s":
            yield Reason("changed", f"{name}: the submodule is gone", part.path)
            return
        inside = submodule_objects(self._subject.objects, part.path)
        try:
            tree = inside.tree_of(state[1:]) if inside is not None else None
        except ObjectMissing:
            tree = None
        if inside is None or tree is None:
            old, new = part.commit.hex()[:12], state[1:].hex()[:12]
            yield Reason("submodule", f"{name}: the submodule went from {old} to {new}, which is not here", part.path)
            return
        yield from self._of_part(part, inside, Values(inside, tree), tree)

    def _of_part(self, part: Part, objects: Objects, values: Values, tree: bytes) -> Iterator[Reason]:
        if not part.path and part.tree == tree:
            return
        exact = self._exactly(part, objects, values, tree)
        if exact is not None:
            yield from exact
            return
        key = (part.path, part.facts)
        found = self._known.get(key)
        if found is None:
            values.read_ahead(part.facts)
            found = self._known[key] = digests(part.facts, values)
        if found[0] != part.digest:
            yield from _roughly(part, found[1])

    def _exactly(self, part: Part, objects: Objects, values: Values, tree: bytes) -> list[Reason] | None:
        """What changed since the recorded tree; None when that is not at hand."""
        key = (part.tree, tree)
        try:
            if not part.tree or not objects.has_tree(part.tree):
                return None
            if key not in self._changes:
                self._changes[key] = changes(objects, *key)
            before = Values(objects, part.tree)
            reasons = []
            for fact in concerned(part.facts, self._changes[key]):
                if before.value(fact) != values.value(fact):
                    reasons += _changes(part, fact, before, values, objects)
        except ObjectMissing:
            return None
        return reasons


def _with_folders(path: bytes) -> Iterator[bytes]:
    while path:
        yield path
        path = os.path.dirname(path)
    yield b""


def submodule_objects(objects: Objects, path: bytes) -> LibraryObjects | None:
    """The objects of the submodule at a path, if they are here: below the work tree or in git's own folder."""
    places = [os.path.join(objects.folder, b"modules", path)]
    if objects.workdir:
        places.insert(0, os.path.join(objects.workdir, path))
    for place in places:
        if os.path.lexists(os.path.join(place, b".git")) or os.path.isfile(os.path.join(place, b"HEAD")):
            from pytrace_exec.ci.library import LibraryObjects

            try:
                return LibraryObjects(place)
            except GitTrouble:
                continue
    return None


def _changes(part: Part, fact: Fact, before: Values, values: Values, objects: Objects) -> list[Reason]:
    path, letter = fact
    if letter == "w":
        changed = list(_changed_below(objects, path, before, values))
        if changed:
            return [Reason("changed", _sentence(part, below, "w", before, values), below) for below in changed]
    return [Reason("changed", _sentence(part, path, letter, before, values), _joined(part, path))]


def _changed_below(objects: Objects, path: bytes, before: Values, values: Values) -> Iterator[bytes]:
    """Every path below a folder that differs between two trees; only folders that differ are read."""
    old, new = before.state(path), values.state(path)
    if old == new:
        return
    if old[:1] == new[:1] == b"d":
        for name in sorted(objects.entries(old[1:]).keys() | objects.entries(new[1:]).keys()):
            yield from _changed_below(objects, path + b"/" + name if path else name, before, values)
    else:
        yield path


def _sentence(part: Part, path: bytes, letter: str, before: Values, values: Values) -> str:
    name = os.fsdecode(_joined(part, path)) or "the top folder"
    old, new = before.state(path), values.state(path)
    if letter == "l" and old[:1] == new[:1] == b"d":
        was, now = before.names(path) or {}, values.names(path) or {}
        come = [f"+{os.fsdecode(entry)}" for entry in sorted(now.keys() - was.keys())]
        gone = [f"-{os.fsdecode(entry)}" for entry in sorted(was.keys() - now.keys())]
        others = [f"~{os.fsdecode(entry)}" for entry in sorted(was.keys() & now.keys()) if was[entry] != now[entry]]
        return f"{name}: other names in this folder, which it listed ({' '.join([*come, *gone, *others][:6])})"
    if letter == "w" and old[:1] in b"-/":
        return f"{name}: there is one now, in a folder of which everything counts"
    return f"{name}: {_what_became(old, new)}"


_NAMES = {"d": "folder", "f": "file", "x": "executable file", "@": "symbolic link", "s": "submodule", ">": "link above"}


def _what_became(old: bytes, new: bytes) -> str:
    was, now = old[:1].decode(), new[:1].decode()
    if was in "-/" and now in "-/":
        return "what is above it is another"
    if was in "-/":
        return "there is one now, which was looked for in vain"
    if now in "-/":
        return "it is gone"
    if was == now:
        return {"@": "the link's target is another", "s": "the submodule is at another commit"}.get(was, "its content")
    if {was, now} == {"f", "x"}:
        return "its executable bit" if old[1:] == new[1:] else "its content and executable bit"
    return f"it is a {_NAMES.get(now, now)} now, was a {_NAMES.get(was, was)}"


def _roughly(part: Part, hints: bytes) -> list[Reason]:
    """The fewest paths among which those are that changed, when the recorded tree is not at hand."""
    reasons = []
    for group in groups_that_differ(part, hints):
        names = [os.fsdecode(_joined(part, path)) or "the top folder" for path, _ in group]
        many = f"one of these {len(names)}: " if len(names) > 1 else ""
        reasons.append(Reason("changed", f"{many}{', '.join(names)}", _joined(part, group[0][0])))
    return reasons or [Reason("changed", "something that it read changed")]


def _joined(part: Part, path: bytes) -> bytes:
    return part.path + b"/" + path if part.path and path else part.path or path


def _quoted(value: str | None) -> str:
    return "not known" if value is None else repr(value)


def _changed(name: str, record: Record, subject: Subject) -> str:
    if name not in record.variables:
        return "did not count then"
    return "has another value" if name in subject.environ else "is not set here"


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if abs(seconds) >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
