# SPDX-License-Identifier: Apache-2.0
"""Unfinished uploads: kept in `uploads/` under their names, over the death of the stream and of the process.

A file there is locked by the stream that writes it, whichever process that is in. Each holds the first bytes of its
blob, whoever wrote them, so that any other stream can go on behind them.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from contextlib import suppress

from pytrace_cas.digest import Digest
from pytrace_cas.store import crashpoints
from pytrace_cas.store.adding import INLINE, DigestMismatch, UploadTakenOver
from pytrace_cas.store.index import OutOfSpace, StoreBusy, disk_failure
from pytrace_cas.store.layout import StoreError, remove, sync_directory
from pytrace_cas.store.reservations import KEPT_SECONDS, UPLOADS, has_room, name_of, release
from pytrace_cas.store.room import charge_of_blob
from pytrace_cas.store.staging import Staged, changed, chunks_of, files_in, locked_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_cas.digest import DigestFunction
    from pytrace_cas.store.adding import Adder
    from pytrace_cas.store.index import Index
    from pytrace_cas.store.layout import Layout
    from pytrace_cas.store.room import Room

MOST_KEPT = 256  # unfinished uploads
KEPT_SHARE = 4  # of the limit that all of them together may reserve: a quarter
_LOOK_SECONDS = 60.0  # between two looks for uploads that are over their time


class WrongOffset(StoreError):
    """An upload cannot go on where a stream begins; it stands at `expected`."""

    def __init__(self, path: bytes, offset: int, expected: int) -> None:
        super().__init__(path, f"{offset} is not {expected}, where the upload stands")
        self.offset = offset
        self.expected = expected


class UploadWriter:
    """Takes the rest of one upload; for one thread. Ends with `commit`, `leave` or `discard`.

    What a file holds of it when `write` returns is there again after a kill. A small blob that comes in one stream
    stays in memory, and is kept by `leave`. Without `path`, nothing of it is.
    """

    __slots__ = ("_digest", "_function", "_parts", "_path", "_staged", "_uploads", "written")

    def __init__(
        self, uploads: Uploads, path: bytes, function: DigestFunction, digest: Digest, staged: Staged | None
    ) -> None:
        self.written = staged.size if staged else 0
        self._uploads = uploads
        self._path = path
        self._function = function
        self._digest = digest
        self._staged = staged
        self._parts: list[bytes] = []

    def write(self, chunk: bytes | memoryview) -> None:
        """Append bytes; raise `DigestMismatch` once there are too many, `OutOfSpace`, `UploadTakenOver`."""
        if self.written + len(chunk) > self._digest.size_bytes:
            raise DigestMismatch(self._uploads.layout.root, self._digest, None)
        if self._staged is None:
            self._parts.append(bytes(chunk))
        else:
            if not self._staged.is_in_place():
                raise UploadTakenOver(self._uploads.layout.root)
            self._staged.write(chunk)
        self.written += len(chunk)

    def waits(self, count: int) -> bool:
        """Whether so many more bytes have to wait for the disk."""
        return self._staged is not None and self._staged.waits(count)

    def commit(self) -> Digest:
        """Store the blob and forget the upload; raise `DigestMismatch` and store nothing if the bytes are others."""
        if self.written != self._digest.size_bytes:
            raise DigestMismatch(self._uploads.layout.root, self._digest, None)
        adder = self._uploads.adder
        if self._digest.size_bytes <= INLINE:
            adder.put(self._function, self._bytes(), self._digest)
        else:
            assert self._staged is not None
            found = Digest(self._staged.hash(), self._staged.size)
            if found != self._digest:
                raise DigestMismatch(self._uploads.layout.root, self._digest, found)
            adder.publish(self._function, found, self._staged, self._staged.path)
        self.discard()
        return self._digest

    def leave(self) -> None:
        """Keep what has come for a stream that goes on."""
        if not self._path or not self.written:
            self.discard()
            return
        if self._staged is None:
            self._staged = self._uploads.spill(self._path, self._function, self._digest.size_bytes, self._bytes())
        if self._staged is not None:
            with suppress(StoreError):  # then less is kept
                self._staged.settle()
            os.utime(self._staged.fd)
            self._staged.let_go()
            self._staged = None
            crashpoints.reached("upload-left")
        self._parts.clear()
        self._uploads.expire()

    def discard(self) -> None:
        """Drop what has come; after the others, nothing."""
        self._parts.clear()
        if self._staged is not None:
            staged, self._staged = self._staged, None
            self._uploads.drop(staged)

    def _bytes(self) -> bytes:
        if self._staged is None:
            return b"".join(self._parts)
        return b"".join(bytes(chunk) for chunk in chunks_of(self._staged.fd))


class Uploads:
    """The unfinished uploads of one store. Any thread of any process may call."""

    def __init__(self, layout: Layout, index: Index, room: Room, adder: Adder) -> None:
        self.layout = layout
        self.adder = adder
        self._index = index
        self._room = room
        self._looked_at = time.monotonic()

    def begin(self, name: str, function: DigestFunction, digest: Digest, offset: int) -> UploadWriter:
        """Go on with an upload at its offset, or begin; raise `WrongOffset`, `OutOfSpace`.

        A stream may begin at 0 although something is kept, which counts then: `written` tells how much. While another
        stream writes, it writes for itself; at the other's offset it takes over.
        """
        function.check(digest)
        if time.monotonic() - self._looked_at > _LOOK_SECONDS:
            self.expire()
        path = self._path(name)
        while True:
            fd = _open(path)
            if fd < 0:
                if offset:
                    raise WrongOffset(self.layout.root, offset, 0)
                staged = self._fresh(path, function, digest.size_bytes)
                return UploadWriter(self, path, function, digest, staged)
            writer = self._go_on(path, fd, function, digest, offset)
            if writer is not None and writer.written <= digest.size_bytes:
                return writer
            if writer is not None:
                writer.discard()  # damage: nobody writes more than the blob

    def committed(self, name: str) -> int:
        """Bytes that can be gone on behind, after a kill too."""
        path = self._path(name)
        fd = _open(path)
        if fd < 0:
            return 0
        try:
            if self._index.fsync:
                os.fsync(fd)
                sync_directory(self.layout.uploads)
            return os.fstat(fd).st_size
        finally:
            os.close(fd)

    def spill(self, path: bytes, function: DigestFunction, size: int, data: bytes) -> Staged | None:
        """Put what has come of a small upload into a file; None if there is no room for it, or one of its name."""
        try:
            staged = self._create(path, function, size)
        except (FileExistsError, OutOfSpace, StoreBusy):
            return None
        try:
            staged.write(data)
        except StoreError:
            self.drop(staged)
            return None
        return staged

    def drop(self, staged: Staged) -> None:
        """Remove an upload's file with its reservation, unless it was published or another stream has taken over."""
        if not staged.moved:
            try:
                self._remove(staged.fd, staged.path)
            except (StoreBusy, OutOfSpace):
                os.ftruncate(staged.fd, 0)  # nothing wrong may be gone on with
        staged.let_go()

    def expire(self) -> None:
        """Drop what nobody went on with for an hour; beyond the most that are kept, or may be reserved, the oldest."""
        self._looked_at = time.monotonic()
        with self._index.read() as db:
            (limit,) = db.execute("SELECT max_size FROM store").fetchone()
            charges = dict(db.execute(f"SELECT file, charge FROM reservations WHERE file GLOB '{UPLOADS}*'"))
        total = 0
        newest_first = sorted(files_in(self.layout.uploads), key=changed, reverse=True)
        for count, path in enumerate(newest_first, 1):
            total += charges.get(name_of(path), 0)
            is_many = count > MOST_KEPT or (count > 1 and total * KEPT_SHARE > limit)
            if is_many or abs(time.time() - changed(path)) >= KEPT_SECONDS:
                self._remove_unlocked(path)

    def _path(self, name: str) -> bytes:
        return self.layout.uploads + b"/" + hashlib.sha256(name.encode("utf-8")).hexdigest().encode("ascii")

    def _fresh(self, path: bytes, function: DigestFunction, size: int) -> Staged | None:
        """A file for a new upload; None for one that is small."""
        if size <= INLINE:
            return None
        self.adder.check_room(size)
        try:
            return self._create(path, function, size)
        except FileExistsError:
            return self.adder.reserve(function, size)

    def _create(self, path: bytes, function: DigestFunction, size: int) -> Staged:
        fd = -1
        try:
            while fd < 0:
                fd = locked_file(self.layout, path)
        except FileExistsError:
            raise
        except OSError as error:
            raise disk_failure(self.layout.root, error) from error
        staged = Staged(self.layout, function, fd, path)
        try:
            self._room.keep(path, charge_of_blob(size, False))
        except BaseException:
            self.drop(staged)
            raise
        return self.adder.prepare(staged, size)

    def _go_on(
        self, path: bytes, fd: int, function: DigestFunction, digest: Digest, offset: int
    ) -> UploadWriter | None:
        """Write the file that is there, or another one while a stream writes that; None if it is gone."""
        is_mine = _lock(fd)
        status = os.fstat(fd)
        if not status.st_nlink or offset not in (0, status.st_size):
            os.close(fd)
            if status.st_nlink:
                raise WrongOffset(self.layout.root, offset, status.st_size)
            return None
        if is_mine:
            staged = self._resume(Staged(self.layout, function, fd, path), digest.size_bytes)
            return UploadWriter(self, path, function, digest, staged)
        try:
            if offset:
                return UploadWriter(self, path, function, digest, self._take_over(path, fd, function, offset))
            size = digest.size_bytes
            return UploadWriter(
                self, b"", function, digest, self.adder.reserve(function, size) if size > INLINE else None
            )
        finally:
            os.close(fd)

    def _resume(self, staged: Staged, size: int) -> Staged:
        try:
            staged.resume()
            with self._index.read() as db:
                known = has_room(db, staged.path)
            if not known:  # the index was made anew
                self._room.keep(staged.path, charge_of_blob(size, False))
        except BaseException:
            staged.let_go()
            raise
        return staged

    def _take_over(self, path: bytes, old: int, function: DigestFunction, offset: int) -> Staged:
        """Go on with a copy in place of the file that another stream writes, whose next write finds it gone."""
        staged = Staged(self.layout, function)
        try:
            for chunk in chunks_of(old):
                staged.write(chunk[: offset - staged.size])
            with self._index.write():
                status = os.fstat(old)
                if not status.st_nlink or status.st_size != offset:
                    raise WrongOffset(self.layout.root, offset, status.st_size if status.st_nlink else 0)
                os.rename(staged.path, path)
            staged.path = path
        except BaseException:
            staged.discard()
            raise
        return staged

    def _remove_unlocked(self, path: bytes) -> None:
        fd = _open(path)
        if fd < 0:
            return
        try:
            if _lock(fd):
                self._remove(fd, path)
        except (StoreBusy, OutOfSpace):
            return  # the next look finds it
        finally:
            os.close(fd)

    def _remove(self, fd: int, path: bytes) -> None:
        with self._index.write() as db:
            if os.fstat(fd).st_nlink:
                release(db, path)
                remove(path)


def _open(path: bytes) -> int:
    """A descriptor, or -1 if there is no such file."""
    try:
        return os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return -1


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
