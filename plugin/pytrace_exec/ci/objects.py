# SPDX-License-Identifier: Apache-2.0
"""Commits and trees of a repository, however they are read; no blob is ever asked for, and nothing is fetched.

`program` reads them by git itself, which is there at once; `library` by pygit2, where git is not installed, and where
more is wanted than commits and trees.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeAlias

    Entries: TypeAlias = dict[bytes, tuple[bytes, bytes]]
    """Mode in octal digits and id (20 bytes) by name."""

FOLDER = b"40000"
LINK = b"120000"
GITLINK = b"160000"
# Each match takes exactly one entry of a tree, so that an id can never be taken for a name.
_ENTRY = re.compile(rb"([0-7]+) ([^\0]+)\0(.{20})", re.DOTALL)


class GitTrouble(Exception):
    """A repository or revision that cannot be read; the message says what, and what to do."""


class Sha256Repository(GitTrouble):
    """A repository whose ids are longer than pygit2 knows them."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is a SHA-256 repository, which pygit2 cannot open: its jobs always run")


class NoCommit(GitTrouble):
    """A revision that no commit of the clone has."""

    def __init__(self, revision: str) -> None:
        super().__init__(f"there is no commit {revision!r} in this clone; fetch it, or name another")


class ObjectMissing(GitTrouble):
    """A commit or tree that a shallow or partial clone does not have."""

    def __init__(self, what: str, id: bytes) -> None:
        super().__init__(
            f"{what} {id.hex()[:12]} is not in this clone; fetch it (a clone needs commits and trees only)"
        )
        self.id = id


class Objects:
    """The commits and trees of one repository; each tree is read and taken apart once. For one thread.

    `workdir` is the top of its work tree, None when it is bare; `folder` is git's own.
    """

    workdir: bytes | None
    folder: bytes

    def __init__(self) -> None:
        self._trees: dict[bytes, Entries] = {}
        self._missing: set[bytes] = set()

    def commit(self, revision: str) -> tuple[bytes, bytes]:
        """The commit that a revision means, and its tree; raise `GitTrouble`."""
        raise NotImplementedError

    def tree_of(self, commit: bytes) -> bytes:
        """The tree of a commit by its id; raise `ObjectMissing`."""
        raise NotImplementedError

    def message(self, commit: bytes) -> str:
        """The message of a commit that is there."""
        raise NotImplementedError

    def branch(self) -> str:
        """The name of the branch that HEAD stands for; "" when it is detached or has no commit."""
        raise NotImplementedError

    def read_ahead(self, trees: Iterable[bytes]) -> None:
        """Read trees that will be asked for, where several at once are cheaper than each by itself."""

    def _read(self, tree: bytes) -> bytes | None:
        """What a tree holds, as git keeps it; None when it is not there."""
        raise NotImplementedError

    def entries(self, tree: bytes) -> Entries:
        """What stands in a tree; raise `ObjectMissing`."""
        known = self._trees.get(tree)
        if known is None:
            data = self._read(tree) if tree not in self._missing else None
            if data is None:
                self._missing.add(tree)
                raise ObjectMissing("tree", tree)
            known = self._keep(tree, data)
        return known

    def _keep(self, tree: bytes, data: bytes) -> Entries:
        known = self._trees[tree] = {name: (mode, id) for mode, name, id in _ENTRY.findall(data)}
        return known

    def has_tree(self, tree: bytes) -> bool:
        """Whether a tree is there, without asking anybody for it."""
        try:
            self.entries(tree)
        except ObjectMissing:
            return False
        return True
