# SPDX-License-Identifier: Apache-2.0
"""Folders covered for one process and its children, so that what they write vanishes with them.

In a mount namespace of its own the process sees each folder through overlayfs: everything in it stands where it
stood, with its absolute path; changes go to a tmpfs that nobody else sees. Nothing has to be put back, whatever ends
the process. mount_namespaces(7), user_namespaces(7), the kernel's overlayfs documentation.
"""

from __future__ import annotations

import ctypes
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_MS_REC, _MS_PRIVATE = 0x4000, 1 << 18


class NotCovered(Exception):
    """A folder cannot be covered; the message says why and what to do."""


def outermost(folders: Iterable[bytes]) -> list[bytes]:
    """The folders that lie in no other of them."""
    found: list[bytes] = []
    for folder in sorted(set(folders), key=len):
        if not any(folder.startswith(other.rstrip(b"/") + b"/") for other in found):
            found.append(folder)
    return found


def cover(folders: Iterable[bytes], scratch: bytes) -> None:
    """Cover folders for this process, single-threaded, and what it starts; `scratch`: an empty folder. Irrevocable.

    The working directory is entered anew. Raise `NotCovered`.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    here = os.getcwdb()
    covered = outermost(folders)
    for folder in covered:
        _check_no_mounts(folder)
    alone = _own_namespace(libc)
    _mount(libc, b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)
    _mount(libc, b"tmpfs", scratch, b"tmpfs", 0, b"mode=0700")
    for number, folder in enumerate(covered):
        upper, work = (scratch + b"/%s%d" % (name, number) for name in (b"upper", b"work"))
        os.mkdir(upper)
        os.mkdir(work)
        status = os.stat(folder)
        os.chown(upper, status.st_uid if alone else -1, status.st_gid if alone else -1)
        os.chmod(upper, status.st_mode & 0o7777)
        layers = (b"lowerdir", folder), (b"upperdir", upper), (b"workdir", work)
        options = b",".join(b"%s=%s" % (name, _escaped(path)) for name, path in layers)
        _mount(libc, b"overlay", folder, b"overlay", 0, options if alone else b"userxattr," + options)
    os.chdir(here)


def _own_namespace(libc: ctypes.CDLL) -> bool:
    """Get a mount namespace; say whether by our own right, else it is in a user namespace with our own ids."""
    uid, gid = os.geteuid(), os.getegid()
    if libc.unshare(_CLONE_NEWNS) == 0:
        return True
    if uid == 0 or libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNS):
        why = os.strerror(ctypes.get_errno())
        raise NotCovered(f"no mount namespace can be made here ({why}); run it as a user who may make one (unshare -m)")
    for name, text in (
        ("setgroups", b"deny"),
        ("uid_map", b"%d %d 1" % (uid, uid)),
        ("gid_map", b"%d %d 1" % (gid, gid)),
    ):
        with open(f"/proc/self/{name}", "wb") as file:
            file.write(text)
    return False


def _mount(
    libc: ctypes.CDLL, source: bytes, target: bytes, kind: bytes | None, flags: int, options: bytes | None
) -> None:
    if libc.mount(source, target, kind, flags, options):
        error = os.strerror(ctypes.get_errno())
        raise NotCovered(f"{os.fsdecode(target)} cannot be covered with {os.fsdecode(source)}: {error}")


def _check_no_mounts(folder: bytes) -> None:
    """Refuse a folder below which another file system is mounted: an overlay would hide what is in that."""
    inside = folder.rstrip(b"/") + b"/"
    with open("/proc/self/mountinfo", "rb") as file:
        for line in file:
            place = line.split(b" ")[4].decode("unicode_escape").encode("latin-1")
            if place.startswith(inside):
                raise NotCovered(f"{os.fsdecode(place)} is mounted below {os.fsdecode(folder)}; unmount it first")


def _escaped(path: bytes) -> bytes:
    """A path as an option of overlayfs: commas, colons and backslashes are signs there."""
    return path.replace(b"\\", b"\\\\").replace(b",", b"\\,").replace(b":", b"\\:")
