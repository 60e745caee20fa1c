# SPDX-License-Identifier: Apache-2.0
"""Connections to `index.sqlite`: opening it, reading, and one write transaction at a time.

SQLite's write lock is the store's only lock: who holds it may move files into and out of `cas/`.
"""

from __future__ import annotations

import _sqlite3 as sqlite
import errno
import os
from _thread import allocate_lock

from pytrace_cas.store import crashpoints
from pytrace_cas.store.layout import (
    NoStore,
    StoreError,
    StoreNotWritable,
    unreadable,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

    from pytrace_cas.store.layout import Layout

FORMAT = 5  # of the store that this version reads and writes; kept as the index's `user_version`
APPLICATION_ID = 0x70797463  # "pytc": tells an index from any other database
DEFAULT_MAX_SIZE = 10 << 30
PATIENCE = 30.0  # seconds to wait for another writer

# What SQLite answers when there is no room: FULL; a write or the growing of shared memory that failed (a quota).
_NO_ROOM = (13, 10 | 3 << 8, 10 | 19 << 8)


class CorruptIndex(StoreError):
    """SQLite finds `index.sqlite` damaged; `why` is its word for it."""

    def __init__(self, path: bytes, why: str) -> None:
        shown = os.fsdecode(path)
        super().__init__(
            path, f"the index of the store in {shown} is damaged ({why}): pytrace-cas check --repair --dir {shown}"
        )
        self.why = why


class IndexFailed(StoreError):
    """The index cannot be read or written for a reason that is none of the others."""

    def __init__(self, path: bytes, why: str) -> None:
        super().__init__(path, f"the index of the store in {os.fsdecode(path)} failed: {why}")
        self.why = why


class StoreBusy(StoreError):
    """Another process kept the write lock for longer than this one waits."""

    def __init__(self, path: bytes) -> None:
        super().__init__(path, f"the store in {os.fsdecode(path)} is locked by another process; try again")


class ReadOnlyStore(StoreError):
    """The store was opened `read_only`."""

    def __init__(self, path: bytes) -> None:
        super().__init__(path, f"the store in {os.fsdecode(path)} is open for reading only")


class OutOfSpace(StoreError):
    """There is no room: `needed` bytes against the store's `limit`, or, where these are None, on the disk.

    With a `min_lifetime` (seconds), what fills the store is younger and has to stay.
    """

    def __init__(self, path: bytes, needed: int | None = None, limit: int | None = None, min_lifetime: int = 0) -> None:
        shown = os.fsdecode(path)
        reason = "the disk or the quota is full" if needed is None else f"{needed} bytes do not fit into {limit}"
        if min_lifetime:
            reason += f" beside what is younger than {min_lifetime} s and stays"
        super().__init__(path, f"no room in the store in {shown}: {reason}; free some or raise --max-size")
        self.needed = needed
        self.limit = limit
        self.min_lifetime = min_lifetime


class DiskFailed(StoreError):
    """A file of the store cannot be read or written, and not for a lack of room."""

    def __init__(self, path: bytes, why: str) -> None:
        super().__init__(path, f"a file of the store in {os.fsdecode(path)} failed: {why}")
        self.why = why


def disk_failure(root: bytes, error: OSError) -> StoreError:
    """The store's own error for one of the file system's."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return OutOfSpace(root)
    return DiskFailed(root, error.strerror or str(error))


class Index:
    """A pool of connections to one index; any thread may use it.

    A connection is borrowed for one use and never shared. After a fork the child closes what it inherited.
    """

    def __init__(self, layout: Layout, fsync: bool, read_only: bool) -> None:
        self.layout = layout
        self.fsync = fsync
        self.read_only = read_only
        self.write_lock = allocate_lock()
        self._idle: list[sqlite.Connection] = []
        self._lent: list[None] = []  # one for each borrowed connection: a list counts without a lock
        self._stranded = False
        self._uri = b"file:" + _quoted(layout.index) + (b"?mode=ro" if read_only else b"?mode=rw")
        _open_indexes.append(self)

    def borrow(self) -> sqlite.Connection:
        """Take a connection, opening one when none is idle."""
        if self._stranded:
            raise IndexFailed(self.layout.root, "this process was forked while a thread used the store; open it after")
        self._lent.append(None)
        try:
            return self._idle.pop()
        except IndexError:
            pass
        try:
            return self._connect()
        except BaseException:
            self._lent.pop()
            raise

    def give_back(self, db: sqlite.Connection) -> None:
        """Return a connection that is in no transaction."""
        self._lent.pop()
        self._idle.append(db)

    def read(self) -> Reading:
        """Borrow a connection for reading: `with index.read() as db`; each statement sees one moment."""
        return Reading(self)

    def write(self, patience: float = PATIENCE) -> Writing:
        """Hold the write lock: `with index.write() as db`; commits at the end, undoes everything on an exception."""
        return Writing(self, patience)

    def reading_uri(self) -> str:
        """The URI of the index for a connection that only reads."""
        with self.read():  # an index that nobody can be writing is opened as such
            return "".join(chr(b) if b < 0x80 else f"%{b:02x}" for b in self._uri.replace(b"?mode=rw", b"?mode=ro"))

    def close(self) -> None:
        """Close the idle connections; the last process to do so folds the log into the index."""
        if self in _open_indexes:
            _open_indexes.remove(self)
        while self._idle:
            self._idle.pop().close()

    def after_fork(self) -> None:
        """Start over in a forked child: SQLite's locks stayed with the parent."""
        self._stranded = bool(self._lent)
        self.write_lock = allocate_lock()
        while self._idle:
            self._idle.pop().close()

    def failure(self, error: sqlite.Error) -> StoreError:
        """The store's own error for one of SQLite's."""
        code = getattr(error, "sqlite_errorcode", 0)
        root, why = self.layout.root, str(error)
        if code in _NO_ROOM:
            return OutOfSpace(root)
        match code & 0xFF:
            case 5 | 6:  # BUSY, LOCKED
                return StoreBusy(root)
            case 11 | 26:  # CORRUPT, NOTADB
                return CorruptIndex(root, why)
            case 8:  # READONLY
                return ReadOnlyStore(root) if self.read_only else StoreNotWritable(root, why)
            case 1:  # ERROR: a statement names a table that is not there
                return CorruptIndex(root, why)
            case 14:  # CANTOPEN
                return self._cannot_open()
        return IndexFailed(root, why)

    def _connect(self) -> sqlite.Connection:
        db = sqlite.connect(
            self._uri, PATIENCE, isolation_level=None, check_same_thread=False, cached_statements=64, uri=True
        )
        try:
            db.execute(f"PRAGMA synchronous = {'FULL' if self.fsync else 'NORMAL'}")
            if self.read_only:
                db.execute("PRAGMA user_version").fetchone()
        except sqlite.Error:
            db.close()
            if not self.read_only or b"immutable" in self._uri or not self._still():
                raise
            self._uri += b"&immutable=1"
            return self._connect()
        return db

    def _still(self) -> bool:
        """Whether nobody can be writing: the folder takes no file, and no log waits to be folded in."""
        try:
            if os.stat(self.layout.index + b"-wal").st_size:
                return False
        except FileNotFoundError:
            pass
        return not os.access(self.layout.root, os.W_OK)

    def _cannot_open(self) -> StoreError:
        root = self.layout.root
        if not os.path.lexists(self.layout.index):
            return NoStore(root)
        if not os.access(self.layout.index, os.R_OK):
            return unreadable(root, self.layout.index, "its index may not be read")
        if not self.read_only and not (os.access(self.layout.index, os.W_OK) and os.access(root, os.W_OK)):
            return StoreNotWritable(root, "its index or its folder may not be written")
        return IndexFailed(root, "its index cannot be opened")


class Reading:
    """A borrowed connection; SQLite's errors leave it as the store's own."""

    __slots__ = ("_db", "_index")

    def __init__(self, index: Index) -> None:
        self._index = index

    def __enter__(self) -> sqlite.Connection:
        try:
            self._db = self._index.borrow()
        except sqlite.Error as error:
            raise self._index.failure(error) from error
        return self._db

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._index.give_back(self._db)
        if isinstance(error, sqlite.Error):
            raise self._index.failure(error) from error


class Writing:
    """The write lock of a store, for one transaction."""

    __slots__ = ("_db", "_index", "_patience")

    def __init__(self, index: Index, patience: float) -> None:
        self._index = index
        self._patience = patience

    def __enter__(self) -> sqlite.Connection:
        index = self._index
        if index.read_only:
            raise ReadOnlyStore(index.layout.root)
        # Threads queue here: SQLite's own waiting polls, and is for other processes.
        if not index.write_lock.acquire(timeout=self._patience):
            raise StoreBusy(index.layout.root)
        try:
            self._db = index.borrow()
            self._begin()
        except BaseException as error:
            index.write_lock.release()
            if isinstance(error, sqlite.Error):
                raise index.failure(error) from error
            raise
        return self._db

    def _begin(self) -> None:
        hurried = self._patience != PATIENCE
        try:
            if hurried:
                self._db.execute(f"PRAGMA busy_timeout = {int(self._patience * 1000)}")
            try:
                self._db.execute("BEGIN IMMEDIATE")
            finally:
                if hurried:
                    self._db.execute(f"PRAGMA busy_timeout = {int(PATIENCE * 1000)}")
        except BaseException:
            self._index.give_back(self._db)
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        index = self._index
        try:
            if error is None:
                crashpoints.reached("before-commit")
                self._db.execute("COMMIT")
                crashpoints.reached("after-commit")
            elif self._db.in_transaction:
                self._db.execute("ROLLBACK")
        except sqlite.Error as failed:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise index.failure(failed) from failed
        finally:
            index.give_back(self._db)
            index.write_lock.release()
        if isinstance(error, sqlite.Error):
            raise index.failure(error) from error
        if isinstance(error, OSError):
            raise disk_failure(index.layout.root, error) from error


def _quoted(path: bytes) -> bytes:
    """A path as part of an SQLite URI."""
    return path.replace(b"%", b"%25").replace(b"?", b"%3f").replace(b"#", b"%23")


def _close_inherited() -> None:
    for index in _open_indexes:
        index.after_fork()


# SQLite keeps a process's locks by file: a connection opened beside an inherited one would believe it holds
# locks that only the parent holds.
_open_indexes: list[Index] = []
os.register_at_fork(after_in_child=_close_inherited)
