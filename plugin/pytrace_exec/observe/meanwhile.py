# SPDX-License-Identifier: Apache-2.0
"""Reading what a run does while it goes on, and what makes that right once it has ended.

Reading is determined by the events and by what the disk answers. The disk is asked while the run may still change it,
so every question is asked again after the run: if one is answered otherwise, as far as reading goes by it, all is read
anew. What is kept is what would have been read after the run.
"""

from __future__ import annotations

import os
import stat
import time

from pytrace_exec.observe.reader import Reader
from pytrace_exec.observe.view import answer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytrace_exec.observe.facts import Lookup
    from pytrace_exec.observe.run import Run, Setting
    from pytrace_exec.observe.snapshot import Snapshot
    from pytrace_exec.observe.world import Earlier
    from pytrace_exec.tracer.events import Event

_SLICE_NS = 2_000_000
"""How long is read before others have their turn."""


class Midway:
    """The tree before the run, as far as it can be told while the run goes on; each question is asked once."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self.statuses: dict[bytes, Lookup] = {}
        self.targets: dict[bytes, bytes | str] = {}

    def lstat(self, path: bytes) -> Lookup:
        """Status of the path itself."""
        found = self.statuses.get(path)
        if found is None:
            found = self._snapshot.lstat(path)
            if found is None:
                found = answer(os.lstat, path)
            self.statuses[path] = found
        return found

    def stat(self, path: bytes) -> Lookup:
        """What is read needs no more than the path itself."""
        raise NotImplementedError

    def readlink(self, path: bytes) -> bytes | str:
        """Target of a link."""
        target = self.targets.get(path)
        if target is None:
            target = self._snapshot.targets.get(path)
            if target is None:
                target = answer(os.readlink, path)
            self.targets[path] = target
        return target


class Meanwhile:
    """Reads the events of one run as they come, a slice at a time; after an error it must not be asked any more.

    `setting`: returns what is known of the run as it begins.
    """

    __slots__ = ("_midway", "_reader", "_setting")

    def __init__(self, setting: Callable[[], Setting], snapshot: Snapshot) -> None:
        self._setting = setting
        self._midway = Midway(snapshot)
        self._reader: Reader | None = None

    def read_some(self, events: Sequence[Event]) -> bool:
        """Read on in what has come so far; return whether there is more that can be read now."""
        if self._reader is None:
            self._reader = Reader(self._setting(), self._midway)
        return self._reader.read(events, time.monotonic_ns() + _SLICE_NS)

    def finish(self, events: Sequence[Event], setting: Setting, earlier: Earlier) -> Run | None:
        """Return what the events tell of a run that has ended; None if not everything is as it was when it was read."""
        reader = self._reader
        if reader is None or _told(setting) != _told(reader.run.setting):
            return None
        reader.read(events)
        if not self._confirmed(reader.run, earlier):
            return None
        reader.run.setting = setting
        reader.run.world.earlier = earlier
        return reader.finish()

    def _confirmed(self, run: Run, earlier: Earlier) -> bool:
        """Ask everything again, and put the answers of now in the place of the former ones."""
        return (
            all(_decides_alike(found, earlier.lstat(path)) for path, found in self._midway.statuses.items())
            and all(target == earlier.readlink(path) for path, target in self._midway.targets.items())
            and run.is_as_read()
            and all(run.world.refresh(path, earlier.lstat(path)) for path in run.world.originals)
        )


def _told(setting: Setting) -> dict[str, object]:
    told = {name: getattr(setting, name) for name in setting.__slots__}
    told["standing"] = {number: (one.kind, one.path) for number, one in setting.standing.items()}
    return told


def _decides_alike(one: Lookup, other: Lookup) -> bool:
    """Whether calls are read alike by either status: their meaning depends on no times and sizes."""
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    return _decisive(one) == _decisive(other)


def _decisive(found: os.stat_result) -> tuple[int, ...]:
    links = 0 if stat.S_ISDIR(found.st_mode) else found.st_nlink
    return found.st_mode, found.st_dev, found.st_ino, links, found.st_uid, found.st_gid
