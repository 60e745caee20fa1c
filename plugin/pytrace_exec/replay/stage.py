# SPDX-License-Identifier: Apache-2.0
"""Staging: every output is made beside its target, whole and with its mode and times, before any real name changes."""

from __future__ import annotations

import os
import stat

from pytrace_cas.recorded.bytecode import STAMP, source_of, stamp_for
from pytrace_cas.recorded.effect_entries import Dir, File, Hardlink, Move, Symlink
from pytrace_cas.recorded.names import link_target
from pytrace_cas.recorded.places import MalformedText
from pytrace_exec.replay.plan import ReplayRefused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Protocol, TypeAlias

    from pytrace_cas.digest import Digest
    from pytrace_cas.recorded.effect_entries import Made
    from pytrace_cas.recorded.places import Places
    from pytrace_exec.replay.clock import OutputTimes
    from pytrace_exec.replay.folders import Folder
    from pytrace_exec.replay.plan import Plan
    from pytrace_exec.replay.steps import Reached

    StatusOf: TypeAlias = Callable[[bytes], os.stat_result | None]

    class Blobs(Protocol):
        """Where content comes from."""

        def copy_to(self, digest: Digest, fd: int) -> None:
            """Write a verified blob to an empty file; raise `cache.errors.BlobMissing`."""


_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OWNER_CHANGES = 0o300


class Placement:
    """A made path that gets its name in an existing directory, in place of what was there (`before`; None: nothing)."""

    __slots__ = ("before", "entry", "folder", "path", "slot")

    def __init__(self, path: bytes, entry: Made, folder: Folder, before: os.stat_result | None) -> None:
        self.path = path
        self.entry = entry
        self.folder = folder
        self.before = before
        self.slot = folder.slot(b"n" if isinstance(entry, Dir) else b"o")


class Stage:
    """Makes placements, and all that lies in new directories, in staging folders.

    `positions`: by final path, the descriptor of a staging folder and the name in it. `unwritable`: new directories
    whose mode would keep the replay itself from using them; their owner may do everything until it is set at the end.
    """

    __slots__ = ("_blobs", "_places", "_plan", "_status_of", "_times", "positions", "unwritable")

    def __init__(
        self, plan: Plan, places: Places, blobs: Blobs, times: OutputTimes, status_of: StatusOf | None = None
    ) -> None:
        self._plan = plan
        self._places = places
        self._blobs = blobs
        self._times = times
        self._status_of = status_of
        self.positions: dict[bytes, tuple[int, bytes]] = {}
        self.unwritable: list[bytes] = []

    def make(self, placements: list[Placement], reached: Reached) -> None:
        """Stage everything: files first, then their further names, then modes and times of directories."""
        every = [part for placement in placements for part in self._parts(placement)]
        for path, entry, before in every:
            reached("stage")
            self._make(path, entry, before)
        for path, entry, _ in every:
            if isinstance(entry, Hardlink):
                staging, slot = self.positions[path]
                other_staging, other = self.positions[self._plan.path(entry.other)]
                os.link(other, slot, src_dir_fd=other_staging, dst_dir_fd=staging, follow_symlinks=False)
        for path, entry, _ in reversed(every):
            if isinstance(entry, Dir):
                self._finish_folder(path, entry)

    def _parts(self, placement: Placement) -> Iterator[tuple[bytes, Made, os.stat_result | None]]:
        """Yield what a placement consists of, parents first, and note where each will be staged."""
        staging, top = placement.folder.staging(), placement.path
        self.positions[top] = staging, placement.slot
        yield top, placement.entry, placement.before
        for path in self._plan.contents.get(top, ()) if isinstance(placement.entry, Dir) else ():
            entry = self._plan.made[path]
            assert not isinstance(entry, Move)
            self.positions[path] = staging, placement.slot + path[len(top) :]
            yield path, entry, None

    def _make(self, path: bytes, entry: Made, before: os.stat_result | None) -> None:
        staging, slot = self.positions[path]
        if isinstance(entry, File):
            self._make_file(path, entry, staging, slot, before)
        elif isinstance(entry, Dir):
            os.mkdir(slot, 0o700, dir_fd=staging)
        elif isinstance(entry, Symlink):
            os.symlink(self._target(entry), slot, dir_fd=staging)
            os.utime(slot, ns=self._times.of(path), dir_fd=staging, follow_symlinks=False)

    def _make_file(self, path: bytes, entry: File, staging: int, slot: bytes, before: os.stat_result | None) -> None:
        fd = os.open(slot, _CREATE, 0o600, dir_fd=staging)
        try:
            self._blobs.copy_to(entry.digest, fd)
            mode = entry.mode
            if entry.in_place and before is not None:
                mode = stat.S_IMODE(before.st_mode)
                if os.fstat(fd).st_gid != before.st_gid:
                    os.fchown(fd, -1, before.st_gid)
            os.fchmod(fd, mode)
            found = os.fstat(fd)
            if stat.S_IMODE(found.st_mode) != mode or found.st_size != entry.digest.size_bytes:
                raise ReplayRefused("a file cannot be made here as the run left it", path)
            if entry.stamped:
                os.pwrite(fd, self._stamp(path), STAMP.start)
            os.utime(fd, ns=self._times.of(path))
        finally:
            os.close(fd)

    def _stamp(self, path: bytes) -> bytes:
        """The stamp that makes a `.pyc` fit its source: one that is replayed with it, or the one that was looked up."""
        source = source_of(path)
        assert source is not None
        made = self._plan.made.get(source)
        if isinstance(made, File):
            return stamp_for(self._times.of(source)[1], made.digest.size_bytes)
        found = self._status_of(source) if self._status_of else None
        if found is None:
            raise ReplayRefused("the source of the bytecode is not there", path)
        return stamp_for(found.st_mtime_ns, found.st_size)

    def _finish_folder(self, path: bytes, entry: Dir) -> None:
        """Set mode and times of a new directory, once what it holds is there."""
        staging, slot = self.positions[path]
        mode = entry.mode
        if mode & _OWNER_CHANGES != _OWNER_CHANGES:
            self.unwritable.append(path)
            mode |= 0o700
        os.chmod(slot, mode, dir_fd=staging)
        os.utime(slot, ns=self._times.of(path), dir_fd=staging)

    def _target(self, entry: Symlink) -> bytes:
        try:
            return link_target(self._places, entry.target)
        except MalformedText:
            raise ReplayRefused("a link leads to a place that is not set here", entry.target) from None
