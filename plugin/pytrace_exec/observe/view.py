# SPDX-License-Identifier: Apache-2.0
"""The file tree as it is now, asked in the words of `facts.View`; each path is asked at most once."""

from __future__ import annotations

import errno
import os
import stat

from pytrace_cas.recorded.bytecode import Bytecode, split

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from pytrace_cas.digest import DigestFunction
    from pytrace_exec.observe.digest_cache import DigestCache
    from pytrace_exec.observe.facts import Lookup

    _Answer = TypeVar("_Answer")

_LETTERS = {stat.S_IFREG: "f", stat.S_IFDIR: "d", stat.S_IFLNK: "l"}
_CHUNK = 1 << 20


def error_name(error: OSError) -> str:
    """Name of an error, `ENOENT`."""
    return errno.errorcode.get(error.errno or 0, f"E{error.errno}")


def answer(question: Callable[[bytes], _Answer], path: bytes) -> _Answer | str:
    """What the disk answers about a path, or the error's name."""
    try:
        return question(path)
    except OSError as error:
        return error_name(error)


def type_letter(mode: int) -> str:
    """Letter that stands for a type in a listing: f, d, l, or o for all others."""
    return _LETTERS.get(stat.S_IFMT(mode), "o")


def identity_of(found: os.stat_result) -> tuple[int, int, int, int, int]:
    """What tells two states of a file apart without reading it: device, inode, size, mtime and ctime (ns)."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def open_quietly(path: bytes) -> int:
    """Open for reading, without waiting, and without moving the time of access where that is allowed."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    try:
        return os.open(path, flags | os.O_NOATIME)
    except PermissionError:
        return os.open(path, flags)


def hash_file(path: bytes, function: DigestFunction) -> tuple[str, os.stat_result | None]:
    """Digest of a file's content as `HASH/SIZE`, with its status then; an error's name and None otherwise.

    A file that changes while it is read gives `ECHANGED`.
    """
    try:
        fd = open_quietly(path)
    except OSError as error:
        return error_name(error), None
    try:
        before = os.fstat(fd)
        state, size = function.new(), 0
        room = memoryview(bytearray(min(before.st_size + 4096, _CHUNK)))
        while read := os.readv(fd, [room]):
            state.update(room[:read])
            size += read
        after = os.fstat(fd)
    except OSError as error:
        return error_name(error), None
    finally:
        os.close(fd)
    if identity_of(before) != identity_of(after) or size != after.st_size:
        return "ECHANGED", None
    return f"{state.hexdigest()}/{size}", after


def is_staging(name: bytes) -> bool:
    """Whether a name is that of a folder in which a replay prepares its files; it is no part of any tree."""
    return name.startswith(b".pytrace-")


class LiveView:
    """The tree as it is. Answers are kept for the view's life: make a new one for a new moment.

    `digests` holds the digest of every file that was hashed or found in the digest cache, by the status it had.
    """

    def __init__(self, function: DigestFunction, cache: DigestCache | None = None) -> None:
        self.function = function
        self.digests: dict[bytes, tuple[os.stat_result, str]] = {}
        self._cache = cache
        self._codes: dict[str, Bytecode] = {}
        self._stats: dict[bytes, Lookup] = {}
        self._lstats: dict[bytes, Lookup] = {}

    def stat(self, path: bytes) -> Lookup:
        """Status of what the path leads to, or the error's name."""
        found = self._stats.get(path)
        if found is None:
            found = self._stats[path] = answer(os.stat, path)
        return found

    def lstat(self, path: bytes) -> Lookup:
        """Status of the path itself, or the error's name."""
        found = self._lstats.get(path)
        if found is None:
            found = self._lstats[path] = answer(os.lstat, path)
        return found

    def newest(self) -> int:
        """The latest modification time (ns) of the regular files that were asked for."""
        stats = (found for found in self._stats.values() if not isinstance(found, str))
        return max((found.st_mtime_ns for found in stats if stat.S_ISREG(found.st_mode)), default=0)

    def readlink(self, path: bytes) -> bytes | str:
        """Target of a link, or the error's name."""
        return answer(os.readlink, path)

    def names(self, path: bytes) -> list[tuple[bytes, str]] | str:
        """Names and type letters of a directory, in no order, or the error's name."""
        try:
            with os.scandir(path) as entries:
                return [(entry.name, _entry_letter(entry)) for entry in entries if not is_staging(entry.name)]
        except OSError as error:
            return error_name(error)

    def digest(self, path: bytes) -> str:
        """Digest of a regular file as `HASH/SIZE`, or the error's name."""
        found = self.stat(path)
        if isinstance(found, str):
            return found
        kept = self.digests.get(path)
        if kept is not None:
            return kept[1]
        digest = self._cache.find(found) if self._cache else None
        if digest is None:
            digest, after = hash_file(path, self.function)
            if after is None:
                return digest
            self._stats[path] = found = after
            if self._cache:
                self._cache.keep(after, digest)
        self.digests[path] = (found, digest)
        return digest

    def bytecode(self, path: bytes) -> Bytecode:
        """What a `.pyc` holds; an error of its digest stands for the code."""
        digest = self.digest(path)
        return self.code(digest, path) or Bytecode(b"", digest)

    def code(self, digest: str, path: bytes) -> Bytecode | None:
        """What a `.pyc` of that digest holds, if it was seen before, or if it lies at the path."""
        known = self._codes.get(digest) or (self._cache.find_code(digest) if self._cache else None)
        if known is None:
            data = self.data(path, digest)
            if data is None:
                return None
            known = split(data, self.function)
            if self._cache:
                self._cache.keep_code(digest, known)
        self._codes[digest] = known
        return known

    def data(self, path: bytes, digest: str) -> bytes | None:
        """What is in a file, if it is of that digest."""
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError:
            return None
        return data if str(self.function.of(data)) == digest else None

    def access(self, path: bytes, mode: int) -> str:
        """Empty when the access is granted to the effective user, or the error's name."""
        if os.access(path, mode, effective_ids=True):
            return ""
        found = self.stat(path)
        return found if isinstance(found, str) else "EACCES"

    def attribute(self, path: bytes, name: bytes, follow: bool) -> bytes | str:
        """Value of an extended attribute, or the error's name."""
        try:
            return os.getxattr(path, name, follow_symlinks=follow)
        except OSError as error:
            return error_name(error)

    def attributes(self, path: bytes, follow: bool) -> list[bytes] | str:
        """Names of the extended attributes, or the error's name."""
        try:
            return [os.fsencode(name) for name in os.listxattr(path, follow_symlinks=follow)]
        except OSError as error:
            return error_name(error)

    def special(self, path: bytes) -> bytes | str:
        """Content of a file whose size says nothing (`/proc`, `/sys`), or the error's name."""
        try:
            with open(path, "rb") as file:
                return file.read(_CHUNK)
        except OSError as error:
            return error_name(error)


def _entry_letter(entry: os.DirEntry[bytes]) -> str:
    if entry.is_symlink():
        return "l"
    if entry.is_dir(follow_symlinks=False):
        return "d"
    return "f" if entry.is_file(follow_symlinks=False) else "o"
