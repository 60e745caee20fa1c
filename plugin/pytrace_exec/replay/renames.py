# SPDX-License-Identifier: Apache-2.0
"""Renames that destroy nothing: `renameat2` (rename(2)), and what stands in for it where it is not offered.

`ctypes` is imported at the first rename that needs it: making a file where none was does without.
"""

from __future__ import annotations

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_NOREPLACE, _EXCHANGE = 1, 2
_UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS})
_library: Any = None


class Unsupported(Exception):
    """The file system or the C library has no such rename."""


def _renameat2(from_fd: int, from_name: bytes, to_fd: int, to_name: bytes, flags: int) -> None:
    global _library
    if _library is None:
        import ctypes

        _library = ctypes.CDLL(None, use_errno=True)
        _library.get_errno = ctypes.get_errno
    try:
        call = _library.renameat2
    except AttributeError:  # a C library older than the call
        raise Unsupported from None
    if call(from_fd, from_name, to_fd, to_name, flags) == 0:
        return
    number = _library.get_errno()
    if number in _UNSUPPORTED:
        raise Unsupported
    raise OSError(number, os.strerror(number), to_name)


def exchange(one_fd: int, one: bytes, other_fd: int, other: bytes) -> None:
    """Swap what two names stand for, in one instant; raise `Unsupported`, or `OSError` with nothing changed."""
    _renameat2(one_fd, one, other_fd, other, _EXCHANGE)


def move(from_fd: int, from_name: bytes, to_fd: int, to_name: bytes) -> None:
    """Rename to a name that is not there; raise `FileExistsError` if it is.

    Without `RENAME_NOREPLACE` a look goes before the rename: what somebody makes in between would be replaced.
    """
    try:
        _renameat2(from_fd, from_name, to_fd, to_name, _NOREPLACE)
    except Unsupported:
        if status(to_fd, to_name) is not None:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), to_name) from None
        os.rename(from_name, to_name, src_dir_fd=from_fd, dst_dir_fd=to_fd)


def link(from_fd: int, from_name: bytes, to_fd: int, to_name: bytes) -> bool:
    """Give a file or symlink a second name that is not there; return whether the file system has hard links."""
    try:
        os.link(from_name, to_name, src_dir_fd=from_fd, dst_dir_fd=to_fd, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return False
    return True


def status(folder: int, name: bytes) -> os.stat_result | None:
    """Status of a name itself, or None when it is not there."""
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
