# SPDX-License-Identifier: Apache-2.0
"""Commits and trees of a repository, read with pygit2; no blob is ever asked for.

Libgit2 never fetches: an object that a shallow or partial clone does not have is missing, and whoever asked is told.
"""

from __future__ import annotations

import os
import re

import pygit2

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    Entries: TypeAlias = dict[bytes, tuple[bytes, bytes]]
    """Mode in octal digits and id (20 bytes) by name."""

FOLDER = b"40000"
LINK = b"120000"
GITLINK = b"160000"
# Each match takes exactly one entry of a tree, so that an id can never be taken for a name.
_ENTRY = re.compile(rb"([0-7]+) ([^\0]+)\0(.{20})", re.DOTALL)
# What libgit2 does not know of by itself, and what changes nothing about commits and trees.
_EXTENSIONS = ["partialclone", "relativeworktrees", "worktreeconfig"]


class GitTrouble(Exception):
    """Something about the repository keeps a decision from being made; the message says what, and what to do."""


class ObjectMissing(GitTrouble):
    """A commit or tree that a shallow or partial clone does not have."""

    def __init__(self, what: str, id: bytes) -> None:
        super().__init__(
            f"{what} {id.hex()[:12]} is not in this clone; fetch it (a clone needs commits and trees only)"
        )
        self.id = id


def open_repository(path: bytes) -> pygit2.Repository:
    """Open the repository that a path lies in, bare or not; raise `GitTrouble`."""
    pygit2.settings.set_extensions(_EXTENSIONS)
    # Only objects are read: whose they are matters as little as for `git --git-dir`, which CI users set safe anyway.
    pygit2.settings.owner_validation = False
    name = os.fsdecode(path)
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
            raise GitTrouble(f"{name} is a SHA-256 repository, which pygit2 cannot open: its jobs always run") from None
        raise GitTrouble(f"{name} cannot be opened as a git repository: {error}") from None


class Objects:
    """The commits and trees of one repository; each tree is read and taken apart once."""

    def __init__(self, repository: pygit2.Repository) -> None:
        self.repository = repository
        self._trees: dict[bytes, Entries] = {}

    def commit(self, revision: str) -> tuple[bytes, bytes]:
        """The commit that a revision means, and its tree; raise `GitTrouble`."""
        try:
            found = self.repository.revparse_single(revision).peel(pygit2.Commit)
        except (KeyError, ValueError, pygit2.GitError):
            raise GitTrouble(f"there is no commit {revision!r} in this clone; fetch it, or name another") from None
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

    def entries(self, tree: bytes) -> Entries:
        """What stands in a tree; raise `ObjectMissing`."""
        known = self._trees.get(tree)
        if known is None:
            try:
                _, data = self.repository.read(pygit2.Oid(raw=tree))
            except (KeyError, ValueError, pygit2.GitError):
                raise ObjectMissing("tree", tree) from None
            known = self._trees[tree] = {name: (mode, id) for mode, name, id in _ENTRY.findall(data)}
        return known

    def has_tree(self, tree: bytes) -> bool:
        """Whether a tree is there, without asking anybody for it."""
        try:
            self.entries(tree)
        except ObjectMissing:
            return False
        return True

    def branch(self) -> str:
        """The name of the branch that HEAD stands for; "" when it is detached or has no commit."""
        try:
            name = self.repository.lookup_reference("HEAD").target
        except (KeyError, ValueError, pygit2.GitError):
            return ""
        return name.removeprefix("refs/heads/") if isinstance(name, str) and name.startswith("refs/heads/") else ""
