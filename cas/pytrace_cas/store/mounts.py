# SPDX-License-Identifier: Apache-2.0
"""Which kind of file system a directory is on (proc_pid_mountinfo(5)).

The kernel's table of mounts is read in place of statfs(2): it needs no ctypes, which costs the wrapper five
milliseconds, and it tells FUSE file systems apart.
"""

from __future__ import annotations

import os

# Kinds that another host or another kernel may write at the same time.
# fmt: off
SHARED = frozenset((
    "9p", "acfs", "afs", "beegfs", "ceph", "cifs", "coda", "cvfs", "davfs", "fhgfs", "fuse", "gfs", "gfs2",
    "glusterfs", "gpfs", "ibrix", "lustre", "mfs", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "panfs", "prl_fs",
    "pvfs2", "smb3", "smbfs", "snfs", "vboxsf", "virtiofs", "vmhgfs", "webdav",
))
# fmt: on
# The one FUSE program that only layers over a host's own directories (rootless containers).
LOCAL_FUSE = frozenset(("fuse.fuse-overlayfs",))


def shared_kind(path: bytes) -> str | None:
    """The kind of the file system that an existing directory is on if hosts can share it, else None."""
    try:
        with open("/proc/self/mountinfo", "rb", buffering=0) as table:
            kind = kind_of(path, table.readall() or b"")
    except OSError:
        return None  # no /proc: nothing is known against it
    if kind in SHARED or (kind.startswith("fuse.") and kind not in LOCAL_FUSE):
        return kind
    return None


def kind_of(path: bytes, mountinfo: bytes) -> str:
    """The kind of the file system that holds `path`, by a table of mounts; "" if the table does not say."""
    device = os.stat(path).st_dev
    number = f" {os.major(device)}:{os.minor(device)} ".encode("ascii")
    if number not in mountinfo:
        return _kind_by_prefix(os.path.realpath(path), mountinfo)  # btrfs gives each subvolume its own number
    return _kind(mountinfo[mountinfo.index(number) :].partition(b"\n")[0])


def _kind(line: bytes) -> str:
    """The field after the lone hyphen."""
    return line.partition(b" - ")[2].partition(b" ")[0].decode("ascii", "replace")


def _kind_by_prefix(path: bytes, mountinfo: bytes) -> str:
    """The kind of the longest mount point that leads to `path`; the last mounted wins."""
    best, kind = -1, ""
    for line in mountinfo.splitlines():
        fields = line.split(b" ", 5)
        point = fields[4].replace(b"\\040", b" ") if len(fields) > 5 else b""
        inside = path == point or path.startswith(point.rstrip(b"/") + b"/")
        if point and inside and len(point) >= best:
            best, kind = len(point), _kind(line)
    return kind
