# SPDX-License-Identifier: Apache-2.0
"""What a job read of git's own files, and what that means for a record.

Objects are what their ids say, settings belong to the runner. The index says what the tree says. HEAD and the branch
that it stands for tell which commit it is: such a record serves that commit and branch only. Other refs and logs can
change while the commit stays: nothing is recorded then. Nor is it when somebody else than git looks for files of refs,
or lists the folder that they lie in: the same refs can lie in one file or in many, and no commit tells which.
"""

from __future__ import annotations

import os
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_cas.recorded.subjects import Subject

NOTHING, TREE, HEAD, HISTORY = "nothing", "tree", "head", "history"

_OF_RUNNER = re.compile(
    rb"(|config|config\.worktree|commondir|gitdir|description|index\.lock|(info|objects|hooks|lfs|worktrees|modules)(/.*)?)",
    re.DOTALL,
)
# What tools look for in every folder, and git never puts into its own: pytest asks so whether it is an environment.
_OF_TOOLS = re.compile(rb"(conda-meta(/.*)?|[^/]*\.(cfg|ini|json|py|toml|ya?ml))", re.DOTALL)
_ABSENT = (b"ENOENT", b"ENOTDIR")
_MEANT = ("refs ", "short ", "index")
_TYPE_ONLY = frozenset({"access", "attribute", "change", "error", "link", "order", "status", "target"})
# Files that git keeps refs in, and what it notes of a fetch or a reset.
_OF_REFS = re.compile(rb"(packed-refs|refs|reftable|FETCH_HEAD|ORIG_HEAD)(/.*)?", re.DOTALL)
# Folders whose names tell which of these files there are.
_HOLDS_REFS = re.compile(rb"|(worktrees|modules)/.+", re.DOTALL)
# Where git looks for the name HEAD, to warn of one that is ambiguous: nobody calls a branch or tag so.
_HEADS = frozenset({
    b"HEAD", b"refs/HEAD", b"refs/tags/HEAD", b"refs/heads/HEAD", b"refs/remotes/HEAD", b"refs/remotes/HEAD/HEAD",
})  # fmt: skip
# What a submodule's folder below `modules` holds: where its own name, which can have slashes, ends.
_NAMES = (
    b"HEAD", b"refs", b"index", b"packed-refs", b"reftable", b"FETCH_HEAD", b"ORIG_HEAD", b"logs", b"objects",
    b"config",
)  # fmt: skip
_FOLDERS = frozenset({b"refs", b"refs/heads", b"refs/tags", b"refs/remotes", b"refs/replace", b"HEAD", b"index"})


def is_of_repository(subject: Subject, path: bytes, value: bytes, by_git: bool) -> bool:
    """Whether a fact tells what git said of a repository: by its meaning, or since git read a HEAD at `path`."""
    if subject.kind != "content":
        return False
    return subject.arg.startswith(_MEANT) or (by_git and path.endswith(b"/HEAD") and value not in _ABSENT)


def meaning_of(subject: Subject, path: bytes, value: bytes, branch: str, by_git: bool) -> str:
    """What a fact about a path below git's folder means; `path` is relative to that folder.

    `by_git`: nobody but git looked there.
    """
    path = _inside_of_worktree(path)
    named = b"refs/heads/" + os.fsencode(branch) if branch else b"HEAD"
    if subject.kind == "content" and subject.arg.startswith("refs "):
        names = bytes.fromhex(subject.arg.removeprefix("refs ")).split(b"\0")[:-1]
        return HEAD if all(name == named or _says_nothing_else(name) for name in names) else HISTORY
    if subject.kind == "content" and subject.arg.startswith("short "):
        return HISTORY
    if path == b"index.lock" and subject.kind == "content" and value not in _ABSENT:
        return HISTORY  # what is about to be committed, in a hook of git
    if not by_git and subject.kind == "listing" and _HOLDS_REFS.fullmatch(path) and value not in _ABSENT:
        return HISTORY
    if _OF_RUNNER.fullmatch(path) and not subject.arg.startswith("index"):
        return NOTHING
    if path == b"index" or subject.arg.startswith("index"):
        return TREE if subject.kind == "content" else NOTHING
    if subject.kind in _TYPE_ONLY and path in _FOLDERS:
        return NOTHING
    if not by_git and _OF_REFS.fullmatch(path):
        return HISTORY
    if path in (b"HEAD", named) or path.startswith(b"refs/replace"):
        return HEAD
    absent = value in _ABSENT
    if absent and path in _HEADS:
        return HEAD
    if absent and _OF_TOOLS.fullmatch(path):
        return NOTHING
    if absent and (path == b"packed-refs" or not path.startswith((b"refs/", b"logs/"))):
        return HEAD if path != b"packed-refs" else NOTHING
    return HISTORY


def _says_nothing_else(name: bytes) -> bool:
    """Whether no ref of that name tells more than HEAD: what is a folder everywhere is none."""
    return name in _HEADS or name in _FOLDERS or name.startswith(b"refs/replace/")


def _inside_of_worktree(path: bytes) -> bytes:
    """The path as it would be in the main worktree's folder, or a submodule's in its own."""
    parts = path.split(b"/")
    if parts[0] == b"worktrees" and len(parts) > 2:
        return b"/".join(parts[2:])
    if parts[0] == b"modules":
        for name in _NAMES:
            if name in parts[1:]:
                return b"/".join(parts[parts.index(name) :])
    return path
