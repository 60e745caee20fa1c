# SPDX-License-Identifier: Apache-2.0
"""Which files were found to hold their blobs lately, so that a popular blob is not hashed for every reader."""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    State: TypeAlias = tuple[int, int, int]

LASTING_SECONDS = 600.0
MOST = 8192  # files that are remembered


class VerifiedFiles:
    """Files that were hashed and found good, in the state in which they were. Any thread may call.

    A write to a file changes its state. What a disk spoils without one is found once the time is over; clients look at
    the digests of what they get anyway.
    """

    def __init__(self) -> None:
        self._files: dict[str, tuple[State, float]] = {}

    def lately(self, hash: str, state: State) -> bool:
        """Whether a file in this state was found to have this hash."""
        known = self._files.get(hash)
        return known is not None and known[0] == state and time.monotonic() - known[1] < LASTING_SECONDS

    def add(self, hash: str, state: State) -> None:
        """Remember a file that was in this state before and after all of it was hashed."""
        self._files.pop(hash, None)
        self._files[hash] = (state, time.monotonic())
        while len(self._files) > MOST:
            self._files.pop(next(iter(self._files)), None)


def state_of(fd: int) -> State:
    """What any change of an open file changes: inode, times of its last write and of its last change."""
    status = os.fstat(fd)
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns
