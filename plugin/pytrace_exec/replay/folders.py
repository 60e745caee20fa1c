# SPDX-License-Identifier: Apache-2.0
"""Existing directories that a replay works in: opened a component at a time, never through a link, and held open.

Each has at most one staging folder, `.pytrace-N`, locked while its replay lives. What a killed replay left behind is
found by its name and removed when it is unlocked and more than an hour old. In a staging folder `nN` is a directory
that the replay made, with all that is in it; `oN` is anything else, which may be something old: a directory under such
a name goes only when it is empty.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time

from pytrace_cas.recorded.names import STAGING
from pytrace_exec.replay.plan import ReplayRefused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

STALE_SECONDS = 3600
KEPT = STAGING + b"kept-"
_SLOTS = 16
_MANY = 64
_WALK = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Folder:
    """A directory held open, and the times it had before the replay touched it.

    `renamed`: whether the replay added or removed one of its names, other than by putting a file in another's place.
    """

    __slots__ = ("_count", "_staging", "_staging_name", "before", "fd", "path", "renamed")

    def __init__(self, path: bytes, fd: int) -> None:
        self.path = path
        self.fd = fd
        self.before = os.fstat(fd)
        self.renamed = False
        self._staging = -1
        self._staging_name = b""
        self._count = 0

    @property
    def staged(self) -> bool:
        """Whether there is a staging folder."""
        return self._staging >= 0

    def staging(self) -> int:
        """Descriptor of the staging folder, which is made when it is first asked for."""
        if self._staging < 0:
            self._staging_name, self._staging = _open_staging(self)
        return self._staging

    def slot(self, kind: bytes) -> bytes:
        """Return an unused name in the staging folder: `n` for something new, `o` for something old."""
        self._count += 1
        return b"%s%d" % (kind, self._count)

    def clear(self) -> None:
        """Remove the staging folder and everything in it; raise `OSError` for what is left behind."""
        if self._staging >= 0:
            staging, self._staging = self._staging, -1
            try:
                empty(staging)
                os.rmdir(self._staging_name, dir_fd=self.fd)
            finally:
                os.close(staging)

    def keep(self) -> None:
        """Give the staging folder a name that is never swept, since something in it could not be put back."""
        if self._staging >= 0:
            os.close(self._staging)
            self._staging = -1
            os.rename(self._staging_name, KEPT + b"%d" % time.time_ns(), src_dir_fd=self.fd, dst_dir_fd=self.fd)

    def restore_times(self) -> None:
        """Give the directory the times it had before the replay, if the replay changed them."""
        now = os.fstat(self.fd)
        if now.st_mtime_ns != self.before.st_mtime_ns:
            os.utime(self.fd, ns=(self.before.st_atime_ns, self.before.st_mtime_ns))

    def close(self) -> None:
        """Let go of the directory."""
        os.close(self.fd)


class Folders:
    """The open directories of one replay, by earlier path.

    Each takes up to two descriptors. When there are many, the process's limit is raised until they are closed.
    """

    __slots__ = ("_limits", "_open")

    def __init__(self) -> None:
        self._open: dict[bytes, Folder] = {}
        self._limits: tuple[int, int] | None = None

    def __iter__(self) -> Iterator[Folder]:
        """Go through them, what lies deeper first."""
        return iter(sorted(self._open.values(), key=lambda folder: -folder.path.count(b"/")))

    def open(self, anchor: bytes, path: bytes) -> Folder:
        """Open a directory at or below an anchor; raise `ReplayRefused` if a link or no directory lies on the way."""
        if path not in self._open:
            self._make_room()
            try:
                self._open[path] = Folder(path, _walk(anchor, path))
            except OSError as error:
                raise ReplayRefused(f"a directory cannot be reached ({error.strerror})", path) from None
        return self._open[path]

    def open_new(self, path: bytes, staging: int, slot: bytes) -> Folder:
        """Open a directory that is staged and will get this path."""
        key = b"new " + path
        if key not in self._open:
            self._make_room()
            self._open[key] = Folder(path, os.open(slot, _OPEN, dir_fd=staging))
        return self._open[key]

    def close(self) -> None:
        """Let go of all of them."""
        for folder in self._open.values():
            folder.close()
        self._open.clear()
        if self._limits is not None:
            import resource

            resource.setrlimit(resource.RLIMIT_NOFILE, self._limits)
            self._limits = None

    def _make_room(self) -> None:
        if len(self._open) >= _MANY and self._limits is None:
            import resource

            self._limits = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (self._limits[1], self._limits[1]))


def _walk(anchor: bytes, path: bytes) -> int:
    """Open a directory for reading, a component at a time (the anchor is the caller's word and taken as it is)."""
    names = [name for name in path[len(anchor) :].split(b"/") if name]
    if not names:
        return os.open(anchor, _OPEN)
    fd = os.open(anchor, _WALK)
    for position, name in enumerate(names):
        try:
            following = os.open(name, _OPEN if position == len(names) - 1 else _WALK, dir_fd=fd)
        finally:
            os.close(fd)
        fd = following
    return fd


def _open_staging(folder: Folder) -> tuple[bytes, int]:
    """Make and lock a staging folder, or take over what a killed replay left, once it is empty."""
    for number in range(_SLOTS):
        name = b"%s%d" % (STAGING, number)
        try:
            os.mkdir(name, 0o700, dir_fd=folder.fd)
        except FileExistsError:
            fd = _take_over(folder.fd, name)
            if fd < 0:
                continue
            _sweep(folder.fd, number + 1)
            return name, fd
        fd = os.open(name, _OPEN, dir_fd=folder.fd)
        _lock(fd)
        return name, fd
    raise ReplayRefused(f"{_SLOTS} replays are under way or were killed in this directory", folder.path)


def _sweep(parent: int, first: int) -> None:
    """Remove what further killed replays left: where one was killed within the hour after another, there are more."""
    for number in range(first, _SLOTS):
        name = b"%s%d" % (STAGING, number)
        if (fd := _take_over(parent, name)) >= 0:
            os.close(fd)
            try:
                os.rmdir(name, dir_fd=parent)
            except OSError:
                continue


def _lock(fd: int) -> bool:
    """Try to lock; False when it is locked or the file system has no such locks."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _take_over(parent: int, name: bytes) -> int:
    """Empty and return the staging folder of a killed replay; -1 when it is in use, too young or not ours."""
    try:
        fd = os.open(name, _OPEN, dir_fd=parent)
    except OSError:
        return -1
    try:
        found = os.fstat(fd)
        stale = time.time() - found.st_mtime >= STALE_SECONDS and found.st_uid == os.geteuid()
        if stale and _lock(fd):
            empty(fd)
            os.utime(fd)
            return fd
    except OSError:
        pass  # it keeps what cannot be removed, and another number is taken
    os.close(fd)
    return -1


def empty(staging: int) -> None:
    """Remove everything in a staging folder; raise `OSError` for old directories that somebody has filled since."""
    for name in os.listdir(staging):
        entry = os.fsencode(name)
        if not _is_directory(staging, entry):
            os.unlink(entry, dir_fd=staging)
        elif entry.startswith(b"o"):
            _remove_old(staging, entry)
        else:
            remove_tree(staging, entry)


def is_staging(name: bytes) -> bool:
    """Whether a name is that of a staging folder, which may be removed with all that is in it."""
    return name.startswith(STAGING) and not name.startswith(KEPT)


def _remove_old(staging: int, name: bytes) -> None:
    """Remove an old directory: nothing but staging folders can rightly be in it."""
    fd = os.open(name, _OPEN, dir_fd=staging)
    try:
        for inner in map(os.fsencode, os.listdir(fd)):
            if is_staging(inner):
                below = os.open(inner, _OPEN, dir_fd=fd)
                try:
                    empty(below)
                finally:
                    os.close(below)
                os.rmdir(inner, dir_fd=fd)
    finally:
        os.close(fd)
    os.rmdir(name, dir_fd=staging)


def remove_tree(parent: int, name: bytes) -> None:
    """Remove a new directory that was staged and everything in it."""
    os.chmod(name, 0o700, dir_fd=parent)
    fd = os.open(name, _OPEN, dir_fd=parent)
    try:
        for inner in map(os.fsencode, os.listdir(fd)):
            if _is_directory(fd, inner):
                remove_tree(fd, inner)
            else:
                os.unlink(inner, dir_fd=fd)
    finally:
        os.close(fd)
    os.rmdir(name, dir_fd=parent)


def _is_directory(parent: int, name: bytes) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
