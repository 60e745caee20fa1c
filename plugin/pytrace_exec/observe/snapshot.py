# SPDX-License-Identifier: Apache-2.0
"""The root as it was just before the command started.

A tracer that reads its log afterwards cannot see what a change destroyed. What it needs of that is little: type,
mode, links, owner, size and times of each path, and targets of links. This takes them all, at a few microseconds a
path; content that a change destroys stays unknown unless its digest was known before (see `before`).
"""

from __future__ import annotations

import os
import stat

from pytrace_exec.observe.mounts import mounts_below
from pytrace_exec.observe.view import is_staging

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_PATHS = 400_000

# The longest name that Linux file systems have, in bytes.
_NAME_MAX = 255


class Snapshot:
    """Status of every path below some folders, targets of links, and the bare names in some others.

    What is mounted there and cannot be changed by a run is left out, as everything outside is. `complete` is False when
    there were more than `MAX_PATHS` paths or a folder could not be read; what is not in the snapshot is then unknown.
    """

    __slots__ = ("_beyond", "_fixed", "_folders", "_names", "complete", "stats", "targets")

    def __init__(self) -> None:
        self.stats: dict[bytes, os.stat_result] = {}
        self.targets: dict[bytes, bytes] = {}
        self.complete = True
        self._folders: dict[bytes, list[bytes]] = {}
        self._names: dict[bytes, frozenset[bytes]] = {}
        self._beyond: dict[bytes, str | None] = {}
        self._fixed: frozenset[bytes] = frozenset()

    @classmethod
    def take(cls, folders: Iterable[bytes], names_in: Iterable[bytes] = ()) -> Snapshot:
        """Read `folders` whole and only the names in `names_in`; paths are absolute and without links."""
        snapshot = cls()
        for folder in folders:
            try:
                snapshot.stats[folder] = os.lstat(folder)
            except OSError:
                continue
            snapshot._fixed, inside = mounts_below(folder)
            snapshot._read([folder, *inside])
        for folder in names_in:
            try:
                snapshot._names[folder] = frozenset(os.listdir(folder))
            except OSError:
                continue
        return snapshot

    def _read(self, pending: list[bytes]) -> None:
        while pending:
            folder = pending.pop()
            names: list[bytes] = []
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        if is_staging(entry.name):
                            continue
                        found = entry.stat(follow_symlinks=False)
                        names.append(entry.name)
                        self.stats[entry.path] = found
                        if stat.S_ISDIR(found.st_mode):
                            if entry.path not in self._fixed:
                                pending.append(entry.path)
                        elif stat.S_ISLNK(found.st_mode):
                            self.targets[entry.path] = os.readlink(entry.path)
            except OSError:
                self.complete = False
                continue
            self._folders[folder] = names
            if len(self.stats) > MAX_PATHS:
                self.complete = False
                return

    def lstat(self, path: bytes) -> os.stat_result | str | None:
        """Status before the run, an error's name, or None when the snapshot does not know."""
        found = self.stats.get(path)
        if found is not None:
            return found
        folder, name = os.path.split(path)
        if len(name) > _NAME_MAX:
            return None  # no name of a file: the error says so, whatever there is
        if folder in self._folders:
            return "ENOENT"
        if folder in self._names:
            return None if name in self._names[folder] else "ENOENT"
        if folder not in self._beyond:
            self._beyond[folder] = self._in(folder)
        return self._beyond[folder]

    def _in(self, folder: bytes) -> str | None:
        """What a look at any name in a folder that was not read gives, as far as the folder itself tells."""
        above = self.lstat(folder) if len(folder) > 1 else None
        if above is None or isinstance(above, str):
            return above
        return None if stat.S_ISDIR(above.st_mode) or stat.S_ISLNK(above.st_mode) else "ENOTDIR"

    def names(self, path: bytes) -> list[bytes] | None:
        """Names in a directory before the run, or None when the snapshot does not know."""
        return self._folders.get(path)
