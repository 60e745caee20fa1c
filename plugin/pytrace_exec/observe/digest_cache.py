# SPDX-License-Identifier: Apache-2.0
"""Digests of files by their status, so that looking at a file again costs one `stat` (DESIGN 4.1).

Used on local disk file systems and overlayfs only, and never for a file whose change time was younger than
`SETTLED_NS` when it was hashed, unless a replay wrote it: stores to a dirty shared mapping move no time stamp until
the kernel writes the page back.
"""

from __future__ import annotations

import _sqlite3 as sqlite
import os
import time

from pytrace_cas.recorded.bytecode import Bytecode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_cas.digest import DigestFunction

SETTLED_NS = 35_000_000_000
LOCAL_FILE_SYSTEMS = frozenset(
    {"bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "nilfs2", "overlay", "reiserfs", "xfs", "zfs"}
)
_LIMIT = 500_000
_CODES_LIMIT = 50_000
# After how many pages the log is put into the database: whoever opens it next has to read the log.
_LOG_PAGES = 100
_SCHEMA = """
CREATE TABLE IF NOT EXISTS digests(
    device INTEGER, inode INTEGER, function TEXT, size INTEGER, mtime INTEGER, ctime INTEGER, hash TEXT,
    PRIMARY KEY (device, inode, function)) WITHOUT ROWID
"""

_CODES = """
CREATE TABLE IF NOT EXISTS codes(digest TEXT, function TEXT, stamp BLOB, code TEXT, PRIMARY KEY (digest, function))
WITHOUT ROWID
"""
_FIND = "SELECT hash FROM digests WHERE device=? AND inode=? AND function=? AND size=? AND mtime=? AND ctime=?"


def file_systems() -> dict[int, str]:
    """Type of each mounted file system by device number (proc(5), mountinfo)."""
    found: dict[int, str] = {}
    with open("/proc/self/mountinfo", "rb") as lines:
        for line in lines:
            fields, _, rest = line.partition(b" - ")
            major, _, minor = fields.split()[2].partition(b":")
            found[os.makedev(int(major), int(minor))] = rest.split()[0].decode("ascii", "replace")
    return found


class DigestCache:
    """A table in one SQLite file, shared by processes; losing it costs time and nothing else.

    What is kept is written when the cache is closed. A cache that cannot be opened or written behaves as an empty one.
    """

    def __init__(self, path: bytes, function: DigestFunction, trust_stat: bool = False) -> None:
        self._path = path
        self._function = function
        self._trust = trust_stat
        self._database: sqlite.Connection | None = None
        self._devices: dict[int, str] | None = None
        self._codes: dict[str, Bytecode] = {}
        self._new: dict[tuple[int, int], tuple[int, int, int, str]] = {}

    def find(self, found: os.stat_result) -> str | None:
        """Return `HASH/SIZE` for a file of exactly this status, or None."""
        if not self._trusted(found.st_dev):
            return None
        device, inode = _signed(found.st_dev), _signed(found.st_ino)
        key = (device, inode, self._function.name, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        try:
            row = self._open().execute(_FIND, key).fetchone()
        except sqlite.Error:
            return None
        return f"{row[0]}/{found.st_size}" if row else None

    def keep(self, found: os.stat_result, digest: str, replayed: bool = False) -> None:
        """Keep the digest of a file that had this status when it was hashed, just now."""
        settled = time.time_ns() - found.st_ctime_ns >= SETTLED_NS
        if (settled or replayed) and self._trusted(found.st_dev):
            key = _signed(found.st_dev), _signed(found.st_ino)
            self._new[key] = found.st_size, found.st_mtime_ns, found.st_ctime_ns, digest.partition("/")[0]

    def find_code(self, digest: str) -> Bytecode | None:
        """What a `.pyc` of this digest holds, or None."""
        if digest in self._codes:
            return self._codes[digest]
        try:
            query = "SELECT stamp, code FROM codes WHERE digest=? AND function=?"
            row = self._open().execute(query, (digest, self._function.name)).fetchone()
        except sqlite.Error:
            return None
        return Bytecode(*row) if row else None

    def keep_code(self, digest: str, code: Bytecode) -> None:
        """Keep what a `.pyc` of this digest holds; it is true for ever."""
        self._codes[digest] = code

    def save(self) -> None:
        """Write what is new. The database stays open: closing it would wait for the disk (a checkpoint)."""
        if self._new or self._codes:
            try:
                self._write()
            except sqlite.Error:
                self._new.clear()
                self._codes.clear()

    def _write(self) -> None:
        database = self._open()
        with database:
            rows = (
                (device, inode, self._function.name, size, mtime, ctime, name)
                for (device, inode), (size, mtime, ctime, name) in self._new.items()
            )
            database.executemany("INSERT OR REPLACE INTO digests VALUES (?,?,?,?,?,?,?)", rows)
            if len(self._new) > 1000 and database.execute("SELECT count(*) FROM digests").fetchone()[0] > _LIMIT:
                database.execute("DELETE FROM digests")
            codes = ((digest, self._function.name, code.stamp, code.code) for digest, code in self._codes.items())
            database.executemany("INSERT OR REPLACE INTO codes VALUES (?,?,?,?)", codes)
            if self._codes and database.execute("SELECT count(*) FROM codes").fetchone()[0] > _CODES_LIMIT:
                database.execute("DELETE FROM codes")
        self._new.clear()
        self._codes.clear()

    def _open(self) -> sqlite.Connection:
        if self._database is None:
            _make_private(self._path)
            database = sqlite.connect(os.fsdecode(self._path), timeout=0.2)
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=NORMAL")
            database.execute(f"PRAGMA wal_autocheckpoint={_LOG_PAGES}")
            database.execute(_SCHEMA)
            database.execute(_CODES)
            self._database = database
        return self._database

    def _trusted(self, device: int) -> bool:
        if self._trust:
            return True
        if self._devices is None:
            try:
                self._devices = file_systems()
            except (OSError, ValueError, IndexError):
                self._devices = {}
        return self._devices.get(device) in LOCAL_FILE_SYSTEMS


def _make_private(path: bytes) -> None:
    """Make the file for the user alone unless it is there: SQLite gives its other files the mode of this one."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except OSError:
        return  # it is there, or SQLite will say why not


def _signed(number: int) -> int:
    """Fit a device or inode number into SQLite's signed 64 bits."""
    return number - (1 << 64) if number >= 1 << 63 else number
