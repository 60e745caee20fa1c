# SPDX-License-Identifier: Apache-2.0
"""The mark of a store's folder: an empty file that is there before anything else of a store.

A store moves, overwrites and unlinks what lies in its folder, so it is made in no folder that holds somebody's files.
"""

from __future__ import annotations

import os
import stat

from pytrace_cas.store import crashpoints
from pytrace_cas.store.index import APPLICATION_ID
from pytrace_cas.store.layout import DIRECTORY_MODE, FILE_MODE, StoreError, StoreIsFile, StoreNotWritable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_cas.store.layout import Layout

_APPLICATION_ID_AT = 68  # bytes into an SQLite file
_IGNORED = {b"lost+found"}  # in the root of every new ext file system


class FolderInUse(StoreError):
    """The folder holds files and was never a store's; none is made there."""

    def __init__(self, path: bytes) -> None:
        shown = os.fsdecode(path)
        super().__init__(
            path, f"{shown} is not empty and is no store; choose a folder that is empty or does not exist with --dir"
        )


def refuse_used(layout: Layout) -> None:
    """Raise `FolderInUse` for a folder that is neither empty nor marked; nothing is written."""
    # The mark comes first into a store: whoever saw anything else of one will find it, if it is one.
    if set(os.listdir(layout.root)) - _IGNORED and not is_marked(layout):
        raise FolderInUse(layout.root)


def is_marked(layout: Layout) -> bool:
    """Whether the mark is there."""
    try:
        found = os.lstat(layout.mark)
    except FileNotFoundError:
        return False
    return stat.S_ISREG(found.st_mode) and not found.st_size


def is_ours(layout: Layout) -> bool:
    """Whether an index that cannot be read is a store's all the same: by the mark, or by the head of its file."""
    if is_marked(layout):
        return True
    try:
        with open(layout.index, "rb", buffering=0) as file:
            number = os.pread(file.fileno(), 4, _APPLICATION_ID_AT)
    except OSError:
        return False
    return int.from_bytes(number) == APPLICATION_ID


def mark(layout: Layout) -> None:
    """Make the folder and its mark, whoever else is doing so; raise `StoreIsFile` or `StoreNotWritable`."""
    try:
        os.makedirs(layout.root, DIRECTORY_MODE, exist_ok=True)
        crashpoints.reached("folder-made")
        os.close(os.open(layout.mark, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE))
        crashpoints.reached("marked")
    except (FileExistsError, NotADirectoryError):
        raise StoreIsFile(layout.root) from None
    except OSError as error:
        raise StoreNotWritable(layout.root, error.strerror or str(error)) from error
