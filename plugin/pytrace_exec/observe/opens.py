# SPDX-License-Identifier: Apache-2.0
"""The effect of `open` and its kinds: content read, created, truncated or written in place."""

from __future__ import annotations

from pytrace_exec.observe.failures import READ, WRITE, failed
from pytrace_exec.observe.looks import flag_names, forget_look
from pytrace_exec.observe.run import Target, argument, place_of
from pytrace_exec.observe.world import Found, Node
from pytrace_exec.policy import bytecode, loader_cache, machine
from pytrace_exec.tracer.events import Flags

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_exec.calls.table import Row
    from pytrace_exec.observe.processes import Task
    from pytrace_exec.observe.run import Run
    from pytrace_exec.tracer.events import Call, Value


_CONFINED = {"RESOLVE_BENEATH", "RESOLVE_NO_SYMLINKS"}
_RESOLVED_OTHERWISE = {"RESOLVE_IN_ROOT", "RESOLVE_NO_XDEV"}


def open_(run: Run, task: Task, call: Call, row: Row) -> None:
    """`open`, `openat`, `openat2`."""
    how = argument(call, row, "how")
    flags = flag_names(how.get("flags") if isinstance(how, dict) else argument(call, row, "flags"))
    mode = how.get("mode") if isinstance(how, dict) else argument(call, row, "mode")
    resolve = flag_names(how.get("resolve")) if isinstance(how, dict) else frozenset()
    if resolve & _RESOLVED_OTHERWISE or (resolve & _CONFINED and not _is_plain(run, task, call, row)):
        run.refuse("namespace", None, call)
        return
    _open(run, task, call, row, flags | {"O_NOFOLLOW"} if resolve & _CONFINED else flags, mode)
    run.saw_last(task, None)


def _is_plain(run: Run, task: Task, call: Call, row: Row) -> bool:
    """Whether a path that must not lead out of its folder means what it says: one name, and that no link.

    One that begins by leading out is refused whatever there is.
    """
    path = argument(call, row, "path")
    if not isinstance(path, bytes) or (b"/" in path and not (path.startswith(b"../") and call.error == "EXDEV")):
        return False
    found = place_of(run, task, call, row, False).found
    return found is None or found.node is None or found.node.kind != "symlink"


def create(run: Run, task: Task, call: Call, row: Row) -> None:
    """`creat`: `open` with O_WRONLY, O_CREAT and O_TRUNC."""
    _open(run, task, call, row, frozenset({"O_WRONLY", "O_CREAT", "O_TRUNC"}), argument(call, row, "mode"))


def _open(run: Run, task: Task, call: Call, row: Row, flags: frozenset[str], mode: Value) -> None:
    exclusive = {"O_CREAT", "O_EXCL"} <= flags
    writes = bool(flags & {"O_WRONLY", "O_RDWR"})
    found = place_of(run, task, call, row, not exclusive and "O_NOFOLLOW" not in flags).found
    if found is not None and found.machine is not None:
        found = _through_machine(run, task, call, found.machine, writes)
    if found is None:
        return
    if call.error is not None:
        _failed_open(run, call, found, flags, writes)
    elif "O_TMPFILE" in flags:
        run.note(call, "error", "", found.subject)
    elif exclusive or (found.node is None and "O_CREAT" in flags):
        _created(run, task, call, found, flags, number(mode))
    elif found.node is None:
        run.refuse("input_changed", found.path(), call)
    elif "O_PATH" in flags or found.node.kind == "dir":
        if "O_DIRECTORY" in flags:
            forget_look(task, found)
        run.note(call, "error", "l" if "O_NOFOLLOW" in flags else "", found.subject)
    elif found.node.kind == "file":
        if "O_NOFOLLOW" in flags:
            run.note(call, "error", "l", found.subject)  # a link to the same would have been refused
        _opened(run, task, call, found, writes, "O_TRUNC" in flags, number(mode))
    elif found.node.origin is not None:
        run.refuse("device", found.path(), call)


def number(value: Value) -> int:
    """A mode argument as a number: its names are of types, its rest is the mode."""
    if isinstance(value, Flags):
        return value.rest
    return value if isinstance(value, int) else 0


def _through_machine(run: Run, task: Task, call: Call, path: bytes, writes: bool) -> Found | None:
    """What an open through `/proc` or `/dev` led to, when that is a file of the tree (`/proc/self/cwd/f`)."""
    fd = call.result_fd
    if fd is not None and fd.path is not None and call.error is None:
        standing = run.standing_at(fd)
        if standing is not None and path != b"/dev/null":
            run.note_plain(call, "stream", f"kind {standing[0]}")
            if standing[1].kind != "file":
                return None
            run.stdin_read = run.stdin_read or standing[0] == 0
        real = fd.path
        if real.startswith(b"/") and not fd.deleted and not real.startswith((b"/proc/", b"/dev/", b"/sys/")):
            return run.world.walk(real, run.world.top)
        if not real.startswith(b"/"):
            return None
    machine.opened(run, task, call, path, writes)
    return None


def _failed_open(run: Run, call: Call, found: Found, flags: frozenset[str], writes: bool) -> None:
    access = (WRITE if writes else 0) | (0 if "O_WRONLY" in flags else READ)
    if call.error == "EEXIST":
        run.note(call, "change", "l", found.subject)
    elif call.error == "ELOOP" and "O_NOFOLLOW" in flags:
        run.note(call, "error", "l", found.subject)
    else:
        failed(run, call, found, changes="O_CREAT" in flags, access=access)


def _created(run: Run, task: Task, call: Call, found: Found, flags: frozenset[str], mode: int) -> None:
    """The file was not there: proved by O_EXCL, else by what is known of the world before.

    With O_TRUNC alone a plain file would have done as well.
    """
    node = Node("file", None)
    node.created = mode & 0o7777 & ~task.context.umask
    node.birth = task.program, found.name
    task.program.writes(node)
    changed = (id(found.parent), found.name) in run.world.changes
    if "O_EXCL" in flags:
        run.note_new(call, found)
    elif not changed and found.spot is not None:
        if "O_TRUNC" in flags:
            run.targets.append(Target(found.spot, node, task.program, call.name))
        else:
            run.note(call, "change", "l", found.spot)
    run.world.bind(found.parent, found.name, node)


def _opened(run: Run, task: Task, call: Call, found: Found, writes: bool, truncates: bool, mode: int) -> None:
    node = found.node
    assert node is not None
    if writes or truncates:
        task.program.writes(node)
    if node.own:
        bytecode.opened_own(run, task, call, node.path())
        return
    if writes and node.status is not None and node.status.st_nlink > 1:
        run.refuse("many_links", found.path(), call)
    if truncates:
        node.created = mode & 0o7777 & ~task.context.umask
        if found.subject is not None:
            run.targets.append(Target(found.subject, node, task.program, call.name))
        run.world.own(node)
        return
    path = found.subject
    meant = not writes and (bytecode.imports(run, task, path) or loader_cache.consults(task.program, path))
    run.note(call, "content", "", path, meant)
    node.written = node.written or writes
