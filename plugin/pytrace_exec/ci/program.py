# SPDX-License-Identifier: Apache-2.0
"""Commits and trees read by one `git cat-file --batch`: loading pygit2 takes longer than a whole check by git.

Git is kept from fetching what a partial clone does not have. Where it dies of that it is started again.
"""

from __future__ import annotations

import os

from pytrace_exec.ci.objects import NoCommit, ObjectMissing, Objects, Sha256Repository

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import BinaryIO, TypeAlias

    Answer: TypeAlias = tuple[bytes, bytes, bytes]
    """Id in hexadecimal digits, type and content of an object."""

# Objects are read as their ids say, from the place that was named, and whoever owns them.
_GIT = (b"git", b"-c", b"safe.directory=*", b"-c", b"safe.bareRepository=all")
_DROPPED = frozenset({
    b"GIT_DIR", b"GIT_WORK_TREE", b"GIT_COMMON_DIR", b"GIT_INDEX_FILE", b"GIT_OBJECT_DIRECTORY", b"GIT_NAMESPACE",
    b"GIT_ALTERNATE_OBJECT_DIRECTORIES", b"GIT_GRAFT_FILE", b"GIT_SHALLOW_FILE", b"GIT_REPLACE_REF_BASE",
})  # fmt: skip
# The second is known since git 2.45. Before, no protocol is left to whoever would fetch.
_ADDED = {b"GIT_ALLOW_PROTOCOL": b"", b"GIT_NO_LAZY_FETCH": b"1", b"GIT_NO_REPLACE_OBJECTS": b"1"}
_AT_ONCE = 200
"""Questions that are asked before the answers are read: they fit into a pipe, so that neither side waits for ever."""


class NotByProgram(Exception):
    """Git is not installed, or does not open this repository; pygit2 may, and says why not."""


class ProgramObjects(Objects):
    """The repository that a path lies in, bare or not; raises `NotByProgram`. `close` ends git."""

    def __init__(self, path: bytes) -> None:
        super().__init__()
        self._path = path
        self._child: _Child | None = None
        self._commits: dict[bytes, Answer] = {}
        try:
            self._child = self._started("cat-file", "--batch")
            self._telling = self._started(
                "rev-parse", "--absolute-git-dir", "--symbolic-full-name", "HEAD", "--show-toplevel"
            )
        except (OSError, AttributeError):  # no git, or a system without posix_spawn
            self.close()
            raise NotByProgram from None

    def settle(self) -> None:
        """Wait until git has said where the repository is; raise `NotByProgram`. To be called before all else."""
        lines = self._telling.rest().split(b"\n")[:-1]
        if not 2 <= len(lines) <= 3 or not os.path.isabs(lines[0]):
            self.close()
            raise NotByProgram
        self.folder, self._head = lines[:2]
        self.workdir = lines[2] if len(lines) == 3 else None

    def commit(self, revision: str) -> tuple[bytes, bytes]:
        """The commit that a revision means, and its tree; raise `GitTrouble`."""
        name = os.fsencode(revision)
        found = self._ask([name + b"^{commit}"])[0] if name and b"\n" not in name and b"\0" not in name else None
        if found is None:
            raise NoCommit(revision)
        if len(found[0]) != 40:
            raise Sha256Repository(os.fsdecode(self._path))
        id = bytes.fromhex(found[0].decode())
        self._commits[id] = found
        return id, self._tree_in(found)

    def tree_of(self, commit: bytes) -> bytes:
        """The tree of a commit by its id; raise `ObjectMissing`."""
        return self._tree_in(self._commit(commit))

    def message(self, commit: bytes) -> str:
        """The message of a commit that is there."""
        return self._commit(commit)[2].partition(b"\n\n")[2].decode("utf-8", "replace")

    def branch(self) -> str:
        """The name of the branch that HEAD stands for; "" when it is detached or has no commit."""
        return os.fsdecode(self._head.removeprefix(b"refs/heads/")) if self._head.startswith(b"refs/heads/") else ""

    def read_ahead(self, trees: Iterable[bytes]) -> None:
        """Read many trees in one go; one that is missing is found out by whoever needs it."""
        wanted = [tree for tree in dict.fromkeys(trees) if tree not in self._trees and tree not in self._missing]
        found = self._ask([tree.hex().encode() for tree in wanted])
        for tree, answer in zip(wanted, found, strict=True):
            if answer is not None and answer[1] == b"tree":
                self._keep(tree, answer[2])

    def close(self) -> None:
        """End git."""
        if self._child is not None:
            self._child.close()
            self._child = None

    def _commit(self, id: bytes) -> Answer:
        found = self._commits.get(id) or self._ask([id.hex().encode()])[0]
        if found is None or found[1] != b"commit":
            raise ObjectMissing("commit", id)
        self._commits[id] = found
        return found

    def _tree_in(self, commit: Answer) -> bytes:
        return bytes.fromhex(commit[2][5:45].decode())  # "tree ID", always its first line

    def _read(self, tree: bytes) -> bytes | None:
        found = self._ask([tree.hex().encode()])[0]
        return found[2] if found is not None and found[1] == b"tree" else None

    def _ask(self, names: Sequence[bytes]) -> list[Answer | None]:
        """What stands under each name; None for what is not there, and for all after which git died."""
        found: list[Answer | None] = []
        for begin in range(0, len(names), _AT_ONCE):
            some = names[begin : begin + _AT_ONCE]
            if self._child is None:
                self._child = self._started("cat-file", "--batch")
            try:
                self._child.write(b"\n".join([*some, b""]))
                found += [self._child.answer() for _ in some]
            except (OSError, EOFError):
                self.close()
                break
        return found + [None] * (len(names) - len(found))

    def _started(self, *words: str) -> _Child:
        environ = {name: value for name, value in os.environb.items() if name not in _DROPPED}
        return _Child([*_GIT, b"-C", self._path, *map(os.fsencode, words)], {**environ, **_ADDED})


class _Child:
    """A program with pipes to its standard input and from its output; raises `OSError` when it is not there."""

    def __init__(self, argv: list[bytes], environ: dict[bytes, bytes]) -> None:
        theirs, write = os.pipe()
        read, out = os.pipe()
        actions = [(os.POSIX_SPAWN_DUP2, theirs, 0), (os.POSIX_SPAWN_DUP2, out, 1),
                   (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)]  # fmt: skip
        self._input = write
        self._output: BinaryIO = os.fdopen(read, "rb")
        try:
            self._pid = os.posix_spawnp(argv[0], argv, environ, file_actions=actions)
        except OSError:
            self._output.close()
            os.close(write)
            raise
        finally:
            os.close(theirs)
            os.close(out)

    def write(self, data: bytes) -> None:
        """Write all of something that fits into a pipe."""
        while data:
            data = data[os.write(self._input, data) :]

    def answer(self) -> Answer | None:
        """The next answer of `cat-file --batch`; raise `EOFError` when there is none."""
        line = self._output.readline()
        if not line.endswith(b"\n"):
            raise EOFError
        words = line.split()
        if len(words) != 3 or not words[2].isdigit():
            return None
        size = int(words[2])
        data = self._output.read(size + 1)
        if len(data) != size + 1:
            raise EOFError
        return words[0], words[1], data[:-1]

    def rest(self) -> bytes:
        """All that it writes until it ends."""
        try:
            return self._output.read()
        finally:
            self.close()

    def close(self) -> None:
        """Close its input, upon which it ends."""
        os.close(self._input)
        self._output.close()
        os.waitpid(self._pid, 0)
