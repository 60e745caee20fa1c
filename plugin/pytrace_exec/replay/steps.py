# SPDX-License-Identifier: Apache-2.0
"""Single changes of the tree, each of which can be undone.

`do` checks that it still finds what was found when the replay was prepared, and leaves every real name old or new at
each instant. `undo` looks at what is there and not at how far `do` came, so it is right after a failure half way;
what somebody else has put under a name meanwhile, it leaves alone.
"""

from __future__ import annotations

import os
import stat

from pytrace_exec.replay import renames
from pytrace_exec.replay.folders import is_staging
from pytrace_exec.replay.plan import ReplayRefused, join
from pytrace_exec.replay.targets import label, same_type, unchanged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pytrace_exec.replay.folders import Folder

    Reached = Callable[[str], None]


class Step:
    """A change of one name in a directory."""

    __slots__ = ("folder", "name")

    def __init__(self, folder: Folder, name: bytes) -> None:
        self.folder = folder
        self.name = name

    @property
    def path(self) -> bytes:
        """Path of the name, for messages."""
        return join(self.folder.path, self.name)

    def do(self, reached: Reached) -> None:
        """Make the change; `reached` is told of each instant at which a kill or a failure must do no harm."""
        raise NotImplementedError

    def undo(self) -> None:
        """Take it back; raise `OSError` if that cannot be done."""
        raise NotImplementedError

    def found(self) -> os.stat_result | None:
        """Status of what has the name now."""
        return renames.status(self.folder.fd, self.name)

    def refused(self, why: str) -> ReplayRefused:
        """Refusal that concerns this name."""
        return ReplayRefused(why, self.path)


class Place(Step):
    """Something staged gets the name, in place of what was there (`before`; None: nothing).

    `in_place`: the run wrote into the old file, which moved no time of the directory. `linked`: an earlier step has
    given what was there another name, which moved its change time.
    """

    __slots__ = ("before", "in_place", "kept", "linked", "new", "slot")

    def __init__(
        self,
        folder: Folder,
        name: bytes,
        slot: bytes,
        before: os.stat_result | None,
        in_place: bool = False,
        linked: bool = False,
    ) -> None:
        super().__init__(folder, name)
        self.linked = linked
        self.slot = slot
        self.before = before
        self.in_place = in_place and before is not None
        self.kept = b""
        self.new: os.stat_result | None = None

    def do(self, reached: Reached) -> None:
        staging = self.folder.staging()
        self.new = os.stat(self.slot, dir_fd=staging, follow_symlinks=False)
        self.folder.renamed |= not self.in_place
        reached("place")
        if self.before is None:
            if stat.S_ISDIR(self.new.st_mode) or not renames.link(staging, self.slot, self.folder.fd, self.name):
                renames.move(staging, self.slot, self.folder.fd, self.name)
        else:
            self._replace(staging, self.before, reached)
        reached("placed")

    def _replace(self, staging: int, before: os.stat_result, reached: Reached) -> None:
        if not unchanged(before, self.found(), renamed=self.linked):
            raise self.refused("what the run replaced has changed since")
        if label(staging, self.slot) != label(self.folder.fd, self.name):
            raise self.refused("what the run replaced has a label of its own")
        try:
            renames.exchange(staging, self.slot, self.folder.fd, self.name)
            old = self.slot
        except renames.Unsupported:
            old = self.kept = self.folder.slot(b"o")
            set_aside(self.folder, self.name, before, old, self._with_directory(before))
            reached("set aside")
            os.rename(self.slot, self.name, src_dir_fd=staging, dst_dir_fd=self.folder.fd)
        if not unchanged(before, renames.status(staging, old), renamed=True):
            raise self.refused("what the run replaced changed while it was replaced")
        if stat.S_ISDIR(before.st_mode):
            require_empty(staging, old, self.path)

    def _with_directory(self, before: os.stat_result | None) -> bool:
        """Whether the old or the new is a directory, which no rename puts in another's place."""
        return any(look is not None and stat.S_ISDIR(look.st_mode) for look in (before, self.new))

    def undo(self) -> None:
        staging, folder = self.folder.staging(), self.folder.fd
        placed = self.new is not None and same_inode(self.new, self.found())
        if self.kept:
            if apart := placed and self._with_directory(self.before):
                renames.move(folder, self.name, staging, self.slot)
            put_back(self.folder, self.kept, self.name, placed and not apart)
        elif placed and self.before is not None:
            renames.exchange(staging, self.slot, folder, self.name)
        elif placed and renames.status(staging, self.slot) is not None:
            os.unlink(self.name, dir_fd=folder)
        elif placed:
            renames.move(folder, self.name, staging, self.slot)


class AddLink(Place):
    """A file that was there before gets another name."""

    __slots__ = ("other_folder", "other_name")

    def __init__(
        self,
        other_folder: Folder,
        other_name: bytes,
        folder: Folder,
        name: bytes,
        before: os.stat_result | None,
        linked: bool,
    ) -> None:
        super().__init__(folder, name, folder.slot(b"o"), before, linked=linked)
        self.other_folder = other_folder
        self.other_name = other_name

    def do(self, reached: Reached) -> None:
        other = renames.status(self.other_folder.fd, self.other_name)
        if other is None or stat.S_ISDIR(other.st_mode):
            raise self.refused("what the run gave this name to is not there")
        if not renames.link(self.other_folder.fd, self.other_name, self.folder.staging(), self.slot):
            raise self.refused("the file system makes no hard link here")
        reached("linked")
        super().do(reached)


class TakeAway(Step):
    """Something that was there loses its name; it is kept aside until the replay is forgotten."""

    __slots__ = ("before", "slot", "type")

    def __init__(self, folder: Folder, name: bytes, type: str) -> None:
        super().__init__(folder, name)
        self.type = type
        self.slot = folder.slot(b"o")
        found = self.found()
        if found is None:
            raise self.refused("what the run removed is not there")
        self.before = same_type(found, type, self.path)

    def do(self, reached: Reached) -> None:
        if not same_inode(self.before, self.found()):
            raise self.refused("what the run removed has changed since")
        staging = self.folder.staging()
        self.folder.renamed = True
        reached("take")
        os.rename(self.name, self.slot, src_dir_fd=self.folder.fd, dst_dir_fd=staging)
        reached("taken")
        if not same_inode(self.before, renames.status(staging, self.slot)):
            raise self.refused("what the run removed changed while it was removed")
        if self.type == "dir":
            require_empty(staging, self.slot, self.path)

    def undo(self) -> None:
        put_back(self.folder, self.slot, self.name, False)


class Rename(Step):
    """Something that was there gets another name, in place of what had that (`before`; None: nothing)."""

    __slots__ = ("before", "itself", "kept", "to_folder", "to_name")

    def __init__(
        self, folder: Folder, name: bytes, to_folder: Folder, to_name: bytes, before: os.stat_result | None
    ) -> None:
        super().__init__(folder, name)
        self.to_folder = to_folder
        self.to_name = to_name
        self.before = before
        self.kept = to_folder.slot(b"o")
        itself = self.found()
        if itself is None:
            raise self.refused("what the run renamed is not there")
        self.itself = itself

    def do(self, reached: Reached) -> None:
        if not same_inode(self.itself, self.found()):
            raise self.refused("what the run renamed has changed since")
        self.folder.renamed = self.to_folder.renamed = True
        reached("rename")
        if self.before is None:
            renames.move(self.folder.fd, self.name, self.to_folder.fd, self.to_name)
        else:
            set_aside(self.to_folder, self.to_name, self.before, self.kept, self._with_directory(self.before))
            reached("set aside")
            os.rename(self.name, self.to_name, src_dir_fd=self.folder.fd, dst_dir_fd=self.to_folder.fd)
        reached("renamed")
        if not same_inode(self.itself, renames.status(self.to_folder.fd, self.to_name)):
            raise self.refused("what the run renamed changed while it was renamed")

    def _with_directory(self, before: os.stat_result) -> bool:
        return stat.S_ISDIR(before.st_mode) or stat.S_ISDIR(self.itself.st_mode)

    def undo(self) -> None:
        here, there, before = self.folder.fd, self.to_folder.fd, self.before
        renamed = same_inode(self.itself, renames.status(there, self.to_name))
        over = renamed and before is not None and not self._with_directory(before)
        if over and renames.link(there, self.to_name, here, self.name):
            put_back(self.to_folder, self.kept, self.to_name, True)
            return
        if renamed:
            renames.move(there, self.to_name, here, self.name)
        if before is not None and self.to_folder.staged:
            put_back(self.to_folder, self.kept, self.to_name, False)


def same_inode(before: os.stat_result, now: os.stat_result | None) -> bool:
    """Whether two looks saw one inode."""
    return now is not None and (before.st_dev, before.st_ino) == (now.st_dev, now.st_ino)


def set_aside(folder: Folder, name: bytes, before: os.stat_result, slot: bytes, away: bool) -> None:
    """Give what has a name one in the staging folder too; `away`: only that one. A directory must be empty."""
    staging = folder.staging()
    if away:
        os.rename(name, slot, src_dir_fd=folder.fd, dst_dir_fd=staging)
    elif not renames.link(folder.fd, name, staging, slot):
        raise ReplayRefused("the file system can neither exchange names nor link them", join(folder.path, name))
    if not unchanged(before, renames.status(staging, slot), renamed=True):
        raise ReplayRefused("what the run replaced has changed since", join(folder.path, name))
    if stat.S_ISDIR(before.st_mode):
        require_empty(staging, slot, join(folder.path, name))


def put_back(folder: Folder, slot: bytes, name: bytes, over: bool) -> None:
    """Give something set aside its name again, if it is aside; `over`: in place of what has the name now."""
    staging = folder.staging()
    aside = renames.status(staging, slot)
    if aside is None:
        return
    if over:
        os.rename(slot, name, src_dir_fd=staging, dst_dir_fd=folder.fd)
    elif not same_inode(aside, renames.status(folder.fd, name)):
        renames.move(staging, slot, folder.fd, name)


def require_empty(parent: int, name: bytes, path: bytes) -> None:
    """Raise `ReplayRefused` unless a directory holds nothing but staging folders."""
    fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        if not all(is_staging(os.fsencode(inner)) for inner in os.listdir(fd)):
            raise ReplayRefused("a directory that the run removed holds something now", path)
    finally:
        os.close(fd)
