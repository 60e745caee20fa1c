# SPDX-License-Identifier: Apache-2.0
"""Mounts that a run cannot change through any path: read-only ones, and what the kernel tells of itself.

A root may hold them: in a container or a worker's sandbox a command may be started in `/`, with the host's programs
mounted read-only beside its inputs.
"""

from __future__ import annotations

import os

KERNEL = frozenset(
    (b"proc", b"sysfs", b"cgroup", b"cgroup2", b"debugfs", b"tracefs", b"securityfs", b"pstore", b"bpf", b"configfs")
)
"""File systems whose files are no files: their facts are of the machine (`policy.machine`)."""


class Mount:
    """One line of mountinfo (proc(5)): where it is, which device, which folder of that, what type."""

    __slots__ = ("device", "kind", "point", "root")

    def __init__(self, line: bytes) -> None:
        head, _, tail = line.partition(b" - ")
        fields = head.split(b" ")
        major, _, minor = fields[2].partition(b":")
        self.device = os.makedev(int(major), int(minor))
        self.root, self.point = _plain(fields[3]), _plain(fields[4])
        self.kind = tail.split(b" ")[0]

    def unchangeable(self) -> bool:
        """Whether nothing can be written here, as far as this mount tells."""
        if self.kind in KERNEL:
            return True
        try:
            return bool(os.statvfs(self.point).f_flag & os.ST_RDONLY)
        except OSError:
            return False

    def overlaps(self, other: Mount) -> bool:
        """Whether a file may be reached through both."""
        return self.device == other.device and (_within(self.root, other.root) or _within(other.root, self.root))


def mounts_below(folder: bytes) -> tuple[frozenset[bytes], tuple[bytes, ...]]:
    """The mount points below a folder that a run cannot change, and those in them that it can."""
    with open("/proc/self/mountinfo", "rb") as lines:
        # Of several at one point, the last one is seen.
        mounts = {mount.point: mount for mount in map(Mount, lines)}
    below = [mount for mount in mounts.values() if mount.point != folder and _within(mount.point, folder)]
    still = [mount for mount in below if _visible(mount) and mount.unchangeable()]
    moving = [mount for mount in mounts.values() if mount not in still]
    fixed = [mount for mount in still if mount.kind in KERNEL or not any(map(mount.overlaps, moving))]
    points = frozenset(mount.point for mount in fixed)
    inside = tuple(
        mount.point for mount in below if mount not in fixed and any(_within(mount.point, point) for point in points)
    )
    return points, inside


def other_places(folder: bytes) -> tuple[bytes, ...]:
    """The other paths under which mounts show a folder (without links), or folders below it."""
    with open("/proc/self/mountinfo", "rb") as lines:
        mounts = {mount.point: mount for mount in map(Mount, lines)}
    above = [mount for mount in mounts.values() if _within(folder, mount.point)]
    if not above:
        return ()  # in a chroot that is no mount point
    own = max(above, key=lambda mount: len(mount.point))
    there = os.path.normpath(os.path.join(own.root, os.path.relpath(folder, own.point)))
    found = []
    for mount in mounts.values():
        if mount.device == own.device and _within(there, mount.root):
            found.append(os.path.normpath(os.path.join(mount.point, os.path.relpath(there, mount.root))))
        elif mount.device == own.device and _within(mount.root, there):
            found.append(mount.point)
    return tuple(place for place in found if not _within(place, folder))


def _visible(mount: Mount) -> bool:
    """Whether its mount point shows it, and not one that was put over it or above it."""
    try:
        return os.lstat(mount.point).st_dev == mount.device
    except OSError:
        return False


def _within(path: bytes, folder: bytes) -> bool:
    return path == folder or path.startswith(folder.rstrip(b"/") + b"/")


def _plain(path: bytes) -> bytes:
    """A path of mountinfo, whose blanks and backslashes are written in octal."""
    return path.decode("unicode_escape").encode("latin-1") if b"\\" in path else path
