# SPDX-License-Identifier: Apache-2.0
"""What is known of a run while its events are read: the tree, the processes, the facts, the reasons not to store."""

from __future__ import annotations

import os

from pytrace_cas.recorded.bytecode import SUFFIX
from pytrace_cas.recorded.subjects import Subject
from pytrace_exec.observe import loader_cache
from pytrace_exec.observe.interpreters import interpreter_of
from pytrace_exec.observe.processes import Processes
from pytrace_exec.observe.repeats import Look
from pytrace_exec.observe.world import Found, World, under
from pytrace_exec.policy.reasons import Reason
from pytrace_exec.tracer.events import AT_FDCWD, Fd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pytrace_exec.calls.table import Row
    from pytrace_exec.observe.processes import Program, Task
    from pytrace_exec.observe.world import Earlier, Node
    from pytrace_exec.tracer.events import Call, Value


class Standing:
    """What stood on a descriptor that the caller gave: its kind and the path by which the kernel names it."""

    __slots__ = ("kind", "path")

    def __init__(self, kind: str, path: bytes | None) -> None:
        self.kind = kind
        self.path = path


class Setting:
    """The circumstances of a run that its events do not tell.

    `standing`: by number, 0 to 2 and every other inherited descriptor; `declared`: declared output places; `times`:
    times and owners count for every program that looks at a file; `began_ns`: the moment before the command's exec;
    `movable`: places that lie elsewhere for others (root, `HOME`, ...); `own_pids`: it has a PID namespace; `sources`:
    trees outside the root from which its files are linked into it.
    """

    __slots__ = (
        "began_ns",
        "cwd",
        "declared",
        "gid",
        "movable",
        "own_pids",
        "pid",
        "root",
        "sources",
        "standing",
        "times",
        "uid",
        "umask",
    )

    def __init__(
        self,
        pid: int,
        root: bytes,
        cwd: bytes,
        umask: int,
        uid: int,
        gid: int,
        standing: dict[int, Standing],
        declared: tuple[bytes, ...],
        times: bool,
        began_ns: int,
        own_pids: bool = False,
        sources: tuple[bytes, ...] = (),
        movable: tuple[bytes, ...] = (),
    ) -> None:
        self.began_ns = began_ns
        self.movable = (root, *movable)
        self.own_pids = own_pids
        self.pid = pid
        self.root = root
        self.sources = sources
        self.cwd = cwd
        self.umask = umask
        self.uid = uid
        self.gid = gid
        self.standing = standing
        self.declared = declared
        self.times = times

    def trees(self) -> tuple[bytes, ...]:
        """The root and the trees from which its files are linked into it."""
        return (self.root, *self.sources)

    def own(self, path: bytes) -> bool:
        """Whether it is a file of the user's: under the root, or in a tree from which that is linked."""
        return under(path, self.root) or any(under(path, tree) for tree in self.sources)

    def writable(self, path: bytes) -> bool:
        """Whether outputs may lie there."""
        return under(path, self.root) or any(under(path, place) for place in self.declared)


class Target:
    """A path that a program created, truncated or replaced, and could not tell its absence from a plain file.

    `call`: the name of the call that did.
    """

    __slots__ = ("call", "node", "program", "subject")

    def __init__(self, subject: bytes, node: Node, program: Program, call: str) -> None:
        self.call = call
        self.subject = subject
        self.node = node
        self.program = program


class Run:
    """State of the reading; the effects of calls (`looks`, `changes`, `sockets`) work on it.

    `subjects`: what was looked at, each with the call that did, if it was one. `listings`: what a directory held
    before the run, as seen by the calls that read it; `reading`: what was read of it by one who goes on. `lookers`:
    the programs that looked at a path; `orders`: those that may have compared the times of an order's files. `after`:
    subjects whose value is that after the run.
    `relative_outside`: a path outside the root was spelled relative to where the command ran. `exclusive`: names
    that calls proved to be new, with the folder they were made in. `meant`: files that were read by who goes by
    their meaning (a `.pyc` that is imported, the loader's cache); `read_plainly`: those that were read, or looked
    at, in any other way. `stack_questions`: by thread, the call that opened its mappings, until it asked for the
    limit of the stack; `opened_unasked`: what programs open for themselves below `/proc`, unless a script tells
    them to. `read_late`: programs whose interpreter is read from the file after the run, each with how often it had
    been opened to be changed then, and its names. `peers`: whom it talked to outside, as HOST:PORT or `unix:PATH`.
    `found`: where the last path that a call named led;
    `look`: what is noted of the look that is being read, if it may be repeated. `real_paths`: where libraries and
    scripts lie, without links; `interpreters`: of files that were executed, and their beginnings then.
    """

    def __init__(self, setting: Setting, earlier: Earlier) -> None:
        self.setting = setting
        self.world = World(earlier, setting.trees())
        cwd = self.world.locate(setting.cwd)
        self.processes = Processes(setting.pid, cwd or self.world.top, setting.umask)
        self.subjects: dict[Subject, Call | None] = {}
        self.reasons: dict[tuple[str, bytes | None, str | None], Reason] = {}
        self.targets: list[Target] = []
        self.listings: dict[bytes, dict[bytes, str]] = {}
        self.reading: dict[tuple[Program, int, bytes], list[dict[bytes, str]]] = {}
        self.executed: list[bytes] = []
        self.lookers: dict[bytes, set[Program]] = {}
        self.orders: dict[Subject, set[Program]] = {}
        self.after: set[Subject] = set()
        self.relative_outside = False
        self.exclusive: dict[bytes, tuple[Node, bytes]] = {}
        self.meant: set[bytes] = set()
        self.read_plainly: set[bytes] = set()
        self.writes: list[tuple[int, int]] = []
        self.stdin_read = False
        self.environment_dumped = False
        self.ports: set[int] = set()
        self.peers: set[str] = set()
        self.stack_questions: dict[int, Call] = {}
        self.opened_unasked: dict[bytes, Call] = {}
        self.touched: dict[Node, set[Program]] = {}
        self.read_late: list[tuple[Node, int, tuple[tuple[Node, bytes], ...]]] = []
        self.found: Found | None = None
        self.look: Look | None = None
        self.real_paths: dict[bytes, bytes] = {}
        self.interpreters: dict[tuple[bytes, bytes | None], bytes | None] = {}
        if cwd is None:
            self.refuse("incomplete", setting.cwd)

    def real_path(self, path: bytes) -> bytes:
        """Where a file lies without links; the programs of a run ask for the same few."""
        if path not in self.real_paths:
            self.real_paths[path] = os.path.realpath(path)
        return self.real_paths[path]

    def interpreter_of(self, path: bytes, head: bytes | None) -> bytes | None:
        """What `interpreter_of` says of a file; each is read once."""
        if (path, head) not in self.interpreters:
            self.interpreters[path, head] = interpreter_of(path, head)
        return self.interpreters[path, head]

    def is_as_read(self) -> bool:
        """Whether libraries, scripts and programs are still what they were when they were asked for."""
        return all(os.path.realpath(path) == found for path, found in self.real_paths.items()) and all(
            interpreter_of(*asked) == found for asked, found in self.interpreters.items()
        )

    def note(self, call: Call, kind: str, arg: str, path: bytes | None, meant: bool = False) -> None:
        """Note a fact about an earlier path; None: it concerns only what the run made. `meant`: read by its meaning."""
        if path is not None:
            if kind in ("content", "status") and (path.endswith(SUFFIX) or path == loader_cache.PATH):
                (self.meant if meant else self.read_plainly).add(path)
            self.subjects.setdefault(Subject(kind, arg, path), call)
            task = self.processes.tasks.get(call.pid)
            if task is not None:
                lookers = self.lookers.setdefault(path, set())
                lookers.add(task.program)
                if self.look is not None:
                    self.look.lookers.append(lookers)

    def saw(self, task: Task, kind: str, path: bytes) -> None:
        """Note whose times a thread's program can compare (`Program.saw`)."""
        task.program.saw(kind, path)
        if self.look is not None:
            self.look.kind, self.look.spot = kind, path

    def saw_last(self, task: Task, path: bytes | None) -> None:
        """Note what a thread looked at last; None when it has opened something since."""
        task.last_look = path
        if self.look is not None:
            self.look.last = (path,)

    def go_on(self, task: Task, effect: Callable[[Program], None]) -> None:
        """Let a look have an effect that depends on what its program did before."""
        effect(task.program)
        if self.look is not None:
            self.look.effect = effect

    def begin_look(self) -> Look:
        """Note from now on what a look does, in what is returned."""
        self.found, self.look = None, Look()
        return self.look

    def touch(self, task: Task, node: Node | None) -> None:
        """Note who did anything with a file that the run made: no fact tells of that."""
        if node is not None and node.origin is None:
            self.touched.setdefault(node, set()).add(task.program)

    def note_new(self, call: Call, found: Found) -> None:
        """Note that a name was absent before, as the success of a call proves."""
        if (id(found.parent), found.name) not in self.world.changes:
            self.note(call, "change", "l", found.spot)
            if found.spot is not None:
                self.exclusive[found.spot] = (found.parent, found.name)
        self.world.learn_absent(found)

    def note_plain(self, call: Call, kind: str, arg: str) -> None:
        """Note a fact that concerns no path."""
        self.subjects.setdefault(Subject(kind, arg), call)

    def refuse(self, code: str, path: bytes | None = None, call: Call | None = None) -> None:
        """Note a reason not to store."""
        self.refuse_for(Reason(code, path, call.pid if call else None, call.name if call else None))

    def refuse_for(self, reason: Reason) -> None:
        """Note a reason not to store, once however often it came up."""
        if reason.pid is not None and reason.program is None:
            task = self.processes.tasks.get(reason.pid)
            ran = [task.program] if task else [one for one in self.processes.programs if one.pid == reason.pid]
            reason.program = (ran[-1].path or None) if ran else None
        self.reasons.setdefault(reason.key(), reason)

    def standing_at(self, fd: Fd) -> tuple[int, Standing] | None:
        """The caller's descriptor that a descriptor of the run leads to, with its number there."""
        for number, standing in self.setting.standing.items():
            if standing.kind == "null":
                if fd.number == number and fd.path == standing.path:
                    return number, standing
            elif standing.path is not None and fd.path == standing.path:
                return number, standing
        return None


class Place:
    """The place that a call's arguments name: a resolved path, or a descriptor of something that is no path.

    `is_own_descriptor`: it was named by a descriptor that no program is given to start with.
    """

    __slots__ = ("fd", "found", "is_own_descriptor")

    def __init__(self, found: Found | None, fd: Fd | None = None, is_own_descriptor: bool = False) -> None:
        self.found = found
        self.fd = fd
        self.is_own_descriptor = is_own_descriptor


def argument(call: Call, row: Row, key: str) -> Value:
    """The call's argument under a key of its row; None when the call has none there."""
    position = row.places.get(key)
    return call.args[position] if position is not None and position < len(call.args) else None


def place_of(run: Run, task: Task, call: Call, row: Row, follow: bool, suffix: str = "") -> Place:
    """Resolve the place that `dir` and `path` (with a suffix: the second ones) name.

    A path that the log does not tell gives a place without either, which is a reason not to store.
    """
    path, fd = argument(call, row, "path" + suffix), argument(call, row, "dir" + suffix)
    base: Node | None = task.context.cwd
    if isinstance(fd, Fd) and fd.number != AT_FDCWD:
        if not path:
            return descriptor_place(run, task, fd)
        base = run.world.locate(fd.path) if fd.path and fd.path.startswith(b"/") and not fd.deleted else None
    elif isinstance(fd, int) or (isinstance(fd, Fd) and fd.deleted):
        base = None  # of a directory too deep to be named, the tracer tells the descriptor alone
    if not isinstance(path, bytes) or (base is None and not path.startswith(b"/")):
        if call.error not in UNRESOLVED_ERRORS:
            run.refuse("incomplete", path if isinstance(path, bytes) else None, call)
        return Place(None)
    if path == b"" and call.error == "ENOENT":
        return Place(None)  # an empty path is an error whatever there is
    if path == b"":
        return Place(Found(run.world.top, b"", None, None, "ENOENT")) if base is None else _node_place(run, task, base)
    found = run.found = run.world.walk(path, base or run.world.top, follow)
    found.followed = follow
    run.touch(task, found.node)
    if not path.startswith(b"/") and found.subject is not None and _leads_elsewhere(run, base, found.subject):
        run.relative_outside = True
    return Place(found)


def _leads_elsewhere(run: Run, base: Node | None, subject: bytes) -> bool:
    """Whether a relative path leads out of a place that lies elsewhere in another checkout or for another user."""
    if under(subject, run.setting.root):
        return False
    folder = run.setting.cwd if base is None else base.path()
    return any(under(folder, place) and not under(subject, place) for place in run.setting.movable)


UNRESOLVED_ERRORS = frozenset({"EFAULT", "EBADF", "ENAMETOOLONG", "EINVAL", "ENOSYS"})


def descriptor_place(run: Run, task: Task, fd: Fd) -> Place:
    """The place of an open descriptor: what it leads to now, or the descriptor when that is no file of the tree."""
    path = fd.path
    if path is None or not path.startswith(b"/") or fd.deleted or run.standing_at(fd) is not None:
        return Place(None, fd)
    if path.startswith((b"/proc/", b"/sys/", b"/dev/", b"/memfd:")) and not path.startswith(b"/dev/shm/"):
        return Place(None, fd)
    node = run.world.locate(path)
    return _node_place(run, task, node, fd.number > 2) if node is not None else Place(None, fd)


def _node_place(run: Run, task: Task, node: Node, is_own_descriptor: bool = False) -> Place:
    run.touch(task, node)
    parent, name = node.places[-1] if node.places else (node, b"")
    run.found = Found(parent, name, node, node.subject, None, node.subject)
    return Place(run.found, is_own_descriptor=is_own_descriptor)
