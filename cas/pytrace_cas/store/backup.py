# SPDX-License-Identifier: Apache-2.0
"""A copy of the index as it was at one moment, made while others read and write the store."""

from __future__ import annotations

import _sqlite3 as sqlite
import os
import shutil
from typing import TYPE_CHECKING

import attrs

from pytrace_cas.store.index import APPLICATION_ID, DEFAULT_MAX_SIZE, FORMAT, StoreBusy
from pytrace_cas.store.layout import FILE_MODE, Layout, StoreError, remove, sync_directory, unique_name

if TYPE_CHECKING:
    from pytrace_cas.store.check import CheckReport
    from pytrace_cas.store.index import Index


class BackupFailed(StoreError):
    """The copy could not be written to `target`; what was there before is there still."""

    def __init__(self, path: bytes, target: bytes, why: str) -> None:
        super().__init__(path, f"cannot back up to {os.fsdecode(target)}: {why}; choose another file")
        self.target = target
        self.why = why


class NotABackup(StoreError):
    """The file `source` is no index of a store, or of a format that is newer than ours; nothing was changed."""

    def __init__(self, path: bytes, source: bytes) -> None:
        super().__init__(path, f"{os.fsdecode(source)} is no backup that this version knows; name another file")
        self.source = source


@attrs.frozen
class Backup:
    """What a copy holds: so many rows, in so many bytes of file."""

    blobs: int
    results: int
    bytes: int


def back_up(index: Index, target: bytes) -> Backup:
    """Copy the index to a file outside the store, whole or not at all; raise `BackupFailed`.

    Writers go on meanwhile: of what they commit, nothing is in the copy. When this returns, it survives power loss.
    """
    root, target = index.layout.root, os.path.abspath(target)
    folder = os.path.dirname(target)
    if os.path.commonpath((os.path.realpath(folder), os.path.realpath(root))) == os.path.realpath(root):
        raise BackupFailed(root, target, "it is inside the store")
    partial = target + b".partial-" + unique_name()
    try:
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, FILE_MODE))
        done = _copy(index, partial, target)
        os.replace(partial, target)
        sync_directory(folder)
    except OSError as error:
        raise BackupFailed(root, target, error.strerror or str(error)) from error
    finally:
        for suffix in (b"", b"-wal", b"-shm", b"-journal"):
            remove(partial + suffix)
    return done


def _copy(index: Index, partial: bytes, target: bytes) -> Backup:
    with index.read() as db:
        copy = sqlite.connect(os.fsdecode(partial), isolation_level=None)
        try:
            copy.execute("PRAGMA synchronous = FULL")
            # All pages in one step, which sees one moment: between steps, each write would begin it anew.
            db.backup(copy, pages=-1)
            blobs, results = copy.execute("SELECT blobs, results FROM store").fetchone()
        except sqlite.Error as error:
            raise BackupFailed(index.layout.root, target, str(error)) from error
        finally:
            copy.close()
    return Backup(blobs, results, os.path.getsize(partial))


def restore(path: bytes, source: bytes) -> CheckReport:
    """Put a backup in the place of a store's index, and mend what has changed since; return what was found.

    The old index goes into quarantine. Blobs that are files and came since are indexed again; what the backup names
    and is gone is dropped, with the results that need it. Raises `NotABackup`, `FolderInUse`, and `StoreBusy` if
    another process has the store open.
    """
    from pytrace_cas.store.mark import refuse_used
    from pytrace_cas.store.rebuild import check_directory, put_aside
    from pytrace_cas.store.schema import create_index

    layout = Layout(os.path.abspath(path))
    _recognise(layout, source)
    if not os.path.lexists(layout.index):
        if os.path.lexists(layout.root):
            refuse_used(layout)
        create_index(layout, DEFAULT_MAX_SIZE)  # with all that belongs beside an index
    fresh = layout.tmp + b"/" + unique_name()
    try:
        shutil.copyfile(source, fresh)
        os.chmod(fresh, FILE_MODE)
        put_aside(layout)
        # Fails if another process has found no index and made one.
        os.link(fresh, layout.index)
        sync_directory(layout.root)
    except FileExistsError:
        raise StoreBusy(layout.root) from None
    finally:
        remove(fresh)
    return check_directory(layout.root, repair=True)


def _recognise(layout: Layout, source: bytes) -> None:
    """Read the numbers in the head of an SQLite file (its format's section 1.3)."""
    try:
        with open(source, "rb") as file:
            head = file.read(100)
    except OSError as error:
        raise NotABackup(layout.root, source) from error
    application, format = int.from_bytes(head[68:72]), int.from_bytes(head[60:64])
    if not head.startswith(b"SQLite format 3\0") or application != APPLICATION_ID or not 0 < format <= FORMAT:
        raise NotABackup(layout.root, source)
