# SPDX-License-Identifier: Apache-2.0
"""Reading blobs: looked up in the index, read from there or from their file, verified, renewed.

A blob that does not have its digest is moved to quarantine and is missing from then on, and so are the results
that need it.
"""

from __future__ import annotations

import os

from pytrace_cas.digest import Digest
from pytrace_cas.store.ages import HIT_PATIENCE, Clock, clock_of
from pytrace_cas.store.index import DiskFailed, OutOfSpace, StoreBusy, disk_failure
from pytrace_cas.store.layout import FILE_MODE, StoreError, place_of, unique_name
from pytrace_cas.store.verified import VerifiedFiles, state_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, TypeAlias

    from pytrace_cas.digest import DigestFunction
    from pytrace_cas.store.counters import Counters
    from pytrace_cas.store.index import Index
    from pytrace_cas.store.layout import Layout
    from pytrace_cas.store.packed import PackedFile
    from pytrace_cas.store.parts import Joined, Range
    from pytrace_cas.store.pending import Pending

    Found: TypeAlias = bytes | int | PackedFile | Range | Joined

CHUNK = 1 << 18  # bytes that iterating over a blob gives at a time
_PIECE = 1 << 20  # ... and that copying one asks for: a whole frame
_ATTEMPTS = 3  # looks at a blob that is evicted and stored again between row and file

_ROW = """SELECT id, size, used, turn, data, (SELECT added FROM store), (SELECT max_size FROM store),
(SELECT min_lifetime FROM store), packed, form FROM blobs WHERE function = ? AND hash = ?"""


class BlobNotFound(StoreError):
    """The blob `digest` of `function` is not in the store."""

    def __init__(self, path: bytes, function: DigestFunction, digest: Digest) -> None:
        super().__init__(path, f"no blob {function.name}:{digest} in the store in {os.fsdecode(path)}")
        self.function = function
        self.digest = digest


class BlobCorrupt(BlobNotFound):
    """What was read of the blob does not have its digest; it is in quarantine now."""


class DamagedPack(Exception):
    """A file is no compressed blob of that size, or one of its frames is not what was written."""


class BlobReader:
    """An open blob; it stays readable when the blob is evicted. For one thread at a time; a context manager.

    With `verify`, the end of the blob raises `BlobCorrupt` in place of the end if the bytes do not have the digest;
    a file that was verified lately and not changed since is not hashed again.
    """

    __slots__ = ("_blobs", "_digest", "_file", "_found", "_function", "_offset", "_state", "size")

    def __init__(self, blobs: Reader, function: DigestFunction, digest: Digest, offset: int, verify: bool) -> None:
        if not 0 <= offset <= digest.size_bytes or (verify and offset):
            raise ValueError(f"offset {offset} of {digest}: outside the blob, or not its start and to be verified")
        self.size = digest.size_bytes
        self._blobs = blobs
        self._function = function
        self._digest = digest
        self._offset = offset
        self._found: Found = blobs.find(function, digest)
        self._file = state_of(self._found) if verify and isinstance(self._found, int) else None
        known = self._file is not None and blobs.verified.lately(digest.hash, self._file)
        self._state: Any = function.new() if verify and not known else None

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
        """At most `count` bytes from an offset, unverified; none at the end. Raise `BlobCorrupt`."""
        try:
            return read_at(self._found, count, offset)
        except DamagedPack:
            raise self._condemned() from None

    def stored_frame(self) -> bytes:
        """The zstd frame that begins where the reader is, as it lies in the store; none if no frame begins there.

        It is verified by itself, whether or not the blob is.
        """
        from pytrace_cas.store.packed import PackedFile

        packed = self._found
        if not isinstance(packed, PackedFile) or self._offset >= self.size or self._offset % packed.frame_size:
            return b""
        try:
            frame = packed.frame(self._offset // packed.frame_size)
        except DamagedPack:
            raise self._condemned() from None
        self._offset = min(self.size, self._offset + packed.frame_size)
        return frame

    def close(self) -> None:
        """Let go of the blob."""
        found, self._found = self._found, -1
        close_found(found)

    def cut_short(self) -> StoreError:
        """Make the error of a file that ends before its blob does."""
        return DiskFailed(self._blobs.layout.root, f"the file of blob {self._digest} ends too early")

    def _follow(self, chunk: bytes) -> None:
        self._state.update(chunk)
        ended = not chunk or self._offset >= self.size
        if not ended:
            return
        if (self._offset, self._state.hexdigest()) != (self.size, self._digest.hash):
            raise self._condemned()
        if self._file is not None and isinstance(self._found, int) and state_of(self._found) == self._file:
            self._blobs.verified.add(self._digest.hash, self._file)

    def _condemned(self) -> BlobCorrupt:
        self._blobs.condemn(self._function, self._digest, file_of(self._found))
        return BlobCorrupt(self._blobs.layout.root, self._function, self._digest)


class Reader:
    """Reads the blobs of one store. Any thread may call; nothing it gives is later taken back by an eviction."""

    def __init__(self, layout: Layout, index: Index, pending: Pending, counters: Counters) -> None:
        self.layout = layout
        self.verified = VerifiedFiles()
        self._index = index
        self._pending = pending
        self._counters = counters

    def get(self, function: DigestFunction, digest: Digest, patience: float | None = HIT_PATIENCE) -> bytes:
        """All of a blob, verified; raise `BlobNotFound`. `patience` as in `find`."""
        found = self.find(function, digest, patience)
        try:
            return self._verified(function, digest, _all_of(found), file_of(found))
        except OSError as error:
            raise disk_failure(self.layout.root, error) from error
        finally:
            close_found(found)

    def copy_to(self, function: DigestFunction, digest: Digest, target: int) -> None:
        """Put a blob's verified bytes into an empty file that is open for writing.

        Raise `BlobNotFound`, and leave the file empty, if there are none. The file should be open for reading too:
        only then can it share the stored file's blocks.
        """
        from pytrace_cas.store.pieces import write_all

        found = self.find(function, digest)
        if isinstance(found, bytes):
            write_all(target, self._verified(function, digest, found, -1))
            return
        landed = False
        try:
            landed = _landed(function, digest, found, target)
            if landed:
                return
            self.condemn(function, digest, file_of(found))
        finally:
            close_found(found)
            if not landed:
                os.ftruncate(target, 0)
                os.lseek(target, 0, os.SEEK_SET)
        raise BlobNotFound(self.layout.root, function, digest)

    def find(self, function: DigestFunction, digest: Digest, patience: float | None = HIT_PATIENCE) -> Found:
        """A blob's bytes, an open descriptor of its file, of the right size, its frames, or its parts.

        Raise `BlobNotFound`. What was found is read with `read_at`, and let go of with `close_found`.

        Its age is renewed, unless another process keeps the write lock for `patience` seconds; with None it is not.
        """
        function.check(digest)
        if not digest.size_bytes:
            return b""
        for _ in range(_ATTEMPTS):
            row = self._row(function, digest, patience)
            if row is None:
                raise BlobNotFound(self.layout.root, function, digest)
            if row[9]:
                from pytrace_cas.store.parts import open_parts

                parts = open_parts(self, self._index, function, digest, row[0], row[9])
                if parts is None:
                    continue
                return parts
            if row[4] is not None:
                return bytes(row[4])
            try:
                path = self.layout.blob(place_of(function.name, digest.hash, row[8] is not None))
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            except FileNotFoundError:
                continue  # evicted since; perhaps stored again
            except OSError as error:
                raise disk_failure(self.layout.root, error) from error
            if row[8] is None and os.fstat(fd).st_size == digest.size_bytes:
                return fd
            if row[8] is not None and (packed := _packed_file(fd, digest.size_bytes, row[8])):
                return packed
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

    def _verified(self, function: DigestFunction, digest: Digest, data: bytes, fd: int | None) -> bytes:
        if function.of(data) == digest:
            return data
        self.condemn(function, digest, fd)
        raise BlobNotFound(self.layout.root, function, digest)

    def _row(self, function: DigestFunction, digest: Digest, patience: float | None) -> tuple[Any, ...] | None:
        key = (function.number, bytes.fromhex(digest.hash))
        with self._index.read() as db:
            row: tuple[Any, ...] | None = db.execute(_ROW, key).fetchone()
        if row is None or row[1] != digest.size_bytes:
            return None
        if patience is not None and Clock(*row[5:8]).stale(row[2], row[3]) and not self._renew(key, patience):
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

        `fd` is the file that was found so, -1 the bytes in the index, None parts or a file that is not there. Nothing
        happens if another process has put a good one in its place. A store that is open for reading only stays as it
        is.
        """
        if self._index.read_only:
            return
        key = (function.number, bytes.fromhex(digest.hash))
        with self._index.read() as db:
            row = db.execute("SELECT form FROM blobs WHERE function = ? AND hash = ?", key).fetchone()
        if row is not None and row[0]:
            from pytrace_cas.store.parts import drop_damaged

            drop_damaged(self, self._index, function, digest)
            self._counters.count("blobs_corrupt")
            return
        with self._index.write() as db:
            self._pending.settle(db)
            query = "SELECT id, data, packed FROM blobs WHERE function = ? AND hash = ? AND form = 0"
            row = db.execute(query, key).fetchone()
            if row is None:
                return
            place = place_of(function.name, digest.hash, row[2] is not None)
            if not self._is_still(place, row[1], fd):
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


def close_found(found: Found) -> None:
    """Let go of what `Reader.find` gave."""
    if isinstance(found, int):
        if found >= 0:
            os.close(found)
    elif not isinstance(found, bytes):
        found.close()


def read_at(found: Found, count: int, offset: int) -> bytes:
    """At most `count` bytes of what `Reader.find` gave, from an offset of the blob; none behind its end.

    Raise `DamagedPack`, or `BlobNotFound` if it depends on what is gone.
    """
    if isinstance(found, int):
        return os.pread(found, count, offset)
    if isinstance(found, bytes):
        return found[offset : offset + count]
    return found.pread(count, offset)


def file_of(found: Found) -> int | None:
    """The descriptor of what `Reader.find` gave, as `Reader.condemn` takes it."""
    if isinstance(found, int):
        return found
    return -1 if isinstance(found, bytes) else found.fd


def _all_of(found: Found) -> bytes:
    """All of it; of damaged frames nothing."""
    if isinstance(found, bytes):
        return found
    if isinstance(found, int):
        with open(found, "rb", buffering=0, closefd=False) as file:
            return file.read()
    try:
        return b"".join(_pieces(found))
    except DamagedPack:
        return b""


def _pieces(found: Found) -> Iterator[bytes]:
    offset = 0
    while piece := read_at(found, _PIECE, offset):
        yield piece
        offset += len(piece)


def _packed_file(fd: int, size: int, packed: int) -> PackedFile | None:
    from pytrace_cas.store.packed import PackedFile

    try:
        return PackedFile(fd, size) if os.fstat(fd).st_size == packed else None
    except DamagedPack:
        return None


def _landed(function: DigestFunction, digest: Digest, source: Found, target: int) -> bool:
    """Copy a blob; say whether the bytes that went into the target have the digest."""
    from pytrace_cas.store.pieces import write_all
    from pytrace_cas.store.staging import chunks_of, clone, feed

    state = function.new()
    if isinstance(source, int) and clone(source, target):
        return (feed(target, state), state.hexdigest()) == (digest.size_bytes, digest.hash)
    size = 0
    try:
        for piece in chunks_of(source) if isinstance(source, int) else _pieces(source):
            write_all(target, piece)
            state.update(piece)
            size += len(piece)
    except DamagedPack:
        return False
    return (size, state.hexdigest()) == (digest.size_bytes, digest.hash)
