# SPDX-License-Identifier: Apache-2.0
"""Files of a work tree as git knows them: the id that `git add` would give, with the repository's filters honoured."""

from __future__ import annotations

import hashlib
import os
import subprocess

import pygit2

from pytrace_exec.ci.objects import GitTrouble
from pytrace_exec.ci.runner import ABSENT, digest_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_exec.ci.library import LibraryObjects

_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n"


def blob_id(data: bytes) -> bytes:
    """The id of a blob with this content."""
    return hashlib.sha1(b"blob %d\0%s" % (len(data), data), usedforsecurity=False).digest()


def is_bytecode(path: bytes) -> bool:
    """Whether Python keeps what it compiled there: it holds it against its source."""
    return b"/__pycache__/" in b"/%s/" % path


class Worktree:
    """The work tree of a repository at `top` (absolute, without links)."""

    def __init__(self, objects: LibraryObjects, top: bytes) -> None:
        self._objects = objects
        self._repository = objects.repository
        self.top = top
        self._skipped: frozenset[bytes] | None = None

    def is_blob(self, path: bytes, id: bytes) -> bool:
        """Whether a file in the work tree holds just what the blob of that id does."""
        try:
            with open(os.path.join(self.top, path), "rb") as file:
                return blob_id(file.read()) == id
        except OSError:
            return False

    def is_clean(self, path: bytes, id: bytes) -> bool:
        """Whether a tracked file in the work tree is what the blob of that id gives, as far as git can tell."""
        try:
            with open(os.path.join(self.top, path), "rb") as file:
                data = file.read()
        except OSError:
            return False
        if blob_id(data) == id:
            return True
        return id in (self._filtered(path), self._by_program(path, data))

    def _filtered(self, path: bytes) -> bytes | None:
        """The id by the filters that libgit2 has: line endings, `ident`."""
        try:
            return self._repository.hashfile(os.fsdecode(os.path.join(self.top, path)), as_path=os.fsdecode(path)).raw
        except (pygit2.GitError, ValueError, KeyError, OSError):
            return None

    def _by_program(self, path: bytes, data: bytes) -> bytes | None:
        """The id by a filter that is a program: a pointer of LFS, else what git itself says."""
        try:
            named = self._repository.get_attr(os.fsdecode(path), "filter")
        except (pygit2.GitError, ValueError, KeyError):
            return None
        if named == "lfs":
            return blob_id(_POINTER % (hashlib.sha256(data).hexdigest().encode(), len(data)))
        if not isinstance(named, str):
            return None
        command = [b"git", b"-C", self.top, b"hash-object", b"--path=" + path, b"--", os.path.join(self.top, path)]
        try:
            done = subprocess.run(command, capture_output=True, check=True, timeout=60)
            return bytes.fromhex(done.stdout.decode().strip())
        except (OSError, ValueError, subprocess.SubprocessError):
            return None

    def index_is_clean(self) -> bool:
        """Whether the index says what HEAD's tree says."""
        try:
            return len(self._repository.diff("HEAD", cached=True)) == 0
        except (pygit2.GitError, KeyError, ValueError):
            return False

    def is_at(self, commit: bytes) -> bool:
        """Whether HEAD and the index are at a commit."""
        try:
            return self._objects.commit("HEAD")[0] == commit and self.index_is_clean()
        except GitTrouble:
            return False

    def history(self) -> str:
        """Digest of what has the same commit tell another history: where a shallow clone ends, and what replaces it."""
        found = {digest_of(os.fsdecode(os.path.join(folder, name)))
                 for folder in self.git_folders() for name in (b"shallow", b"info/grafts")} - {ABSENT}  # fmt: skip
        for name in self._repository.raw_listall_references():
            if name.startswith(b"refs/replace/"):
                found.add(f"{name!r} {self._repository.lookup_reference(os.fsdecode(name)).target}")
        return hashlib.sha256("\n".join(sorted(found)).encode()).hexdigest()

    def linked(self) -> frozenset[tuple[int, int]]:
        """Device and number of each tracked file that has several names."""
        found = set()
        for entry in self._repository.index:
            try:
                status = os.lstat(os.path.join(self.top, os.fsencode(entry.path)))
            except OSError:
                continue
            if status.st_nlink > 1:
                found.add((status.st_dev, status.st_ino))
        return frozenset(found)

    def superproject(self) -> bytes | None:
        """The work tree of which this one is a submodule."""
        above, sign, _ = os.path.realpath(os.fsencode(self._repository.path)).partition(b"/.git/modules/")
        return above if sign and self.top.startswith(above + b"/") else None

    def is_left_out(self, path: bytes) -> bool:
        """Whether the sparse checkout leaves out a tracked path: a file, or a folder with all below."""
        if self._skipped is None:
            self._skipped = frozenset(self._left_out()) if self.sparse() else frozenset()
        return path in self._skipped

    def _left_out(self) -> set[bytes]:
        """Files with their flag in the index, and the folders above them of which nothing is in the work tree."""
        listed = [b"git", b"-C", self.top, b"ls-files", b"-t", b"-z"]
        done = subprocess.run(listed, capture_output=True, check=True, timeout=600)
        rows = [(row[:1], row[2:]) for row in done.stdout.split(b"\0") if row]
        skipped, there = set[bytes](), set[bytes]()
        for tag, path in rows:
            into = skipped if tag == b"S" else there
            into.add(path)
            while (path := os.path.dirname(path)) and path not in into:
                into.add(path)
        return skipped - there

    def sparse(self) -> str:
        """Digest of the sparse checkout's patterns; "" when there is none."""
        try:
            on = self._repository.config.get_bool("core.sparseCheckout")
        except (KeyError, ValueError, pygit2.GitError):
            return ""
        if not on:
            return ""
        try:
            with open(os.path.join(os.fsencode(self._repository.path), b"info", b"sparse-checkout"), "rb") as file:
                return hashlib.sha256(file.read()).hexdigest()
        except OSError:
            return ""

    def git_folders(self) -> tuple[bytes, ...]:
        """Where git keeps what is no file of the work tree: absolute paths without links."""
        own = os.path.realpath(os.fsencode(self._repository.path))
        found = {os.path.join(self.top, b".git"), own}
        try:
            with open(os.path.join(own, b"commondir"), "rb") as file:
                found.add(os.path.realpath(os.path.join(own, file.read().strip())))
        except OSError:
            pass  # no second worktree
        return tuple(sorted(found, key=len, reverse=True))
