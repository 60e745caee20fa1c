# SPDX-License-Identifier: Apache-2.0
"""What stands on a descriptor."""

from __future__ import annotations

import fcntl
import os
import stat

PIPE = "pipe"
SOCKET = "socket"
TTY = "tty"
FILE = "file"
NULL = "null"
CLOSED = "closed"
DEVICE = "device"
"""A device other than a terminal and `/dev/null`, or a directory: left in place, its bytes unknown."""

PUMPED = frozenset({PIPE, SOCKET, TTY})
"""The kinds of an output that are replaced, so that what is written passes through us."""

_NULL_DEVICE = os.makedev(1, 3)


def classify(descriptor: int) -> str:
    """Return which of the kinds above stands on a descriptor."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return CLOSED
    mode = status.st_mode
    if stat.S_ISREG(mode):
        return FILE
    if stat.S_ISFIFO(mode):
        return PIPE
    if stat.S_ISSOCK(mode):
        return SOCKET
    if stat.S_ISCHR(mode) and status.st_rdev == _NULL_DEVICE:
        return NULL
    return TTY if stat.S_ISCHR(mode) and os.isatty(descriptor) else DEVICE


def same_place(one: int, other: int) -> bool:
    """Whether two open descriptors lead to the same pipe, socket, terminal or file."""
    return os.path.samestat(os.fstat(one), os.fstat(other))


def above_standard(descriptor: int) -> int:
    """Move a descriptor above 2, where nothing takes it for one of the command's; return where it is."""
    if descriptor > 2:
        return descriptor
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3)
    os.close(descriptor)
    return moved
