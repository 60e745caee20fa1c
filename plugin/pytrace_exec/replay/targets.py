# SPDX-License-Identifier: Apache-2.0
"""Whether what lies under a name now is what the recorded run found there, or could not tell from it (DESIGN 4.1)."""

from __future__ import annotations

import errno
import os
import stat

from pytrace_cas.recorded.names import link_target
from pytrace_cas.recorded.places import MalformedText
from pytrace_exec.replay import renames
from pytrace_exec.replay.plan import ReplayRefused, join

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_cas.recorded.effect_entries import State
    from pytrace_cas.recorded.places import Places
    from pytrace_exec.replay.folders import Folder

_TYPES = {"file": stat.S_IFREG, "symlink": stat.S_IFLNK, "dir": stat.S_IFDIR}
# Every file has this one where SELinux is on; it is compared, not taken for something of the user's.
LABEL = "security.selinux"


def expect(folder: Folder, name: bytes, state: State, mode: int | None, places: Places) -> os.stat_result | None:
    """Return the status of what a made name replaces (None: nothing); raise `ReplayRefused` if it is not `state`.

    `mode`: what the run leaves, which the state `plain` depends on.
    """
    found = renames.status(folder.fd, name)
    path = join(folder.path, name)
    if state.kind in ("absent", "plain") and found is None:
        return None
    if found is None:
        raise ReplayRefused("what the run replaced is not there", path)
    if state.kind == "absent":
        raise ReplayRefused("the run found nothing there, but now there is something", path)
    if state.kind == "dir":
        return same_type(found, "dir", path)
    if state.kind == "symlink":
        same_type(found, "symlink", path)
        if os.readlink(name, dir_fd=folder.fd) != _target(state, places, path):
            raise ReplayRefused("the link that the run replaced leads elsewhere now", path)
        return found
    same_type(found, "file", path)
    wanted = mode if state.kind == "plain" else state.mode
    if stat.S_IMODE(found.st_mode) != wanted:
        raise ReplayRefused("the file that the run replaced has another mode", path)
    if state.kind == "plain" and not writable(folder, name):
        raise ReplayRefused("the file that the run replaced cannot be written to", path)
    _own(folder, name, found, path)
    return found


def same_type(found: os.stat_result, kind: str, path: bytes) -> os.stat_result:
    """Return the status if it is of that type; raise `ReplayRefused` otherwise."""
    if stat.S_IFMT(found.st_mode) != _TYPES[kind]:
        raise ReplayRefused("it is of another type than the run found", path)
    return found


def unchanged(before: os.stat_result, after: os.stat_result | None, renamed: bool = False) -> bool:
    """Whether two looks saw one inode in one state; `renamed`: the replay itself has moved its change time since."""
    if after is None or _identity(before) != _identity(after):
        return False
    return renamed or stat.S_ISDIR(before.st_mode) or before.st_ctime_ns == after.st_ctime_ns


def attributes(folder: Folder, name: bytes) -> list[str]:
    """Names of the extended attributes of what the name stands for, ACLs among them; a label is none."""
    try:
        return [name for name in os.listxattr(through(folder.fd, name), follow_symlinks=False) if name != LABEL]
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            return []
        raise


def label(fd: int, name: bytes) -> bytes | None:
    """SELinux label of what a name in a directory stands for; None where there is none."""
    try:
        return os.getxattr(through(fd, name), LABEL, follow_symlinks=False)
    except OSError:
        return None


def through(fd: int, name: bytes) -> bytes:
    """Path of a name in an open directory, for the calls that take no descriptor (proc(5), /proc/self/fd)."""
    return b"/proc/self/fd/%d/%s" % (fd, name)


def writable(folder: Folder, name: bytes) -> bool:
    """Whether this process may write to the file."""
    return os.access(name, os.W_OK, dir_fd=folder.fd, effective_ids=True, follow_symlinks=False)


def _own(folder: Folder, name: bytes, found: os.stat_result, path: bytes) -> None:
    if found.st_uid != os.geteuid():
        raise ReplayRefused("the file that the run replaced belongs to somebody else", path)
    if found.st_nlink != 1:
        raise ReplayRefused("the file that the run replaced has several names", path)
    if attributes(folder, name):
        raise ReplayRefused("the file that the run replaced has attributes or an ACL", path)


def _identity(found: os.stat_result) -> tuple[int, ...]:
    if stat.S_ISDIR(found.st_mode):  # the replay itself empties it
        return found.st_dev, found.st_ino, found.st_mode, found.st_uid
    return found.st_dev, found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns, found.st_uid


def _target(state: State, places: Places, path: bytes) -> bytes:
    try:
        return link_target(places, state.target)
    except MalformedText:
        raise ReplayRefused("the link that the run replaced led to a place that is not set here", path) from None
