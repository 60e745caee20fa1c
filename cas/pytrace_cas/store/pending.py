# SPDX-License-Identifier: Apache-2.0
"""The file `pending`: the places whose files the holder of the write lock is about to move.

A file moves and a transaction commits at two instants, and a process can be killed between them. So whoever
moves files names them here first, and whoever takes the write lock next settles the account: a file that is
named here and has no row goes. Files are moved in before their row is committed and moved out after it is
gone, so that a row never lacks its file.
"""

from __future__ import annotations

import errno
import os

from pytrace_cas.digest import FUNCTIONS
from pytrace_cas.store import crashpoints
from pytrace_cas.store.layout import FILE_MODE, PACKED, move, place_of, unique_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _sqlite3 as sqlite
    from collections.abc import Iterable

    from pytrace_cas.store.layout import Layout

BATCH = 64  # places that one transaction may name
_ROOM = 16384  # bytes of the file; more than a batch of the longest names
# The file of a new store: its blocks are taken once, so that entries can be evicted on a full disk.
EMPTY = b"\n" * _ROOM


class Pending:
    """The account of one store; every method but `close` needs the write lock."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._fd = -1

    def settle(self, db: sqlite.Connection, keep: str | None = None) -> None:
        """Move the named files that have no row out of `cas/`: the one of the place `keep` into quarantine, the rest
        into the trash.

        To be called first in a transaction that moves files: it goes by the rows that are committed.
        """
        names = _names(os.pread(self._file(), _ROOM, 0))
        if not names:
            return
        for place in names:
            if not has_file(db, place):
                self._remove(place, self._layout.quarantine if place == keep else self._layout.trash)
        self.forget()

    def announce(self, places: Iterable[str]) -> None:
        """Name the files that this transaction is going to move; once in a transaction, after `settle`."""
        text = "".join(f"{place}\n" for place in places) + "\n"
        if os.pwrite(self._file(), text.encode("ascii"), 0) < len(text):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        crashpoints.reached("announced")

    def forget(self) -> None:
        """Name nothing any more."""
        os.pwrite(self._file(), b"\n\n", 0)

    def close(self) -> None:
        """Close the file; it stays."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _file(self) -> int:
        if self._fd < 0:
            self._fd = os.open(self._layout.pending, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        return self._fd

    def _remove(self, place: str, folder: bytes) -> None:
        source = self._layout.blob(place)
        if os.path.lexists(source):
            move(source, folder + b"/" + place.replace("/", "-").encode("ascii") + b"-" + unique_name())
            crashpoints.reached("file-removed")


def places_of(layout: Layout) -> set[str]:
    """The places that are named now; what is found there may be about to move."""
    try:
        with open(layout.pending, "rb") as file:
            return set(_names(file.read(_ROOM)))
    except FileNotFoundError:
        return set()


def _names(text: bytes) -> list[str]:
    """The places up to the first empty line. A torn write names too few or too many, and neither does harm."""
    lines = text.partition(b"\n\n")[0].decode("ascii", "replace").split("\n")
    return [line for line in lines if is_place(line)]


def is_place(text: str) -> bool:
    """Whether a text names a place as `place_of` does: power loss can leave anything in the file."""
    function = FUNCTIONS.get(text.partition("/")[0])
    name = text.rpartition("/")[2].removesuffix(PACKED)
    if function is None or len(name) != function.length or name.strip("0123456789abcdef"):
        return False
    return text == place_of(function.name, name, text.endswith(PACKED))


def has_file(db: sqlite.Connection, place: str) -> bool:
    """Whether the index says that a blob's bytes are in the file at a place."""
    function, _, name = place.split("/")
    query = "SELECT 1 FROM blobs WHERE function = ? AND hash = ? AND data IS NULL AND (packed IS NOT NULL) = ?"
    key = (FUNCTIONS[function].number, bytes.fromhex(name.removesuffix(PACKED)))
    return db.execute(query, (*key, name.endswith(PACKED))).fetchone() is not None
