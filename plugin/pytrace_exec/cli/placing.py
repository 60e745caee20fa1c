# SPDX-License-Identifier: Apache-2.0
"""Writing what a cache says below one folder, and never anywhere else: names are checked, links are not followed."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from pytrace_exec.cli.exit_status import DIFFERENT, NOT_FOUND
from pytrace_exec.cli.main import Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_STAGING = b".pytrace-download-"


class Place:
    """A folder that is written into, made when it is not there; a context manager.

    Without `force`, what exists is kept: every method that would replace something raises `Failed`.
    """

    def __init__(self, folder: bytes, force: bool) -> None:
        self._folder = folder
        self._force = force
        self._fd = -1

    def __enter__(self) -> Place:
        os.makedirs(self._folder, exist_ok=True)
        self._fd = os.open(self._folder, _FOLDER & ~os.O_NOFOLLOW)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def check(self, name: bytes, folder: bool = False) -> None:
        """Raise `Failed` if something could not be put there: a name that leads out, or that is taken."""
        with self._parent(name, make=False) as found:
            if found is None:
                return
            parent, last = found
            try:
                there = os.lstat(last, dir_fd=parent)
            except FileNotFoundError:
                return
            is_folder = stat.S_ISDIR(there.st_mode)
            if folder and is_folder:
                return
            if is_folder or folder:
                raise self._taken(name, "it is of another kind")
            if not self._force:
                raise self._taken(name, "--force replaces it")

    def file(self, name: bytes, mode: int, write: Callable[[int], object]) -> None:
        """Put a file, complete or not at all; `write` gets a descriptor of an empty one."""
        self._put(name, lambda parent, staged: _write(parent, staged, mode, write))

    def symlink(self, name: bytes, target: bytes) -> None:
        """Put a symbolic link."""
        self._put(name, lambda parent, staged: os.symlink(target, staged, dir_fd=parent))

    def folder(self, name: bytes, mode: int | None = None) -> None:
        """Make a folder if it is not there; one that is there keeps its mode without `force`."""
        with self._parent(name, make=True) as found:
            assert found is not None
            parent, last = found
            made = _make_folder(parent, last)
            if mode is not None and (made or self._force):
                fd = os.open(last, _FOLDER, dir_fd=parent)
                os.fchmod(fd, mode | 0o700)
                os.close(fd)

    def _put(self, name: bytes, make: Callable[[int, bytes], object]) -> None:
        self.check(name)
        with self._parent(name, make=True) as found:
            assert found is not None
            parent, last = found
            staged = _STAGING + os.urandom(8).hex().encode()
            try:
                make(parent, staged)
                if self._force:
                    os.rename(staged, last, src_dir_fd=parent, dst_dir_fd=parent)
                    return
                os.link(staged, last, src_dir_fd=parent, dst_dir_fd=parent, follow_symlinks=False)
            except FileExistsError:
                raise self._taken(name, "--force replaces it") from None
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(staged, dir_fd=parent)

    @contextmanager
    def _parent(self, name: bytes, make: bool) -> Iterator[tuple[int, bytes] | None]:
        """The folder that a name lies in, opened a component at a time, and its last component; None: not there yet."""
        *folders, last = components(name)
        fd = os.dup(self._fd)
        try:
            for folder in folders:
                if make:
                    _make_folder(fd, folder)
                try:
                    below = os.open(folder, _FOLDER, dir_fd=fd)
                except FileNotFoundError:
                    yield None
                    return
                except OSError:
                    raise self._taken(name, "a folder above it is a link or no folder") from None
                os.close(fd)
                fd = below
            yield fd, last
        finally:
            os.close(fd)

    def _taken(self, name: bytes, why: str) -> Failed:
        return Failed(f"{os.fsdecode(os.path.join(self._folder, name))} is in the way: {why}", DIFFERENT)


def components(name: bytes) -> list[bytes]:
    """The components of a relative name; raise `Failed` for one that could lead out of the folder."""
    found = name.split(b"/")
    if any(part in (b"", b".", b"..") or b"\0" in part or part.startswith(_STAGING) for part in found):
        raise Failed(f"the cache names an output {os.fsdecode(name)!r}, which no folder can hold", NOT_FOUND)
    return found


def _make_folder(parent: int, name: bytes) -> bool:
    """Make a folder; say whether it was not there."""
    try:
        os.mkdir(name, dir_fd=parent)
    except FileExistsError:
        return False
    return True


def _write(parent: int, name: bytes, mode: int, write: Callable[[int], object]) -> None:
    fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=parent)
    try:
        write(fd)
        os.fchmod(fd, mode)
    finally:
        os.close(fd)
