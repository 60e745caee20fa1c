# SPDX-License-Identifier: Apache-2.0
"""Untracked inputs of a recorded run (a restored cache), held against the work tree that a job is to run in."""

from __future__ import annotations

import os

from pytrace_exec.ci.decision import submodule_objects
from pytrace_exec.ci.facts import Values
from pytrace_exec.ci.objects import FOLDER, GitTrouble
from pytrace_exec.ci.record import above
from pytrace_exec.ci.runner import NAMES, digest_of_names, digest_of_untracked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytrace_exec.ci.objects import Objects
    from pytrace_exec.ci.record import Part, Record


def differences(record: Record, worktree: bytes | None, objects: Objects, values: Values) -> Iterator[tuple[str, str]]:
    """Each untracked input that is not as it was, with what became of it; `worktree`: None where there is none.

    `values` are those of the commit that lies there, read from `objects`.
    """
    top = None if worktree is None else os.fsdecode(worktree)
    for path, digest in record.files.items():
        if top is None:
            yield path, "an untracked input, and there is no work tree here"
        elif (digest_of_names if digest.startswith(NAMES) else digest_of_untracked)(os.path.join(top, path)) != digest:
            yield path, "this untracked input is another or absent"
    for part in record.parts if record.untracked else ():
        yield from _come_in(part, record, worktree, objects, values)


def _come_in(
    part: Part, record: Record, worktree: bytes | None, objects: Objects, values: Values
) -> Iterator[tuple[str, str]]:
    """The same of untracked inputs that came into folders of one part; `values` are the repository's."""
    listed = [fact for fact in part.facts if fact[1] in "lw"]
    if not listed:
        return
    if worktree is None:
        name = os.fsdecode(os.path.join(part.path, listed[0][0]).rstrip(b"/")) or "."
        yield name, "untracked files in this folder, which it listed, are inputs, and there is no work tree here"
        return
    inside = _values_of(part, objects, values) if part.path else values
    if inside is None:
        if _names(os.path.join(worktree, part.path)):
            yield os.fsdecode(part.path), "which files are untracked in this submodule cannot be told: it is not here"
        return
    for folder, letter in listed:
        yield from _come(record, worktree, part.path, inside, folder, letter == "w")


def _values_of(part: Part, objects: Objects, values: Values) -> Values | None:
    """Values of a submodule's commit; None where that is not at hand."""
    state = values.state(part.path)
    found = submodule_objects(objects, part.path)
    try:
        # One in a submodule is at the commit that was recorded, or its part has changed anyway.
        commit = state[1:] if state[:1] == b"s" else part.commit
        return None if found is None else Values(found, found.tree_of(commit))
    except GitTrouble:
        return None


def _come(
    record: Record, worktree: bytes, part: bytes, values: Values, folder: bytes, whole: bool
) -> Iterator[tuple[str, str]]:
    """Names in a tracked folder that were not there, and would be inputs by the patterns; `whole`: below it, too."""
    tracked = values.entries(folder)
    place = os.path.join(part, folder).rstrip(b"/")
    for name in sorted(_names(os.path.join(worktree, place)) - tracked.keys()):
        path = os.fsdecode(os.path.join(place, name))
        if _is_input(path, record.untracked) and {path, *above(path)}.isdisjoint({*record.made, *record.files}):
            yield path, "an untracked input that was not there"
    for name, (mode, _) in tracked.items() if whole else ():
        if mode == FOLDER:
            yield from _come(record, worktree, part, values, folder + b"/" + name if folder else name, True)


def _names(folder: bytes) -> set[bytes]:
    try:
        return set(os.listdir(folder))
    except OSError:
        return set()


def _is_input(path: str, patterns: tuple[str, ...]) -> bool:
    """Whether a pattern matches a path, a folder above it, or something in it."""
    from pytrace_exec.policy.globs import Globs  # seldom asked

    globs = Globs(patterns)
    return any(one in globs for one in (path, *above(path))) or any(one.startswith(path + "/") for one in patterns)
