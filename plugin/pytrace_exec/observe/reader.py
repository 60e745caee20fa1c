# SPDX-License-Identifier: Apache-2.0
"""Reads the events of a run and lets each call have its effect on what is known of it."""

from __future__ import annotations

import os
import time

from pytrace_exec.calls.numbers import call_name
from pytrace_exec.calls.table import HARMLESS, TABLE
from pytrace_exec.observe import changes, looks, opens, sockets
from pytrace_exec.observe.again import look_again
from pytrace_exec.observe.processes import FileSystemContext, clone_flags
from pytrace_exec.observe.run import Run, argument
from pytrace_exec.observe.transfers import transfer
from pytrace_exec.policy import loader_cache, machine
from pytrace_exec.policy.reasons import Reason
from pytrace_exec.tracer.events import Again, Call, Exited, Flags, Foreign, Killed, Superseded, Unparsed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    from pytrace_exec.calls.table import Row
    from pytrace_exec.observe.processes import Task
    from pytrace_exec.observe.run import Setting
    from pytrace_exec.observe.world import Earlier
    from pytrace_exec.tracer.events import Event

    Effect: TypeAlias = Callable[[Run, Task, Call, Row], None]

LOOK_ONLY = frozenset(
    {"status", "access", "link", "listing", "attribute", "nothing", "host", "limit", "statfs", "ioctl", "transfer"}
)
"""Effects of calls that change nothing, so that one which never returned can be passed over."""


def read_events(events: Sequence[Event], setting: Setting, earlier: Earlier) -> Run:
    """Return what the events tell of the run, in the order in which they were completed."""
    reader = Reader(setting, earlier)
    reader.read(events)
    return reader.finish()


class Reader:
    """Reads events that may still come; `run` is what those tell that were read."""

    __slots__ = ("_next", "_unseen", "run")

    def __init__(self, setting: Setting, earlier: Earlier) -> None:
        self.run = Run(setting, earlier)
        self._next = 0
        self._unseen = 0

    def read(self, events: Sequence[Event], until: int | None = None) -> bool:
        """Read on in the events; without `until` (ns of the monotonic clock) they are all, else more may come.

        Until all are there, nothing is read beyond a thread whose birth was not told yet: its parent's call may return
        later than its own first ones. Returns whether it was only the time that was up.
        """
        for position in range(self._unseen, len(events)):
            self.run.processes.expect(events[position])
        self._unseen = len(events)
        while self._next < len(events):
            event = events[self._next]
            if until is not None:
                if isinstance(event, Call | Again) and not self.run.processes.knows(event.pid):
                    return False
                if time.monotonic_ns() > until:
                    return True
            self._next += 1
            _event(self.run, event)
        return False

    def finish(self) -> Run:
        """Return what all events tell, which have been read, after the run."""
        machine.answer_for_purposes(self.run)
        _check_programs(self.run)
        return self.run


def _event(run: Run, event: Event) -> None:
    if isinstance(event, Call):
        _call(run, event)
    elif isinstance(event, Again):
        _again(run, event)
    elif isinstance(event, Exited):
        run.processes.ended(event.pid, event.code, event.at)
    elif isinstance(event, Killed):
        run.processes.ended(event.pid, None, event.at)
    elif isinstance(event, Superseded):
        run.processes.superseded(event.pid, event.by)
    elif isinstance(event, Foreign):
        run.refuse_for(Reason("foreign_abi", None, event.pid, event.name))
    elif isinstance(event, Unparsed):
        run.refuse("incomplete", event.text[:200])


def _check_programs(run: Run) -> None:
    """Refuse programs that the run changed after it had executed them: their interpreter is not what stands there."""
    for node, writes, places in run.read_late:
        if (node.writes, tuple(node.places)) != (writes, places):
            run.refuse("not_whole", node.path() if node.places else None)


def _call(run: Run, call: Call) -> None:
    name = call_name(call.name)
    task = run.processes.task(call.pid)
    if task is None:
        run.refuse("incomplete", None, call)
        return
    row = TABLE.get(name)
    if row is None:
        if name not in HARMLESS and call.error != "ENOSYS":
            run.refuse("unknown_call", None, call)
        return
    if call.error == "ENOSYS" or (call.error is not None and call.error.startswith("ERESTART")):
        return
    if call.result is None and row.effect not in LOOK_ONLY:
        run.refuse("incomplete", None, call)
        return
    if row.effect == "open" and task.program.loading:
        _load(run, task, call, row)
    EFFECTS[row.effect](run, task, call, row)


def _again(run: Run, event: Again) -> None:
    task = run.processes.task(event.pid)
    if task is None:
        run.refuse("incomplete", None, event.call(0))
    else:
        look_again(run, task, event, _call)


def _load(run: Run, task: Task, call: Call, row: Row) -> None:
    """A program's loader opens a library: one of the user's (`LD_PRELOAD`) makes the program the user's own."""
    program, path = task.program, argument(call, row, "path")
    own = program.own
    if isinstance(path, bytes) and call.error is None and not own:
        own = run.setting.own(run.real_path(os.path.join(task.context.cwd.path(), path)))
    program.loads(loader_cache.goes_on_loading(path, call.error), own)


def fork(run: Run, task: Task, call: Call, row: Row) -> None:
    """`clone` and its kinds: the child may outlive its parent; a new namespace is a reason not to store."""
    run.processes.forked(call)
    if any(name.startswith("CLONE_NEW") for name in clone_flags(call.args)):
        run.refuse("namespace", None, call)


def umask(run: Run, task: Task, call: Call, row: Row) -> None:
    """`umask`: counts for the modes of what is made from now on."""
    mask = argument(call, row, "mode")
    if isinstance(mask, int):
        task.context.umask = mask & 0o777


def nothing(run: Run, task: Task, call: Call, row: Row) -> None:
    """A call that is traced for its process's sake."""


def host(run: Run, task: Task, call: Call, row: Row) -> None:
    """A fact of the machine that is keyed by its value."""
    if call.error is None:
        run.note_plain(call, "fact", row.word)


def limit(run: Run, task: Task, call: Call, row: Row) -> None:
    """`getrlimit`: the value, but of the stack's size what the C library asks for."""
    resource = argument(call, row, "resource")
    names = resource.names if isinstance(resource, Flags) else frozenset()
    if call.error is not None or argument(call, row, "new") is not None or not names:
        return
    if "RLIMIT_STACK" in names:
        machine.asked_for_the_stack(run, task, call)
    else:
        run.note_plain(call, "fact", f"limit {min(names)}")


def refuse(run: Run, task: Task, call: Call, row: Row) -> None:
    """A call that makes the run not storable when it succeeds."""
    if call.error is None:
        run.refuse(row.word, None, call)


def unshare(run: Run, task: Task, call: Call, row: Row) -> None:
    """`unshare`: of the file-system context it is followed, of a namespace it is not."""
    flags = argument(call, row, "flags")
    names = flags.names if isinstance(flags, Flags) else frozenset()
    if call.error is None and any(name.startswith("CLONE_NEW") for name in names):
        run.refuse("namespace", None, call)
    if call.error is None and "CLONE_FS" in names:
        task.context = FileSystemContext(task.context.cwd, task.context.umask)


def seccomp(run: Run, task: Task, call: Call, row: Row) -> None:
    """`seccomp`: a filter's effects are seen in the calls that fail; a listener answers them unseen."""
    flags = argument(call, row, "flags")
    if isinstance(flags, Flags) and "SECCOMP_FILTER_FLAG_NEW_LISTENER" in flags.names:
        run.refuse("nested_tracer", None, call)


def privilege(run: Run, task: Task, call: Call, row: Row) -> None:
    """`setuid` and its kinds: harmless when they ask for what is there."""
    own = (-1, 0xFFFFFFFF, run.setting.gid if "gid" in call.name else run.setting.uid)
    if call.error is None and any(value not in own for value in call.args):
        run.refuse("privilege", None, call)


def ipc(run: Run, task: Task, call: Call, row: Row) -> None:
    """System V memory, messages and semaphores: private ones stay inside the run."""
    key = argument(call, row, "key")
    private = key == 0 or (isinstance(key, Flags) and "IPC_PRIVATE" in key.names)
    if call.error is None and not private:
        run.refuse("ipc", None, call)


EFFECTS: dict[str, Effect] = {
    "access": looks.access,
    "attribute": looks.attribute,
    "bind": sockets.bind,
    "chdir": looks.chdir,
    "chmod": changes.chmod,
    "chown": changes.chown,
    "connect": sockets.connect,
    "create": opens.create,
    "execute": looks.execute,
    "fork": fork,
    "hardlink": changes.hardlink,
    "host": host,
    "ioctl": looks.ioctl,
    "ipc": ipc,
    "limit": limit,
    "link": looks.link,
    "listing": looks.listing,
    "message": sockets.message,
    "mkdir": changes.mkdir,
    "mknod": changes.mknod,
    "nothing": nothing,
    "open": opens.open_,
    "privilege": privilege,
    "refuse": refuse,
    "rename": changes.rename,
    "rmdir": changes.unlink,
    "seccomp": seccomp,
    "send": sockets.send,
    "setxattr": changes.setxattr,
    "socket_name": sockets.socket_name,
    "status": looks.status,
    "statfs": looks.statfs,
    "symlink": changes.symlink,
    "transfer": transfer,
    "truncate": changes.truncate,
    "umask": umask,
    "unlink": changes.unlink,
    "unshare": unshare,
    "utimes": changes.utimes,
}
