# SPDX-License-Identifier: Apache-2.0
"""Reading blobs: looked up in the index, read from there or from their file, verified, renewed.

A blob that does not have its digest is moved to quarantine and is missing from then on, and so are the results
that need it.
"""

from __future__ import annotations

import os

from pytrace_cas.digest import Digest
from pytrace_cas.store.ages import HIT_PATIENCE, Clock, clock_of
from pytrace_cas.store.index import OutOfSpace, StoreBusy, disk_failure
from pytrace_cas.store.layout import FILE_MODE, StoreError, place_of, unique_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pytrace_cas.digest import DigestFunction
    from pytrace_cas.store.counters import Counters
    from pytrace_cas.store.index import Index
    from pytrace_cas.store.layout import Layout
    from pytrace_cas.store.parts import Joined, Range
    from pytrace_cas.store.pending import Pending

CHUNK = 1 << 18  # bytes that iterating over a blob gives at a time
_ATTEMPTS = 3  # looks at a blob that is evicted and stored again between row and file

_ROW = """SELECT id, size, used, turn, data, (SELECT added FROM store), (SELECT max_size FROM store),
(SELECT min_lifetime FROM store), form FROM blobs WHERE function = ? AND hash = ?"""


class BlobNotFound(StoreError):
    """The blob `digest` of `function` is not in the store."""

    def __init__(self, path: bytes, function: DigestFunction, digest: Digest) -> None:
        super().__init__(path, f"no blob {function.name}:{digest} in the store in {os.fsdecode(path)}")
        self.function = function
        self.digest = digest


class BlobCorrupt(BlobNotFound):
    """What was read of the blob does not have its digest; it is in quarantine now."""


class BlobReader:
    """An open blob; it stays readable when the blob is evicted. For one thread at a time; a context manager.

    With `verify`, the end of the blob raises `BlobCorrupt` in place of the end if the bytes do not have the digest.
    """

    __slots__ = ("_blobs", "_data", "_digest", "_fd", "_function", "_offset", "_parts", "_state", "size")

    def __init__(self, blobs: Reader, function: DigestFunction, digest: Digest, offset: int, verify: bool) -> None:
        if not 0 <= offset <= digest.size_bytes or (verify and offset):
            raise ValueError(f"offset {offset} of {digest}: outside the blob, or not its start and to be verified")
        self.size = digest.size_bytes
        self._blobs = blobs
        self._function = function
        self._digest = digest
        self._offset = offset
        self._state: Any = function.new() if verify else None
        self._fd = -1
        self._data: bytes | None = None
        self._parts: Range | Joined | None = None
        found = blobs.find(function, digest)
        if isinstance(found, int):
            self._fd = found
        elif isinstance(found, bytes):
            self._data = found
        else:
            self._parts = found

    def __enter__(self) -> BlobReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[bytes]:
        while chunk := self.read(CHUNK):
            yield chunk

    def read(self, count: int) -> bytes:
        """At most `count` bytes; none at the end."""
        chunk = self.pread(count, self._offset)
        self._offset += len(chunk)
        if self._state is not None and count:
            self._follow(chunk)
        return chunk

    def pread(self, count: int, offset: int) -> bytes:
        """At most `count` bytes from an offset, unverified; none at the end."""
        if self._parts is not None:
            return self._parts.pread(count, offset)
        if self._data is None:
            return os.pread(self._fd, count, offset)
        return self._data[offset : offset + count]

    def close(self) -> None:
        """Let go of the blob."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self._parts is not None:
            self._parts.close()

    def _follow(self, chunk: bytes) -> None:
        self._state.update(chunk)
        ended = not chunk or self._offset >= self.size
        if ended and (self._offset, self._state.hexdigest()) != (self.size, self._digest.hash):
            self._blobs.condemn(self._function, self._digest, self._fd)
            raise BlobCorrupt(self._blobs.layout.root, self._function, self._digest)


class Reader:
    """Reads the blobs of one store. Any thread may call; nothing it gives is later taken back by an eviction."""

    def __init__(self, layout: Layout, index: Index, pending: Pending, counters: Counters) -> None:
        self.layout = layout
        self._index = index
        self._pending = pending
        self._counters = counters

    def get(self, function: DigestFunction, digest: Digest) -> bytes:
        """All of a blob, verified; raise `BlobNotFound`."""
        found = self.find(function, digest)
        if isinstance(found, bytes):
            return self._verified(function, digest, found, -1)
        if not isinstance(found, int):
            return self._verified(function, digest, b"".join(_all_of(found)), -1)
        try:
            with open(found, "rb", buffering=0, closefd=False) as file:
                return self._verified(function, digest, file.read(), found)
        except OSError as error:
            raise disk_failure(self.layout.root, error) from error
        finally:
            os.close(found)

    def copy_to(self, function: DigestFunction, digest: Digest, target: int) -> None:
        """Put a blob's verified bytes into an empty file that is open for writing.

        Raise `BlobNotFound`, and leave the file empty, if there are none. The file should be open for reading too:
        only then can it share the stored file's blocks.
        """
        from pytrace_cas.store.staging import write_all

        found = self.find(function, digest)
        if isinstance(found, bytes):
            write_all(target, self._verified(function, digest, found, -1))
            return
        landed = False
        try:
            landed = _landed(function, digest, found, target)
            if landed:
                return
        finally:
            if not landed:
                os.ftruncate(target, 0)
                os.lseek(target, 0, os.SEEK_SET)
            if not isinstance(found, int):
                found.close()
        try:
            self.condemn(function, digest, found if isinstance(found, int) else -1)
        finally:
            if isinstance(found, int):
                os.close(found)
        raise BlobNotFound(self.layout.root, function, digest)

    def find(
        self, function: DigestFunction, digest: Digest, patience: float = HIT_PATIENCE
    ) -> bytes | int | Range | Joined:
        """A blob's bytes, or an open descriptor of its file, of the right size, or its parts; raise `BlobNotFound`.

        Its age is renewed, unless another process keeps the write lock for `patience` seconds.
        """
        function.check(digest)
        if not digest.size_bytes:
            return b""
        for _ in range(_ATTEMPTS):
            row = self._row(function, digest, patience)
            if row is None:
                raise BlobNotFound(self.layout.root, function, digest)
            if row[8]:
                from pytrace_cas.store.parts import open_parts

                parts = open_parts(self, self._index, function, digest, row[0], row[8])
                if parts is None:
                    continue
                return parts
            if row[4] is not None:
                return bytes(row[4])
            try:
                path = self.layout.blob(place_of(function.name, digest.hash))
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            except FileNotFoundError:
                continue  # evicted since; perhaps stored again
            except OSError as error:
                raise disk_failure(self.layout.root, error) from error
            if os.fstat(fd).st_size == digest.size_bytes:
                return fd
            self.condemn(function, digest, fd)
            os.close(fd)
        self.condemn(function, digest, None)
        raise BlobNotFound(self.layout.root, function, digest)

    def named(self, function: DigestFunction, hash: str) -> Digest | None:
        """Digest of the blob with that hash, None if there is none."""
        empty = function.empty_digest()
        if hash == empty.hash:
            return empty
        with self._index.read() as db:
            query = "SELECT size FROM blobs WHERE function = ? AND hash = ?"
            row = db.execute(query, (function.number, bytes.fromhex(hash))).fetchone()
        return Digest(hash, row[0]) if row else None

    def _verified(self, function: DigestFunction, digest: Digest, data: bytes, fd: int) -> bytes:
        if function.of(data) == digest:
            return data
        self.condemn(function, digest, fd)
        raise BlobNotFound(self.layout.root, function, digest)

    def _row(self, function: DigestFunction, digest: Digest, patience: float) -> tuple[Any, ...] | None:
        key = (function.number, bytes.fromhex(digest.hash))
        with self._index.read() as db:
            row: tuple[Any, ...] | None = db.execute(_ROW, key).fetchone()
        if row is None or row[1] != digest.size_bytes:
            return None
        if Clock(*row[5:8]).stale(row[2], row[3]) and not self._renew(key, patience):
            return None
        return row

    def _renew(self, key: tuple[int, bytes], patience: float) -> bool:
        """Renew a blob's age; False if it is gone."""
        if self._index.read_only:
            return True
        try:
            with self._index.write(patience) as db:
                clock = clock_of(db)
                query = "UPDATE blobs SET used = ?, turn = ? WHERE function = ? AND hash = ?"
                return bool(db.execute(query, (clock.now, clock.turn, *key)).rowcount)
        except (StoreBusy, OutOfSpace):
            if patience != HIT_PATIENCE:
                raise
            return True  # the next reader will try again

    def condemn(self, function: DigestFunction, digest: Digest, fd: int | None) -> None:
        """Drop a blob that was found damaged, with the results that need it; its bytes go to quarantine.

        `fd` is the file that was found so, -1 the bytes in the index, None a file that is not there. Nothing happens if
        another process has put a good one in its place. A store that is open for reading only stays as it is.
        """
        if self._index.read_only:
            return
        place = place_of(function.name, digest.hash)
        key = (function.number, bytes.fromhex(digest.hash))
        with self._index.read() as db:
            row = db.execute("SELECT id, form FROM blobs WHERE function = ? AND hash = ?", key).fetchone()
        if row is not None and row[1]:
            from pytrace_cas.store.parts import drop_damaged

            drop_damaged(self, self._index, function, row[0])
            self._counters.count("blobs_corrupt")
            return
        with self._index.write() as db:
            self._pending.settle(db)
            row = db.execute("SELECT id, data FROM blobs WHERE function = ? AND hash = ? AND form = 0", key).fetchone()
            if row is None or not self._is_still(place, row[1], fd):
                return
            self._pending.announce([place])
            db.execute("DELETE FROM blobs WHERE id = ?", row[:1])
        if row[1] is None:
            with self._index.write() as db:
                self._pending.settle(db, keep=place)
        else:
            self._keep(place, row[1])
        self._counters.count("blobs_corrupt")

    def _is_still(self, place: str, data: bytes | None, fd: int | None) -> bool:
        if data is not None:
            return fd == -1
        try:
            status = os.stat(self.layout.blob(place), follow_symlinks=False)
        except FileNotFoundError:
            return True
        return fd is not None and fd >= 0 and os.path.samestat(status, os.fstat(fd))

    def _keep(self, place: str, data: bytes) -> None:
        name = place.replace("/", "-").encode("ascii") + b"-" + unique_name()
        fd = os.open(self.layout.quarantine + b"/" + name, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, FILE_MODE)
        try:
            os.write(fd, data)
        finally:
            os.close(fd)


def _all_of(parts: Range | Joined) -> Iterator[bytes]:
    """The bytes of an open range or list, which is closed afterwards."""
    try:
        offset = 0
        while chunk := parts.pread(CHUNK, offset):
            yield chunk
            offset += len(chunk)
    finally:
        parts.close()


def _landed(function: DigestFunction, digest: Digest, source: int | Range | Joined, target: int) -> bool:
    """Copy a blob; say whether the bytes that went into the target have the digest."""
    from pytrace_cas.store.staging import chunks_of, clone, feed, write_all

    state = function.new()
    if isinstance(source, int) and clone(source, target):
        return (feed(target, state), state.hexdigest()) == (digest.size_bytes, digest.hash)
    size = 0
    for chunk in chunks_of(source) if isinstance(source, int) else _all_of(source):
        write_all(target, chunk)
        state.update(chunk)
        size += len(chunk)
    return (size, state.hexdigest()) == (digest.size_bytes, digest.hash)
