# SPDX-License-Identifier: Apache-2.0
"""What a run left behind: every name and every inode that it changed, by comparison with what was there before."""

from __future__ import annotations

import os

from pytrace_exec.observe.before import COARSE_GRANULE_NS
from pytrace_exec.observe.changes import NOW
from pytrace_exec.observe.view import identity_of
from pytrace_exec.observe.world import Node
from pytrace_exec.policy.reasons import Reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_exec.observe.before import EarlierView
    from pytrace_exec.observe.run import Run


# Every file has this attribute where SELinux is on; a replay keeps it.
_LABEL = b"security.selinux"


class Output:
    """One path of the tree that the run changed.

    `kind`: file, dir, symlink, hardlink (`other`: another output of the same inode), linked (a new name of what was
    there before and is `other` now), removed (`other`: its earlier type), moved (`other`: the earlier path), metadata
    (mode or times of something that was there). `in_place`: an existing file kept its inode and mode. `mode`: full
    mode bits, None where the run left them alone. `times`: set by the run.
    """

    __slots__ = ("in_place", "kind", "mode", "mtime", "other", "path", "times")

    def __init__(
        self,
        kind: str,
        path: bytes,
        mode: int | None = None,
        other: bytes = b"",
        times: tuple[int | None, int | None] | None = None,
        mtime: int = 0,
        in_place: bool = False,
    ) -> None:
        self.kind = kind
        self.path = path
        self.mode = mode
        self.other = other
        self.times = times
        self.mtime = mtime
        self.in_place = in_place

    def __repr__(self) -> str:
        return f"Output({self.kind!r}, {self.path!r}, {self.mode!r}, {self.other!r})"


_CHANGING = ("change", "error")
"""Kinds of facts that calls which change something leave."""


def outputs_of(run: Run, earlier: EarlierView) -> list[Output]:
    """Return the outputs, sorted by path; what cannot be replayed becomes a reason not to store."""
    found: list[Output] = []
    placed: dict[int, bytes] = {}
    for folder, name in sorted(run.world.changes.values(), key=lambda change: _path(*change)):
        found += _changed_name(run, earlier, folder, name, placed)
    for node in list(run.world.originals.values()):
        found += _changed_inode(run, earlier, node)
    outside = [output.path for output in found if not run.setting.writable(output.path)]
    for path in outside:
        run.refuse_for(_wrote_outside(run, path))
    return sorted((output for output in found if output.path not in outside), key=lambda output: output.path)


def _wrote_outside(run: Run, path: bytes) -> Reason:
    """The reason, with the call that told of the path's state before it was changed, else that first looked at it."""
    for target in run.targets:
        if target.subject == path:
            reason = Reason("wrote_outside", path, target.program.pid, target.call)
            reason.program = target.program.path or None
            return reason
    calls = {s.kind: call for s, call in run.subjects.items() if path in s.paths and call is not None}
    call = next((calls[kind] for kind in (*_CHANGING, *calls) if kind in calls), None)
    return Reason("wrote_outside", path, call.pid if call else None, call.name if call else None)


def _changed_name(run: Run, earlier: EarlierView, folder: Node, name: bytes, placed: dict[int, bytes]) -> list[Output]:
    """What became of one name that the run changed."""
    if folder.origin is None and not folder.places:
        return []
    spot = None if folder.origin is None else _join(folder.origin, name)
    was = _was(run, earlier, spot)
    node = run.world.child(folder, name)
    if node is None:
        return _removed(run, folder, name, spot, was)
    path = _path(folder, name)
    if node.origin is not None:
        return _named_anew(node, folder, name)
    if node.kind in ("file", "dir", "symlink"):
        return [_made(run, node, path, placed)]
    run.refuse("special_file", path)
    return []


def _named_anew(node: Node, folder: Node, name: bytes) -> list[Output]:
    """A name of an inode that was there before: its first one if it lost its own, else another."""
    path, lasting = _path(folder, name), [place for place in node.places if _is_own_name(node, *place)]
    if (folder, name) in lasting:
        return []
    kept = min(_path(*place) for place in lasting or node.places)
    if not lasting and kept == path:
        assert node.origin is not None
        return [Output("moved", path, other=node.origin)]
    return [Output("linked", path, other=kept)]


def _is_own_name(node: Node, folder: Node, name: bytes) -> bool:
    """Whether an inode has the name it had before, wherever the directory lies now, or the path it had before."""
    return node.origin in (_path(folder, name), None if folder.origin is None else _join(folder.origin, name))


def _join(folder: bytes, name: bytes) -> bytes:
    return folder.rstrip(b"/") + b"/" + name


def _path(folder: Node, name: bytes) -> bytes:
    return _join(folder.path(), name)


def _was(run: Run, earlier: EarlierView, spot: bytes | None) -> Node | None:
    """The inode that the name stood for before the run."""
    if spot is None or isinstance(earlier.lstat(spot), str):
        return None
    return run.world.originals.get(spot)


def _removed(run: Run, folder: Node, name: bytes, spot: bytes | None, was: Node | None) -> list[Output]:
    if was is None or spot is None or was.places:
        return []
    return [Output("removed", spot, other=was.kind.encode())]


def _made(run: Run, node: Node, path: bytes, placed: dict[int, bytes]) -> Output:
    """A file, directory or link that the run made; its second name is a hard link to its first."""
    if id(node) in placed and node.kind == "file":
        return Output("hardlink", path, other=placed[id(node)])
    placed[id(node)] = path
    if node.kind == "symlink":
        return Output("symlink", path, other=node.target, times=node.times)
    try:
        found = os.lstat(path)
    except OSError:
        run.refuse("input_changed", path)
        return Output(node.kind, path)
    if node.kind == "file" and found.st_nlink > len(node.places):
        run.refuse("many_links", path)
    times = _still_set(node.times, found.st_mtime_ns)
    _check_writers(run, node, path, found.st_mtime_ns, times)
    return Output(node.kind, path, found.st_mode & 0o7777, times=times, mtime=found.st_mtime_ns)


def _check_writers(
    run: Run, node: Node, path: bytes, modified_ns: int, times: tuple[int | None, int | None] | None
) -> None:
    """A file that was modified when nobody in the run could write to it any more was written by somebody else."""
    until = run.processes.written_until(node)
    if node.kind == "file" and until is not None and modified_ns > until and (times is None or times[1] is None):
        run.refuse("foreign_writes", path)


def _still_set(times: tuple[int | None, int | None] | None, modified_ns: int) -> tuple[int | None, int | None] | None:
    """Of times that were set, those that are there still: a write moves the time of modification on."""
    if times is None or times[1] is None or times[1] == NOW or abs(modified_ns - times[1]) < COARSE_GRANULE_NS:
        return times
    return (times[0], None) if times[0] is not None else None


def _changed_inode(run: Run, earlier: EarlierView, node: Node) -> list[Output]:
    """What became of an inode that was there before and still has a name."""
    if not node.places or node.origin is None:
        return []
    path = node.path()
    if node.kind == "file" and node.written:
        found = earlier.live.lstat(path)
        before = earlier.lstat(node.origin)
        if isinstance(found, str) or isinstance(before, str):
            run.refuse("input_changed", path)
            return []
        if node.own or identity_of(found)[:4] != identity_of(before)[:4]:
            attributes = earlier.live.attributes(path, False)
            if not isinstance(attributes, str) and set(attributes) - {_LABEL}:
                run.refuse("attributes", path)  # a replay puts another file in its place
            mode = found.st_mode & 0o7777
            times = _still_set(node.times, found.st_mtime_ns)
            _check_writers(run, node, path, found.st_mtime_ns, times)
            return [Output("file", path, mode, times=times, mtime=found.st_mtime_ns, in_place=node.mode is None)]
    return _changed_metadata(run, earlier, node, path)


def _changed_metadata(run: Run, earlier: EarlierView, node: Node, path: bytes) -> list[Output]:
    if node.mode is None and node.times is None:
        return []
    found = earlier.live.lstat(path)
    if isinstance(found, str):
        run.refuse("input_changed", path)
        return []
    times = _still_set(node.times, found.st_mtime_ns)
    return [Output("metadata", path, node.mode, times=times)] if node.mode is not None or times is not None else []
