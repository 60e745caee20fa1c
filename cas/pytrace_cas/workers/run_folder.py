# SPDX-License-Identifier: Apache-2.0
"""A folder for as long as a server runs: what its workers map into memory."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFIX = "pytrace-cas-run-"


@contextmanager
def run_folder() -> Iterator[str]:
    """Make a folder, remove it in the end; first remove those whose servers were killed."""
    parent = tempfile.gettempdir()
    _sweep(parent)
    folder = tempfile.mkdtemp(prefix=_PREFIX, dir=parent)
    # Workers inherit the lock; it goes with the last of them.
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _sweep(parent: str) -> None:
    for entry in os.scandir(parent):
        if entry.name.startswith(_PREFIX) and entry.stat(follow_symlinks=False).st_uid == os.geteuid():
            with suppress(OSError):
                _remove_abandoned(entry.path)


def _remove_abandoned(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        # A folder without anything in it may be one that is about to be locked.
        if os.listdir(fd):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path)
    finally:
        os.close(fd)
