# SPDX-License-Identifier: Apache-2.0
"""Files in `tmp/`: written and hashed here, then moved into `cas/`; and the sweeping of what killed processes left.

A file that is in use is locked (flock(2)), so that a leftover can be told from it whoever wrote it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time

from pytrace_cas.store import crashpoints
from pytrace_cas.store.index import disk_failure
from pytrace_cas.store.layout import FILE_MODE, remove, unique_name
from pytrace_cas.store.pieces import Pieces, write_all
from pytrace_cas.store.reservations import KEPT_SECONDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pytrace_cas.digest import DigestFunction
    from pytrace_cas.store.layout import Layout
    from pytrace_cas.store.pieces import Pace

CHUNK = 1 << 18  # bytes read at a time
FORGOTTEN_SECONDS = 600  # an unlocked file in tmp/ of this age is a leftover
SWEEP_SECONDS = 3600  # at most one sweep in this time, all processes together
QUARANTINED = 16  # corrupt files kept for a look

_FICLONE = 0x40049409  # ioctl_ficlone(2)


class Staged:
    """One file in `tmp/`, locked while this object is open; `discard` leaves nothing. For one thread."""

    __slots__ = ("_layout", "_pieces", "_state", "fd", "moved", "path", "size")

    def __init__(self, layout: Layout, function: DigestFunction, fd: int = -1, path: bytes = b"") -> None:
        """Begin a new file, or take an empty one that is open and locked."""
        self._layout = layout
        self._state: Any = function.new()
        self._pieces: Pieces | None = None
        self.size = 0
        self.moved = False
        self.fd = fd
        self.path = path
        try:
            while self.fd < 0:
                self.path = layout.tmp + b"/" + unique_name()
                self.fd = locked_file(layout, self.path)
        except OSError as error:
            raise disk_failure(layout.root, error) from error
        crashpoints.reached("staged")

    def in_pieces(self, pace: Pace) -> Staged:
        """Write in large pieces what comes from now on, until `settle`; the file is empty. Return itself."""
        self._pieces = Pieces(self.fd, pace)
        return self

    def waits(self, count: int) -> bool:
        """Whether so many more bytes have a large piece written."""
        return self._pieces is not None and self._pieces.fills(count)

    def settle(self) -> None:
        """Write what may still be in memory: before anybody else reads the file."""
        if self._pieces is not None:
            pieces, self._pieces = self._pieces, None
            try:
                pieces.finish()
            except OSError as error:
                raise disk_failure(self._layout.root, error) from error

    def write(self, chunk: bytes | memoryview) -> None:
        """Append bytes and hash them."""
        self.fill(chunk)
        self._state.update(chunk)
        self.size += len(chunk)

    def fill(self, chunk: bytes | memoryview) -> None:
        """Append bytes whose hash is known."""
        try:
            if self._pieces is None:
                write_all(self.fd, chunk)
            else:
                self._pieces.append(chunk)
        except OSError as error:
            raise disk_failure(self._layout.root, error) from error
        crashpoints.reached("written")

    def copy(self, source: int) -> None:
        """Take the whole of an open file: its blocks where they can be shared, then or else its bytes.

        What is hashed is what this file holds, whatever happens to the source meanwhile.
        """
        try:
            if clone(source, self.fd):
                self.size += feed(self.fd, self._state)
                return
        except OSError as error:
            raise disk_failure(self._layout.root, error) from error
        for chunk in chunks_of(source):
            self.write(chunk)

    def resume(self) -> None:
        """Go on behind the bytes that the file holds, which are hashed again."""
        try:
            self.size = feed(self.fd, self._state)
            os.lseek(self.fd, self.size, os.SEEK_SET)
        except OSError as error:
            raise disk_failure(self._layout.root, error) from error

    def is_in_place(self) -> bool:
        """Whether the file has its name still; nobody takes it away under the store's write lock."""
        return os.fstat(self.fd).st_nlink > 0

    def hash(self) -> str:
        """Hash of what was written, in hex."""
        return str(self._state.hexdigest())

    def sync(self) -> None:
        """Make the bytes survive power loss."""
        try:
            os.fsync(self.fd)
        except OSError as error:
            raise disk_failure(self._layout.root, error) from error

    def discard(self) -> None:
        """Let go of the file, and remove it unless it was moved away."""
        if self.fd >= 0:
            if not self.moved:
                remove(self.path)
            self.let_go()

    def let_go(self) -> None:
        """Unlock the file and leave it where it is."""
        os.close(self.fd)
        self.fd = -1


def clone(source: int, target: int) -> bool:
    """Let an empty file that is open for both share another's blocks; say whether the file system could."""
    if fcntl.fcntl(target, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDWR:
        return False  # what landed could not be verified
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise
        return False
    return True


def chunks_of(fd: int, offset: int = 0) -> Iterator[memoryview]:
    """The bytes of a file from an offset to its end; a chunk is valid until the next. The file's own offset stays."""
    buffer = memoryview(bytearray(CHUNK))
    while count := os.preadv(fd, [buffer], offset):
        yield buffer[:count]
        offset += count


def feed(fd: int, state: Any) -> int:
    """Hash the whole of a file; return its size."""
    size = 0
    for chunk in chunks_of(fd):
        state.update(chunk)
        size += len(chunk)
    return size


def sweep_if_due(layout: Layout) -> None:
    """Sweep unless somebody did within the hour."""
    try:
        if abs(time.time() - os.stat(layout.maintenance).st_mtime) < SWEEP_SECONDS:
            return
        os.utime(layout.maintenance)
    except FileNotFoundError:
        os.close(os.open(layout.maintenance, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, FILE_MODE))
    sweep(layout)


def sweep(layout: Layout) -> int:
    """Empty the trash, remove leftovers, uploads that nobody went on with and the oldest of the quarantine.

    Return how many files there were of the former two.
    """
    count = sum(_remove_leftover(path, FORGOTTEN_SECONDS) for path in files_in(layout.tmp))
    count += sum(_remove_leftover(path, KEPT_SECONDS) for path in files_in(layout.uploads))
    empty_trash(layout)
    for path in sorted(files_in(layout.quarantine), key=changed)[:-QUARANTINED]:
        remove(path)
    return count


def empty_trash(layout: Layout) -> None:
    """Unlink what was moved to the trash: nobody looks for anything there."""
    for path in files_in(layout.trash):
        remove(path)


def files_in(folder: bytes) -> list[bytes]:
    """Paths of what lies in a folder, nothing if it is not there."""
    try:
        return [folder + b"/" + name for name in os.listdir(folder)]
    except FileNotFoundError:
        return []


def locked_file(layout: Layout, path: bytes) -> int:
    """A new file's descriptor, or -1 if a sweeper was faster than the lock; raise `FileExistsError`."""
    flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC
    try:
        fd = os.open(path, flags, FILE_MODE)
    except FileNotFoundError:  # somebody has tidied up
        layout.make_directories()
        fd = os.open(path, flags, FILE_MODE)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(fd).st_nlink:
            return fd
    except BlockingIOError:
        pass
    os.close(fd)
    return -1


def _remove_leftover(path: bytes, seconds: int) -> bool:
    if abs(time.time() - changed(path)) < seconds:
        return False
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        remove(path)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True


def changed(path: bytes) -> float:
    """Time of the last change; now for a file that is gone."""
    try:
        return os.stat(path).st_mtime
    except FileNotFoundError:
        return time.time()
