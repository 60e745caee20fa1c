# SPDX-License-Identifier: Apache-2.0
"""From a plan to steps: opens the directories, checks what is there, stages, and lays out the changes to be made."""

from __future__ import annotations

import os
import stat

from pytrace_cas.recorded.effect_entries import DIRECTORY, Dir, File, Hardlink, LinkTo, Move, Remove
from pytrace_exec.replay import renames
from pytrace_exec.replay.folders import Folder, Folders
from pytrace_exec.replay.metadata import Chmod, Touch
from pytrace_exec.replay.plan import Plan, ReplayRefused, directory_of, join
from pytrace_exec.replay.stage import Placement, Stage
from pytrace_exec.replay.steps import AddLink, Place, Rename, TakeAway
from pytrace_exec.replay.targets import expect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from pytrace_cas.digest import Digest
    from pytrace_cas.recorded.effect_entries import Made
    from pytrace_cas.recorded.places import Places
    from pytrace_exec.replay.clock import OutputTimes
    from pytrace_exec.replay.stage import Blobs, StatusOf
    from pytrace_exec.replay.steps import Reached, Step

    DigestOf: TypeAlias = Callable[[bytes, os.stat_result], str | None]


class Layout:
    """What a replay will do: `steps` in order; modes and times that directories get when all else is done.

    `written`: paths and digests of the files that will be in place as they were stored.
    """

    __slots__ = (
        "_befores",
        "_digest_of",
        "_kept",
        "_places",
        "_plan",
        "_relinked",
        "_remade",
        "_status_of",
        "_times",
        "folders",
        "late",
        "steps",
        "written",
    )

    def __init__(
        self,
        plan: Plan,
        places: Places,
        times: OutputTimes,
        digest_of: DigestOf | None,
        status_of: StatusOf | None = None,
    ) -> None:
        self._plan = plan
        self._places = places
        self._times = times
        self._digest_of = digest_of
        self._status_of = status_of
        self._befores: dict[bytes, os.stat_result | None] = {}
        self._remade: set[bytes] = set()
        self._relinked: set[bytes] = set()
        self._kept: set[bytes] = set()
        self.folders = Folders()
        self.steps: list[Step] = []
        self.late: list[Late] = []
        self.written: list[tuple[bytes, Digest]] = []

    def make(self, blobs: Blobs, reached: Reached) -> None:
        """Do all that changes no real name; raise `ReplayRefused`, `BlobMissing` or `OSError`."""
        placements = self._placements()
        stage = Stage(self._plan, self._places, blobs, self._times, self._status_of)
        stage.make(placements, reached)
        slots = {placement.path: placement.slot for placement in placements}
        for step in self._plan.steps:
            if isinstance(step, Remove):
                self.steps.append(TakeAway(*self._earlier(self._plan.path(step.path)), step.type))
            elif isinstance(step, Move):
                self.steps.append(self._rename(step, stage))
            elif isinstance(step, LinkTo):
                self.steps.append(self._add_link(step, stage))
            elif (path := self._plan.path(step.path)) in slots:
                self.steps.append(self._place(path, step, slots[path]))
        self._lay_out_metadata(stage)

    def _placements(self) -> list[Placement]:
        """Look at what every made name replaces, and choose what has to be staged."""
        plan = self._plan
        linked = {plan.path(entry.other) for entry in plan.made.values() if isinstance(entry, Hardlink)}
        placements = []
        for step in plan.steps:
            path = plan.final(step)
            if path is None:
                continue
            before = self._befores[path] = self._before(path, step)
            if isinstance(step, Move | LinkTo | Remove):
                continue
            if isinstance(step, File) and path not in linked and self._has_content(path, step, before):
                self._kept.add(path)
            else:
                placements.append(Placement(path, step, self._existing(path)[0], before))
        files = ((path, entry) for path, entry in plan.made.items() if isinstance(entry, File))
        self.written.extend((path, entry.digest) for path, entry in files if not entry.stamped)
        return placements

    def _before(self, path: bytes, entry: Made | Move | Remove) -> os.stat_result | None:
        """What a made name replaces now, checked; None where nothing is or will be when its turn comes."""
        home, name = self._plan.spot(path)
        if home is None:
            return None
        state = self._plan.state(path)
        leaver = self._plan.left.get(join(home, name))
        if leaver is not None:
            if state.kind not in ("absent", "plain"):
                raise ReplayRefused("the result says twice what was there", path)
            return self._relink(path) if isinstance(leaver, Move) else None
        mode = self._mode_left(entry) if state.kind == "plain" else None
        return expect(self._existing(path)[0], name, state, mode, self._places)

    def _relink(self, path: bytes) -> os.stat_result | None:
        """What a rename takes away from a made name, if a link can do that: then the name is never without a file."""
        folder, name = self._existing(path)
        found = renames.status(folder.fd, name)
        if found is None or stat.S_ISDIR(found.st_mode):
            return None
        self._remade.add(join(folder.path, name))
        self._relinked.add(path)
        return found

    def _mode_left(self, entry: Made | Move | Remove) -> int | None:
        """Mode of the regular file that an entry puts under its name; None for anything else."""
        plan = self._plan
        made = plan.made[plan.path(entry.other)] if isinstance(entry, Hardlink) else entry
        if isinstance(made, File):
            return made.mode
        if not isinstance(made, LinkTo | Move):
            return None
        folder, name = self._now(plan.path(made.other if isinstance(made, LinkTo) else made.to))
        found = renames.status(folder.fd, name)
        return stat.S_IMODE(found.st_mode) if found is not None and stat.S_ISREG(found.st_mode) else None

    def _has_content(self, path: bytes, entry: File, before: os.stat_result | None) -> bool:
        """Whether a file on disk needs nothing but its time."""
        if before is None or self._digest_of is None or entry.stamped or not stat.S_ISREG(before.st_mode):
            return False
        if before.st_size != entry.digest.size_bytes:
            return False
        if not entry.in_place and stat.S_IMODE(before.st_mode) != entry.mode:
            return False
        folder, name = self._existing(path)
        return self._digest_of(join(folder.path, name), before) == str(entry.digest)

    def _place(self, path: bytes, entry: Made, slot: bytes) -> Place:
        folder, name = self._existing(path)
        in_place = isinstance(entry, File) and entry.in_place
        return Place(folder, name, slot, self._befores[path], in_place, path in self._relinked)

    def _rename(self, entry: Move, stage: Stage) -> Step:
        path, earlier = self._plan.path(entry.to), self._plan.path(entry.path)
        before, linked = self._befores[path], path in self._relinked
        if earlier in self._remade:
            return AddLink(*self._earlier(earlier), *self._final(path, stage), before, linked)
        return Rename(*self._earlier(earlier), *self._final(path, stage), before)

    def _add_link(self, entry: LinkTo, stage: Stage) -> AddLink:
        path = self._plan.path(entry.path)
        other = self._final(self._plan.path(entry.other), stage)
        linked = path in self._relinked
        return AddLink(*other, *self._final(path, stage), self._befores[path], linked)

    def _lay_out_metadata(self, stage: Stage) -> None:
        """Modes and times of what keeps its content: of files as steps, of directories at the very end."""
        plan = self._plan
        for path in sorted(self._kept):
            self.steps.append(Touch(*self._existing(path), *self._times.of(path), self._befores[path]))
        for path, entry in plan.made.items():
            if isinstance(entry, Dir) and plan.state(path) == DIRECTORY:
                self.late.append(Late(self._kept_folder(path), entry.mode, *self._times.of(path)))
            elif isinstance(entry, Move | LinkTo) and plan.spot(path)[0] is None:
                folder, _ = self._final(path, stage)
                self.late.append(Late(folder, None, *self._times.of(folder.path)))
        for path in stage.unwritable:
            made = plan.made[path]
            assert isinstance(made, Dir)
            folder = self.folders.open_new(path, *stage.positions[path])
            self.late.append(Late(folder, made.mode, *self._times.of(path)))
        self._lay_out_originals(stage)

    def _lay_out_originals(self, stage: Stage) -> None:
        plan = self._plan
        for path in sorted({*plan.modes, *plan.times}):
            if not isinstance(plan.made.get(path), Move | LinkTo | None):
                continue  # an output is staged with its mode and times
            mode = plan.modes[path].mode if path in plan.modes else None
            times = self._times.of_original(path) if path in plan.times else (None, None)
            if self._was_directory(path):
                self.late.append(Late(self._kept_folder(path), mode, *times))
                continue
            if mode is not None:
                self.steps.append(Chmod(*self._final(path, stage), mode))
            if path in plan.times:
                self.steps.append(Touch(*self._final(path, stage), *times))
        ordered = (path for group in plan.order for path in group)
        for path in ordered:
            if path not in plan.made and path not in plan.times:
                self.late.append(Late(self._kept_folder(path), None, None, self._times.fresh(path)))

    def _was_directory(self, path: bytes) -> bool:
        """Whether what will have this final path is a directory that is there now."""
        if isinstance(self._plan.made.get(path), LinkTo):
            return False
        folder, name = self._now(path)
        found = renames.status(folder.fd, name)
        return found is not None and stat.S_ISDIR(found.st_mode)

    def _now(self, path: bytes) -> tuple[Folder, bytes]:
        """Open directory and name under which something lies now that was there before and will have this path."""
        mover = self._plan.made.get(path)
        return self._earlier(self._plan.path(mover.path)) if isinstance(mover, Move) else self._existing(path)

    def _kept_folder(self, path: bytes) -> Folder:
        """Existing directory of a final path, whose mode and times this process may set."""
        home = self._plan.home(path)
        if home is None:
            raise ReplayRefused("a directory that the run kept is not there", path)
        folder = self.folders.open(self._plan.anchor(home), home)
        if os.geteuid() not in (0, folder.before.st_uid):
            raise ReplayRefused("a directory that the run changed belongs to somebody else", home)
        return folder

    def _earlier(self, path: bytes) -> tuple[Folder, bytes]:
        """Open directory of an earlier path, and the name in it."""
        return self.folders.open(self._plan.anchor(path), directory_of(path)), path.rpartition(b"/")[2]

    def _existing(self, path: bytes) -> tuple[Folder, bytes]:
        """Open directory, there already, of a final path, and the name in it."""
        home, name = self._plan.spot(path)
        if home is None:
            raise ReplayRefused("its directory is not there", path)
        return self._earlier(join(home, name))

    def _final(self, path: bytes, stage: Stage) -> tuple[Folder, bytes]:
        """Open directory, there already or staged, of a final path, and the name in it."""
        home, name = self._plan.spot(path)
        if home is not None:
            return self._existing(path)
        folder = directory_of(path)
        return self.folders.open_new(folder, *stage.positions[folder]), name


class Late:
    """Mode and times (None: as they are) of a directory, set when nothing in it changes any more."""

    __slots__ = ("atime", "folder", "mode", "mtime")

    def __init__(self, folder: Folder, mode: int | None, atime: int | None, mtime: int | None) -> None:
        self.folder = folder
        self.mode = mode
        self.atime = atime
        self.mtime = mtime

    def do(self) -> None:
        """Set them; raise `OSError`."""
        set_times(self.folder, self.atime, self.mtime)
        if self.mode is not None:
            os.fchmod(self.folder.fd, self.mode)


def set_times(folder: Folder, atime: int | None, mtime: int | None) -> None:
    """Set times of a directory in nanoseconds; None leaves one as it is."""
    if atime is not None or mtime is not None:
        now = os.fstat(folder.fd)
        times = (now.st_atime_ns if atime is None else atime, now.st_mtime_ns if mtime is None else mtime)
        os.utime(folder.fd, ns=times)
