# SPDX-License-Identifier: Apache-2.0
"""Replaying effects, all or nothing (DESIGN 7).

`prepare` stages and checks everything beside its place. `commit` changes names, each in one instant, and undoes all of
them if one fails. What was replaced is kept aside until `forget`, so that `rollback` is possible until the first byte
of the recorded streams is written. A process that is killed in between leaves the old or the new thing under every
name, and folders `.pytrace-N` that the next replay there removes.

A file that was written in place is replaced too, by a copy that takes over its mode and group: its inode changes, so
one with several names, of another owner or with attributes is not replayed over.
"""

from __future__ import annotations

import os

from pytrace_exec.replay.clock import OutputTimes, fresh_times
from pytrace_exec.replay.layout import Layout, set_times
from pytrace_exec.replay.plan import Plan, ReplayRefused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from pytrace_cas.digest import Digest
    from pytrace_cas.recorded.effects import Effects
    from pytrace_cas.recorded.places import Places
    from pytrace_exec.replay.folders import Folder
    from pytrace_exec.replay.layout import DigestOf
    from pytrace_exec.replay.stage import Blobs, StatusOf
    from pytrace_exec.replay.steps import Reached, Step

__all__ = ["Prepared", "ReplayRefused", "UndoFailed", "prepare"]


class UndoFailed(Exception):
    """A replay failed and could not be undone at `paths`; what was there is in folders `.pytrace-kept-*` beside."""

    def __init__(self, paths: list[bytes]) -> None:
        named = ", ".join(map(repr, paths))
        super().__init__(f"a replay could not be undone; what was there is in .pytrace-kept-* beside: {named}")
        self.paths = paths


def _go_on(instant: str) -> None:
    """Do nothing: the replay runs on."""


def prepare(
    effects: Effects,
    blobs: Blobs,
    places: Places,
    *,
    allowed: Sequence[bytes] = (),
    newest_input_ns: int = 0,
    digest_of: DigestOf | None = None,
    status_of: StatusOf | None = None,
    hook: Reached | None = None,
) -> Prepared:
    """Stage and check a replay; raise `ReplayRefused` with the tree as it was, as on any error of `blobs`.

    `allowed`: real paths of the declared output places outside the root. `newest_input_ns`: the latest modification
    time among the inputs. `digest_of`: `HASH/SIZE` of a file of that status, or None when it is not known.
    `status_of`: status of a file as it was when the result was looked up, by which bytecode is stamped. `hook` is
    told of each instant at which a failure must do no harm.
    """
    plan = Plan(effects, places, allowed)
    times = OutputTimes(plan, fresh_times(max(1, len(plan.order)), newest_input_ns))
    prepared = Prepared(Layout(plan, places, times, digest_of, status_of), times.first, hook or _go_on)
    with _Undoing(prepared):
        prepared.stage(blobs)
    return prepared


class Prepared:
    """A replay that is staged. Used by one thread; ends with `forget` or `rollback`.

    `written`: paths and digests of the files that are in place after `commit`; their change times move until `forget`.
    """

    __slots__ = ("_begun", "_first_time", "_layout", "_reached", "written")

    def __init__(self, layout: Layout, first_time: int, reached: Reached) -> None:
        self._layout = layout
        self._first_time = first_time
        self._reached = reached
        self._begun: list[Step] = []
        self.written: list[tuple[bytes, Digest]] = layout.written

    def __enter__(self) -> Prepared:
        return self

    def __exit__(self, *_: object) -> None:
        """Roll back, unless it was forgotten."""
        self.rollback()

    def stage(self, blobs: Blobs) -> None:
        """Do all that changes no real name; `prepare` calls it."""
        self._layout.make(blobs, self._reached)
        self._reached("staged")

    def commit(self) -> None:
        """Change the tree; raise `ReplayRefused` with every change undone, or `UndoFailed`."""
        with _Undoing(self):
            for step in self._layout.steps:
                self._begun.append(step)
                step.do(self._reached)
            self._reached("committed")

    def rollback(self) -> None:
        """Undo every change and remove what was staged; raise `UndoFailed` if that cannot be done."""
        failed = []
        while self._begun:
            step = self._begun.pop()
            try:
                step.undo()
            except (OSError, ReplayRefused):
                failed.append(step.path)
        for folder in self._layout.folders:
            _quietly(folder.keep if failed else folder.clear)
            _quietly(folder.restore_times)
        self._layout.folders.close()
        if failed:
            raise UndoFailed(failed)

    def forget(self) -> None:
        """Remove what was kept aside and set what can only be set last; nothing here can fail the replay."""
        self._begun.clear()
        for folder in self._layout.folders:
            self._reached("forget")
            self._let_go(folder)
        for late in self._layout.late:
            _quietly(late.do)
        self._reached("forgotten")
        self._layout.folders.close()

    def _let_go(self, folder: Folder) -> None:
        """Clear a directory; staging in it moved its time, which is set as if the run had just been there."""
        staged = folder.staged
        _quietly(folder.clear)
        if folder.renamed:
            _quietly(lambda: set_times(folder, None, self._first_time))
        elif staged:
            _quietly(folder.restore_times)


class _Undoing:
    """Roll a replay back when the block fails; what the system refused becomes `ReplayRefused`."""

    __slots__ = ("_prepared",)

    def __init__(self, prepared: Prepared) -> None:
        self._prepared = prepared

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is None:
            return
        self._prepared.rollback()
        if isinstance(error, OSError):
            path = os.fsencode(error.filename) if isinstance(error.filename, bytes | str) else None
            raise ReplayRefused(f"the system refuses it ({error.strerror})", path) from error


def _quietly(action: Callable[[], None]) -> None:
    """Do what tidies up; what cannot be removed now is removed by the next replay in that directory."""
    try:
        action()
    except OSError:
        return
