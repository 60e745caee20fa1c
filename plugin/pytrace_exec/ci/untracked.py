# SPDX-License-Identifier: Apache-2.0
"""Untracked inputs of a recorded run (a restored cache), held against the work tree that a job is to run in."""

from __future__ import annotations

import os

from pytrace_exec.ci.objects import FOLDER
from pytrace_exec.ci.record import above
from pytrace_exec.ci.runner import NAMES, digest_of_names, digest_of_untracked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytrace_exec.ci.facts import Values
    from pytrace_exec.ci.record import Record


def differences(record: Record, worktree: bytes | None, values: Values) -> Iterator[tuple[str, str]]:
    """Each untracked input that is not as it was, with what became of it; `worktree`: None where there is none.

    `values` are those of the commit that lies there.
    """
    top = None if worktree is None else os.fsdecode(worktree)
    for path, digest in record.files.items():
        if top is None:
            yield path, "an untracked input, and there is no work tree here"
        elif (digest_of_names if digest.startswith(NAMES) else digest_of_untracked)(os.path.join(top, path)) != digest:
            yield path, "this untracked input is another or absent"
    listed = [fact for fact in record.parts[0].facts if fact[1] in "lw"] if record.untracked else []
    if not listed:
        return
    if worktree is None:
        name = os.fsdecode(listed[0][0]) or "."
        yield name, "untracked files in this folder, which it listed, are inputs, and there is no work tree here"
        return
    for folder, letter in listed:
        yield from _come(record, worktree, values, folder, letter == "w")


def _come(record: Record, worktree: bytes, values: Values, folder: bytes, whole: bool) -> Iterator[tuple[str, str]]:
    """Names in a tracked folder that were not there, and would be inputs by the patterns; `whole`: below it, too."""
    tracked = values.entries(folder)
    try:
        names = set(os.listdir(os.path.join(worktree, folder)))
    except OSError:
        names = set()
    for name in sorted(names - tracked.keys()):
        path = os.fsdecode(folder + b"/" + name if folder else name)
        if _is_input(path, record.untracked) and {path, *above(path)}.isdisjoint({*record.made, *record.files}):
            yield path, "an untracked input that was not there"
    for name, (mode, _) in tracked.items() if whole else ():
        if mode == FOLDER:
            yield from _come(record, worktree, values, folder + b"/" + name if folder else name, True)


def _is_input(path: str, patterns: tuple[str, ...]) -> bool:
    """Whether a pattern matches a path, a folder above it, or something in it."""
    from pytrace_exec.policy.globs import Globs  # seldom asked

    globs = Globs(patterns)
    return any(one in globs for one in (path, *above(path))) or any(one.startswith(path + "/") for one in patterns)
