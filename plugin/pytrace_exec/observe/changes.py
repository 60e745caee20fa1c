# SPDX-License-Identifier: Apache-2.0
"""The effects of calls that change the tree: names made, removed and moved, modes, owners, times, attributes."""

from __future__ import annotations

import time

from pytrace_exec.observe.before import GRANULE_NS
from pytrace_exec.observe.failures import failed, note_held
from pytrace_exec.observe.looks import flag_names
from pytrace_exec.observe.opens import number
from pytrace_exec.observe.run import Target, argument, place_of
from pytrace_exec.observe.world import Found, Node
from pytrace_exec.tracer.events import Flags

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_exec.calls.table import Row
    from pytrace_exec.observe.processes import Task
    from pytrace_exec.observe.run import Run
    from pytrace_exec.tracer.events import Call, Value

MINIMAL_ACL_SIZE = 28
"""Bytes of an ACL with the three entries that are the mode bits: the kernel keeps it as the mode (acl(5))."""

NOW = -1
"""A time that was set to the moment of the call."""

_SECOND = 1_000_000_000


def _made(run: Run, call: Call, found: Found | None, node: Node) -> bool:
    """Bind a node that the call proved to be new; False when it failed."""
    if found is None:
        return False
    if found.machine is not None:
        if call.error is None:
            run.refuse("machine", found.machine, call)
        return False
    if call.error is not None:
        failed(run, call, found, changes=True)
        return False
    run.note_new(call, found)
    run.world.bind(found.parent, found.name, node)
    return True


def mkdir(run: Run, task: Task, call: Call, row: Row) -> None:
    """`mkdir`."""
    node = Node("dir", None)
    node.created = number(argument(call, row, "mode")) & 0o7777 & ~task.context.umask
    _made(run, call, place_of(run, task, call, row, False).found, node)


def mknod(run: Run, task: Task, call: Call, row: Row) -> None:
    """`mknod`: a regular file, or a special one."""
    mode = argument(call, row, "mode")
    kinds = {"S_IFIFO": "fifo", "S_IFSOCK": "socket", "S_IFCHR": "char", "S_IFBLK": "block"}
    kind = next((kinds[name] for name in flag_names(mode) if name in kinds), "file")
    node = Node(kind, None)
    node.created = number(mode) & 0o7777 & ~task.context.umask
    _made(run, call, place_of(run, task, call, row, False).found, node)


def symlink(run: Run, task: Task, call: Call, row: Row) -> None:
    """`symlink`."""
    node = Node("symlink", None)
    text = argument(call, row, "text")
    node.target = text if isinstance(text, bytes) else b""
    _made(run, call, place_of(run, task, call, row, False).found, node)


def hardlink(run: Run, task: Task, call: Call, row: Row) -> None:
    """`link`: another name; of a file that the run did not make, its content is a fact."""
    flags = flag_names(argument(call, row, "flags"))
    source = place_of(run, task, call, row, "AT_SYMLINK_FOLLOW" in flags).found
    target = place_of(run, task, call, row, False, "2").found
    if source is None or target is None:
        return
    if call.error is not None:
        failed(run, call, source)
        failed(run, call, target, changes=True)
        return
    node = source.node
    if source.machine is not None:
        node = Node("file", None)
    if node is None:
        run.refuse("input_changed", source.path(), call)
        return
    if node.kind == "file" and not node.own:
        run.note(call, "content", "", source.subject)
    _made(run, call, target, node)


def unlink(run: Run, task: Task, call: Call, row: Row) -> None:
    """`unlink` and `rmdir`: the name was there, of that type."""
    found = place_of(run, task, call, row, False).found
    if found is None:
        return
    if call.error is not None:
        failed(run, call, found, changes=True)
        return
    _note_removed(run, call, found)
    if found.node is not None and found.node.kind == "dir":
        run.note(call, "listing", "", found.node.subject)  # what it held, the run took away first
    run.world.bind(found.parent, found.name, None)


def _note_removed(run: Run, call: Call, found: Found) -> None:
    if found.node is None:
        run.refuse("input_changed" if found.subject else "incomplete", found.path(), call)
    elif found.node.origin is not None:
        run.note(call, "change", "l", found.subject)


def rename(run: Run, task: Task, call: Call, row: Row) -> None:
    """`rename`: the source was there with that content; the target is replaced, or was absent, or takes its place."""
    flags = flag_names(argument(call, row, "flags"))
    source = place_of(run, task, call, row, False).found
    target = place_of(run, task, call, row, False, "2").found
    if source is None or target is None:
        return
    if call.error is not None:
        failed(run, call, source, changes=True)
        failed(run, call, target, changes=True)
        return
    if "RENAME_WHITEOUT" in flags:
        run.refuse("special_file", source.path(), call)
    if source.node is None:
        run.refuse("input_changed", source.path(), call)
        return
    if source.node is target.node:
        return
    if _same_file(source.node, target.node):
        run.refuse("many_links", source.path(), call)  # two names of one file: a rename leaves both
        return
    _note_moved(run, call, source)
    if "RENAME_EXCHANGE" in flags and target.node is not None:
        _note_moved(run, call, target)
        other = target.node
        run.world.bind(target.parent, target.name, source.node)
        run.world.bind(source.parent, source.name, other)
        return
    _note_replaced(run, task, call, source, target, "RENAME_NOREPLACE" in flags)
    run.world.bind(target.parent, target.name, source.node)
    run.world.bind(source.parent, source.name, None)


def _same_file(node: Node, other: Node | None) -> bool:
    """Whether two nodes of the tree before the run were names of one file."""
    one, two = node.status, other.status if other is not None else None
    return one is not None and two is not None and (one.st_dev, one.st_ino) == (two.st_dev, two.st_ino)


def _note_moved(run: Run, call: Call, found: Found) -> None:
    """What was moved counts with its content; of a directory, everything below (`outputs` names that)."""
    node = found.node
    if node is None or node.origin is None:
        return
    run.note(call, "change", "l", found.subject)
    if node.kind == "file" and not node.own:
        run.note(call, "content", "", found.subject)
    elif node.kind == "symlink":
        run.note(call, "link", "", found.subject)


def _note_replaced(run: Run, task: Task, call: Call, source: Found, target: Found, absent: bool) -> None:
    if (id(target.parent), target.name) in run.world.changes:
        return
    if absent:
        run.note_new(call, target)
    elif source.node is not None and source.node.kind == "dir":
        note_held(run, call, target.node, target.spot)
        run.note(call, "change", "l", target.spot)
    elif target.spot is not None and source.node is not None:
        run.targets.append(Target(target.spot, source.node, task.program, call.name))


def truncate(run: Run, task: Task, call: Call, row: Row) -> None:
    """`truncate`: what is left depends on the content before."""
    found = place_of(run, task, call, row, True).found
    if found is None or found.machine is not None:
        return
    if call.error is not None:
        failed(run, call, found)
    elif found.node is None:
        run.refuse("input_changed", found.path(), call)
    else:
        task.program.writes(found.node)
        if not found.node.own:
            _note_truncated(run, call, found, found.node)


def _note_truncated(run: Run, call: Call, found: Found, node: Node) -> None:
    run.note(call, "content", "", found.subject)
    if node.status is not None and node.status.st_nlink > 1:
        run.refuse("many_links", found.path(), call)
    node.written = True


def _changed(run: Run, task: Task, call: Call, row: Row) -> Node | None:
    """The node whose metadata a call changed, its earlier type noted; None when nothing of the tree was changed."""
    follow = row.follows and "AT_SYMLINK_NOFOLLOW" not in flag_names(argument(call, row, "flags"))
    found = place_of(run, task, call, row, follow).found
    if found is None:
        return None
    if found.machine is not None:
        if call.error is None:
            run.refuse("machine", found.machine, call)
        return None
    if call.error is not None:
        if call.error not in ("EOPNOTSUPP", "ENOTSUP"):
            failed(run, call, found)
        return None
    if found.node is None:
        run.refuse("input_changed", found.path(), call)
    elif found.node.origin is not None:
        run.note(call, "change", "l", found.subject)
    return found.node


def chmod(run: Run, task: Task, call: Call, row: Row) -> None:
    """`chmod`: the mode is an output, the content is not."""
    node = _changed(run, task, call, row)
    if node is not None:
        node.mode = number(argument(call, row, "mode")) & 0o7777


def chown(run: Run, task: Task, call: Call, row: Row) -> None:
    """`chown`: harmless when nothing changes, else nothing that a replay could do."""
    node = _changed(run, task, call, row)
    if node is None:
        return
    now = node.status if node.origin is not None else None
    same = (
        (-1, 0xFFFFFFFF, now.st_uid if now else run.setting.uid),
        (-1, 0xFFFFFFFF, now.st_gid if now else run.setting.gid),
    )
    asked = argument(call, row, "owner"), argument(call, row, "group")
    if any(value not in allowed for value, allowed in zip(asked, same, strict=True)):
        run.refuse("owner", node.path(), call)


def utimes(run: Run, task: Task, call: Call, row: Row) -> None:
    """`utimensat` and its kinds: times that were set are set again by a replay."""
    node = _changed(run, task, call, row)
    if node is None:
        return
    accessed, modified = (_fresh(run, call, node, moment) for moment in _times(argument(call, row, "times")))
    earlier = node.times or (None, None)
    node.times = (
        accessed if accessed is not None else earlier[0],
        modified if modified is not None else earlier[1],
    )


def _fresh(run: Run, call: Call, node: Node, moment: int | None) -> int | None:
    """A time that was set; `NOW` for one of this run, such as that of a file it has just made (`touch -r`, `cp -p`).

    One that has lost its fraction is of this run as well, but no longer in its order.
    """
    began = run.setting.began_ns
    if moment is None or moment == NOW:
        return moment
    if began - GRANULE_NS <= moment <= time.time_ns():
        return NOW
    if began - _SECOND < moment < began and moment % _SECOND == 0:
        run.refuse("absolute_times", node.path(), call)
    return moment


def _times(value: Value) -> tuple[int | None, int | None]:
    """Access and modification time in ns, `NOW`, or None for one that was left alone."""
    if value is None:
        return NOW, NOW
    if isinstance(value, dict):
        pair: tuple[Value, ...] = (value.get("actime"), value.get("modtime"))
    else:
        pair = value if isinstance(value, tuple) and len(value) == 2 else (None, None)
    return _time(pair[0]), _time(pair[1])


def _time(value: Value) -> int | None:
    if isinstance(value, int):
        return value * 1_000_000_000
    if isinstance(value, Flags):
        return NOW if "UTIME_NOW" in value.names else None
    if not isinstance(value, dict):
        return None
    nanoseconds = value.get("tv_nsec")
    if isinstance(nanoseconds, Flags):
        return NOW if "UTIME_NOW" in nanoseconds.names else None
    seconds, micro = value.get("tv_sec"), value.get("tv_usec")
    part = nanoseconds if isinstance(nanoseconds, int) else (micro * 1000 if isinstance(micro, int) else 0)
    return seconds * 1_000_000_000 + part if isinstance(seconds, int) else None


def setxattr(run: Run, task: Task, call: Call, row: Row) -> None:
    """`setxattr` and `removexattr`: nothing that a replay could do, but an ACL that says no more than the mode."""
    node = _changed(run, task, call, row)
    minimal = call.args[1:2] == (b"system.posix_acl_access",) and call.args[3:4] == (MINIMAL_ACL_SIZE,)
    if node is not None and not (minimal and node.origin is None):
        run.refuse("attributes", node.path(), call)
