# SPDX-License-Identifier: Apache-2.0
"""Changes of what a file says about itself, each of which can be undone: times and mode."""

from __future__ import annotations

import os
import stat

from pytrace_exec.replay.steps import Step, same_inode
from pytrace_exec.replay.targets import unchanged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_exec.replay.folders import Folder
    from pytrace_exec.replay.steps import Reached


class Touch(Step):
    """A file keeps its content and gets times (nanoseconds; None: as it is); `before`: as it must still be."""

    __slots__ = ("atime", "before", "mtime", "saved")

    def __init__(
        self, folder: Folder, name: bytes, atime: int | None, mtime: int | None, before: os.stat_result | None = None
    ) -> None:
        super().__init__(folder, name)
        self.atime = atime
        self.mtime = mtime
        self.before = before
        self.saved: os.stat_result | None = None

    def do(self, reached: Reached) -> None:
        found = self.found()
        if found is None or (self.before is not None and not unchanged(self.before, found)):
            raise self.refused("a file whose time the run moved has changed since")
        self.saved = found
        reached("touch")
        atime = found.st_atime_ns if self.atime is None else self.atime
        mtime = found.st_mtime_ns if self.mtime is None else self.mtime
        os.utime(self.name, ns=(atime, mtime), dir_fd=self.folder.fd, follow_symlinks=False)
        reached("touched")

    def undo(self) -> None:
        found, saved = self.found(), self.saved
        if found is None or saved is None or not same_inode(saved, found):
            return
        times = saved.st_atime_ns, saved.st_mtime_ns
        if (found.st_atime_ns, found.st_mtime_ns) != times:
            os.utime(self.name, ns=times, dir_fd=self.folder.fd, follow_symlinks=False)


class Chmod(Step):
    """A file that was there before gets a mode."""

    __slots__ = ("mode", "saved")

    def __init__(self, folder: Folder, name: bytes, mode: int) -> None:
        super().__init__(folder, name)
        self.mode = mode
        self.saved: os.stat_result | None = None

    def do(self, reached: Reached) -> None:
        found = self.found()
        if found is None or stat.S_ISLNK(found.st_mode):
            raise self.refused("a file whose mode the run changed is not there")
        self.saved = found
        reached("chmod")
        self._set(found, self.mode)
        reached("chmodded")

    def undo(self) -> None:
        found, saved = self.found(), self.saved
        if found is not None and saved is not None and same_inode(saved, found) and found.st_mode != saved.st_mode:
            self._set(saved, stat.S_IMODE(saved.st_mode))

    def _set(self, found: os.stat_result, mode: int) -> None:
        fd = os.open(self.name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.folder.fd)
        try:
            if not same_inode(found, os.fstat(fd)):
                raise self.refused("a file whose mode the run changed was replaced meanwhile")
            os.chmod(b"/proc/self/fd/%d" % fd, mode)
            if stat.S_IMODE(os.fstat(fd).st_mode) != mode:
                raise self.refused("a file cannot be given the mode that the run gave it")
        finally:
            os.close(fd)
