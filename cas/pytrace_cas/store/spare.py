# SPDX-License-Identifier: Apache-2.0
"""The file `spare`: room that a served store keeps on its disk, so that what fills the disk can still be evicted.

Rows are dropped by writing to SQLite's log, and on a full disk that cannot grow, nor be folded into an index that
would have to grow for it. The file's blocks are given back then, and taken again once there is room.
"""

from __future__ import annotations

import os
from contextlib import suppress

from pytrace_cas.store.layout import FILE_MODE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_cas.store.layout import Layout

SPARE = 8 << 20  # bytes: more than the log has before it is folded in, and a batch of evictions
_AT_LEAST = 4  # times as much must be free before room is taken


def keep(layout: Layout) -> None:
    """Take the room, unless it is taken or the disk is nearly full. Any process may, at any time."""
    with suppress(OSError):  # a store does without
        fd = os.open(layout.spare, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
        try:
            disk = os.fstatvfs(fd)
            if os.fstat(fd).st_size < SPARE and disk.f_bavail * disk.f_frsize >= _AT_LEAST * SPARE:
                os.posix_fallocate(fd, 0, SPARE)
        finally:
            os.close(fd)


def keep_again(layout: Layout) -> None:
    """Take the room of a store that had it."""
    if os.path.lexists(layout.spare):
        keep(layout)


def give_up(layout: Layout) -> bool:
    """Give the room back to the disk; say whether there was some."""
    try:
        fd = os.open(layout.spare, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        had = os.fstat(fd).st_size > 0
        os.ftruncate(fd, 0)
        return had
    finally:
        os.close(fd)
