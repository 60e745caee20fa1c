# SPDX-License-Identifier: Apache-2.0
"""Commits and trees read with pygit2, and all else that is asked of a repository with a work tree.

Libgit2 never fetches: an object that a shallow or partial clone does not have is missing, and whoever asked is told.
"""

from __future__ import annotations

import os

import pygit2

from pytrace_exec.ci.objects import GitTrouble, NoCommit, ObjectMissing, Objects, Sha256Repository

# What libgit2 does not know of by itself, and what changes nothing about commits and trees.
_EXTENSIONS = ["partialclone", "relativeworktrees", "worktreeconfig"]


class LibraryObjects(Objects):
    """The repository that a path lies in, bare or not; raises `GitTrouble`."""

    def __init__(self, path: bytes) -> None:
        super().__init__()
        self.repository = _opened(os.fsdecode(path))
        workdir = self.repository.workdir
        self.workdir = os.fsencode(workdir) if workdir else None
        self.folder = os.fsencode(self.repository.path)

    def commit(self, revision: str) -> tuple[bytes, bytes]:
        """The commit that a revision means, and its tree; raise `GitTrouble`."""
        try:
            found = self.repository.revparse_single(revision).peel(pygit2.Commit)
        except (KeyError, ValueError, pygit2.GitError):
            raise NoCommit(revision) from None
        return found.id.raw, found.tree_id.raw

    def tree_of(self, commit: bytes) -> bytes:
        """The tree of a commit by its id; raise `ObjectMissing`."""
        found: object = self.repository.get(pygit2.Oid(raw=commit))
        if not isinstance(found, pygit2.Commit):
            raise ObjectMissing("commit", commit)
        return found.tree_id.raw

    def message(self, commit: bytes) -> str:
        """The message of a commit that is there."""
        found = self.repository.get(pygit2.Oid(raw=commit))
        return found.message if isinstance(found, pygit2.Commit) else ""

    def branch(self) -> str:
        """The name of the branch that HEAD stands for; "" when it is detached or has no commit."""
        try:
            name = self.repository.lookup_reference("HEAD").target
        except (KeyError, ValueError, pygit2.GitError):
            return ""
        return name.removeprefix("refs/heads/") if isinstance(name, str) and name.startswith("refs/heads/") else ""

    def _read(self, tree: bytes) -> bytes | None:
        try:
            return self.repository.read(pygit2.Oid(raw=tree))[1]
        except (KeyError, ValueError, pygit2.GitError):
            return None


def _opened(name: str) -> pygit2.Repository:
    pygit2.settings.set_extensions(_EXTENSIONS)
    # Only objects are read: whose they are matters as little as for `git --git-dir`, which CI users set safe anyway.
    pygit2.settings.owner_validation = False
    try:
        found = pygit2.discover_repository(name)
    except (pygit2.GitError, KeyError, ValueError):
        found = None
    if found is None:
        raise GitTrouble(f"{name} is in no git repository; --repo names one")
    try:
        return pygit2.Repository(found)
    except (pygit2.GitError, ValueError) as error:
        if "sha256" in str(error):
            raise Sha256Repository(name) from None
        raise GitTrouble(f"{name} cannot be opened as a git repository: {error}") from None
