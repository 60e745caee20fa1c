# SPDX-License-Identifier: Apache-2.0
"""Where things lie in a store's directory, and what may be said of the directory before it is opened.

`docs/store-format.md` describes the same for programs in other languages.
"""

from __future__ import annotations

import os

DIRECTORY_MODE = 0o700
FILE_MODE = 0o600


class StoreError(Exception):
    """What the store cannot do; `path` is its directory. The message says what the user can do."""

    def __init__(self, path: bytes, message: str) -> None:
        super().__init__(message)
        self.path = path


class NoStore(StoreError):
    """There is no store in that directory, and none was to be made."""

    def __init__(self, path: bytes) -> None:
        super().__init__(path, f"no store in {os.fsdecode(path)}; give the directory of one with --dir")


class StoreIsFile(StoreError):
    """The path names something else than a directory."""

    def __init__(self, path: bytes) -> None:
        super().__init__(path, f"{os.fsdecode(path)} is not a directory; give a directory with --dir")


class StoreNotWritable(StoreError):
    """The store or its parent may not be written; an existing store can still be opened with `read_only`."""

    def __init__(self, path: bytes, why: str) -> None:
        shown = os.fsdecode(path)
        super().__init__(path, f"cannot write the store in {shown}: {why}; allow it or choose another --dir")
        self.why = why


class StoreUnreadable(StoreError):
    """The store is there and this user may not read it."""

    def __init__(self, path: bytes, why: str, advice: str = "allow it or choose another --dir") -> None:
        super().__init__(path, f"cannot read the store in {os.fsdecode(path)}: {why}; {advice}")
        self.why = why


class StoreOfAnother(StoreUnreadable):
    """This user may not read the store, since it is the user's with the number `owner`."""

    def __init__(self, path: bytes, owner: int) -> None:
        advice = "users share results through a remote (pytrace-cas serve, --remote URL), each with a --dir of his own"
        super().__init__(path, f"it belongs to another user (uid {owner})", advice)
        self.owner = owner


def unreadable(root: bytes, folder: bytes, why: str) -> StoreUnreadable:
    """What to raise where `folder`, which is the root of a store or lies above it, keeps this user from reading."""
    try:
        owner = os.stat(folder).st_uid
    except OSError:
        owner = os.geteuid()
    return StoreUnreadable(root, why) if owner == os.geteuid() else StoreOfAnother(root, owner)


class NetworkFileSystem(StoreError):
    """The directory is on a file system of kind `kind` that several hosts can share: WAL needs one host's memory."""

    def __init__(self, path: bytes, kind: str) -> None:
        shown = os.fsdecode(path)
        super().__init__(path, f"{shown} is on a {kind} file system, which cannot hold a store; choose a local --dir")
        self.kind = kind


class Layout:
    """The paths of a store; all of them bytes, none of them looked at."""

    __slots__ = (
        "cas",
        "catalogue",
        "counters",
        "index",
        "maintenance",
        "mark",
        "pending",
        "quarantine",
        "root",
        "spare",
        "tmp",
        "trash",
        "uploads",
    )

    def __init__(self, root: bytes) -> None:
        self.root = root
        self.mark = root + b"/pytrace-cas-store"
        self.index = root + b"/index.sqlite"
        self.catalogue = root + b"/catalogue.sqlite"
        self.cas = root + b"/cas"
        self.tmp = root + b"/tmp"
        self.trash = root + b"/trash"
        self.uploads = root + b"/uploads"
        self.quarantine = root + b"/quarantine"
        self.pending = root + b"/pending"
        self.counters = root + b"/counters"
        self.spare = root + b"/spare"
        self.maintenance = root + b"/maintenance"

    def blob(self, place: str) -> bytes:
        """Path of the file at a place (`place_of`)."""
        return self.cas + b"/" + place.encode("ascii")

    def make_directories(self) -> None:
        """Make what is not there yet in the root, which is; raise `StoreIsFile` or `StoreNotWritable`."""
        try:
            for folder in (self.cas, self.tmp, self.trash, self.quarantine, self.uploads):
                _make_one(folder)
        except NotADirectoryError:
            raise StoreIsFile(self.root) from None
        except OSError as error:
            raise StoreNotWritable(self.root, error.strerror or str(error)) from error


PACKED = ".zst"  # ends the name of a compressed blob's file


def place_of(function: str, hash: str, packed: bool = False) -> str:
    """Path of a blob's file below `cas/`: function, first two hex digits, hash."""
    return f"{function}/{hash[:2]}/{hash}{PACKED if packed else ''}"


def unique_name() -> bytes:
    """A file name that nobody else chooses."""
    return os.urandom(12).hex().encode("ascii")


def move(source: bytes, target: bytes) -> bool:
    """Rename, making the target's folder when it is not there; say whether it was made."""
    try:
        os.rename(source, target)
        return False
    except FileNotFoundError:
        make_folder(os.path.dirname(target))
        os.rename(source, target)
        return True


def make_folder(path: bytes) -> None:
    """Make a folder inside the store, and those above it, for the user alone; one that is there is kept."""
    try:
        _make_one(path)
    except FileNotFoundError:
        make_folder(os.path.dirname(path))
        make_folder(path)


def _make_one(path: bytes) -> None:
    try:
        os.mkdir(path, DIRECTORY_MODE)
    except FileExistsError:
        return


def remove(path: bytes) -> None:
    """Unlink a file that another process may have moved or removed."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def sync_directory(path: bytes) -> None:
    """Make the names in a folder survive power loss."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
