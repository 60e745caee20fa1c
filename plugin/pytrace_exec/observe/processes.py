# SPDX-License-Identifier: Apache-2.0
"""Processes of a run: which program each ran, in which working directory, under which mask."""

from __future__ import annotations

from collections import Counter

from pytrace_exec.calls.table import TABLE
from pytrace_exec.tracer.events import Call, Changed, Flags

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_exec.observe.world import Node
    from pytrace_exec.tracer.events import Event, Value


class Program:
    """One program image of one process: real path, its last component, arguments, and what it looked up by path.

    `looked`: earlier paths of regular files whose status it asked for; `folders`: of directories, each with how
    often it asked for what it did not merely list; `links`: of symbolic links themselves. `held`: files that its
    process, or one that it descends from, has opened to write. `archive`: path of the archive that its arguments
    tell it to make. `own`: it lies under the root, so that its name says nothing. `asked_for_stack`: for the limit
    of its size; `begun`: for its own path. `opened`: what it has opened of what may be opened once. `loading`: it has
    opened nothing yet but libraries. `ways`: what it is when it looks (`again`), None before its first look and when it
    has become something else.
    """

    __slots__ = (
        "archive",
        "argv",
        "asked_for_stack",
        "begun",
        "exit_code",
        "folders",
        "held",
        "links",
        "loading",
        "looked",
        "name",
        "opened",
        "own",
        "parent",
        "path",
        "pid",
        "ways",
    )

    def __init__(self, pid: int, parent: int, path: bytes, argv: tuple[bytes, ...], own: bool = False) -> None:
        self.pid = pid
        self.parent = parent
        self.path = path
        self.name = path.rpartition(b"/")[2].decode("utf-8", "surrogateescape")
        self.argv = argv
        self.own = own
        self.begun = False
        self.opened: set[bytes] = set()
        self.loading = False
        self.archive: bytes | None = None
        self.asked_for_stack = False
        self.looked: set[bytes] = set()
        self.folders: Counter[bytes] = Counter()
        self.links: set[bytes] = set()
        self.held: set[Node] = set()
        self.exit_code: int | None = None
        self.ways: tuple[object, ...] | None = None

    def loads(self, goes_on: bool, own: bool) -> None:
        """Note what its loader opens: whether it goes on then, and whether the program is the user's own by it."""
        if (goes_on, own) != (self.loading, self.own):
            self.loading, self.own, self.ways = goes_on, own, None

    def writes(self, node: Node) -> None:
        """Note that it opened a file to change it, and may do so until its process and what that started have ended."""
        self.held.add(node)
        node.writes += 1

    def saw(self, kind: str, path: bytes) -> None:
        """Note whose times it can compare: a regular file's (or one that is absent), a directory's, a link's own."""
        if kind == "file":
            self.looked.add(path)
        elif kind == "dir":
            self.folders[path] += 1
        else:
            self.links.add(path)

    @property
    def known_as(self) -> str:
        """Its name for tables that trust a program; empty for one of the user's own, which no table means."""
        return "" if self.own else self.name

    @property
    def known_path(self) -> str:
        """Its real path, under the same condition."""
        return "" if self.own else self.path.decode("utf-8", "surrogateescape")


class FileSystemContext:
    """What threads made with CLONE_FS share: working directory and umask."""

    __slots__ = ("cwd", "umask")

    def __init__(self, cwd: Node, umask: int) -> None:
        self.cwd = cwd
        self.umask = umask


class Task:
    """A thread. Threads of one process share `image`, a list whose last element is the program that runs.

    `last_look`: the file, there before the run, whose status it asked for by a path, if it has opened nothing since.
    """

    __slots__ = ("context", "image", "last_look", "pid")

    def __init__(self, pid: int, image: list[Program], context: FileSystemContext) -> None:
        self.pid = pid
        self.image = image
        self.context = context
        self.last_look: bytes | None = None

    @property
    def program(self) -> Program:
        """The program that runs."""
        return self.image[-1]


class Processes:
    """All tasks of a run, made from the calls that fork, of which it must be told beforehand (`expect`).

    `let_go`: by when (ns since the epoch) the last task ended that could write to a file.
    """

    def __init__(self, pid: int, cwd: Node, umask: int) -> None:
        first = Program(pid, 0, b"", ())
        self.programs = [first]
        self.tasks = {pid: Task(pid, [first], FileSystemContext(cwd, umask))}
        self.let_go: dict[Node, int] = {}
        self._births: dict[int, list[Call]] = {}

    def expect(self, event: Event) -> None:
        """Note a call that forks, before anything of what it made is read."""
        if isinstance(event, Call) and event.result and _forks(event.name) and event.error is None:
            self._births.setdefault(event.result, []).append(event)

    def knows(self, pid: int) -> bool:
        """Whether the task of that number is there or can be made."""
        while pid not in self.tasks:
            births = self._births.get(pid)
            if not births:
                return False
            pid = births[0].pid
        return True

    def task(self, pid: int) -> Task | None:
        """The task of that number, made from its parent when it is first seen; None when nobody forked it."""
        found = self.tasks.get(pid)
        if found is None and self._births.get(pid):
            birth = self._births[pid].pop(0)
            parent = self.task(birth.pid)
            if parent is not None:
                found = self.tasks[pid] = self._child(pid, parent, clone_flags(birth.args))
        return found

    def forked(self, call: Call) -> None:
        """Make the child of a call that forked, as its parent is now, unless it has been seen before."""
        births = self._births.get(call.result or 0)
        if births and births[0] is call and call.result:
            self.task(call.result)

    def _child(self, pid: int, parent: Task, flags: frozenset[str]) -> Task:
        context = parent.context
        if "CLONE_FS" not in flags:
            context = FileSystemContext(context.cwd, context.umask)
        if "CLONE_THREAD" in flags:
            return Task(pid, parent.image, context)
        program = Program(pid, parent.program.pid, parent.program.path, parent.program.argv, parent.program.own)
        program.archive = parent.program.archive
        program.asked_for_stack = parent.program.asked_for_stack
        program.held.update(parent.program.held)
        self.programs.append(program)
        return Task(pid, [program], context)

    def execute(self, task: Task, path: bytes, argv: tuple[bytes, ...], own: bool) -> Program:
        """Note that the task's process runs another program now; `own`: it lies under the root."""
        old = task.program
        program = Program(task.pid, old.parent, path, argv, own)
        program.held = old.held
        if not (old.looked or old.folders or old.links):
            self._leave_out(old)
        self.programs.append(program)
        task.image.append(program)
        task.context = FileSystemContext(task.context.cwd, task.context.umask)
        return program

    def _leave_out(self, program: Program) -> None:
        """Drop a program, mostly one of the last."""
        for position in reversed(range(len(self.programs))):
            if self.programs[position] is program:
                del self.programs[position]
                return

    def ended(self, pid: int, code: int | None, at: int) -> None:
        """Note that a task ended, and by when; the number may come again."""
        task = self.tasks.pop(pid, None)
        for node in task.program.held if task is not None else ():
            self.let_go[node] = max(self.let_go.get(node, 0), at)
        if task is not None and task.program.pid == pid:
            task.program.exit_code = code

    def written_until(self, node: Node) -> int | None:
        """By when nobody could write to a file any more (ns since the epoch); None if somebody still can."""
        if any(node in task.program.held for task in self.tasks.values()):
            return None
        return self.let_go.get(node)

    def superseded(self, pid: int, by: int) -> None:
        """Note that thread `by` took the number of its process, `pid`."""
        thread = self.tasks.pop(by, None)
        if thread is not None:
            self.tasks[pid] = Task(pid, thread.image, thread.context)


def _forks(name: str) -> bool:
    row = TABLE.get(name)
    return row is not None and row.effect == "fork"


def clone_flags(args: tuple[Value, ...]) -> frozenset[str]:
    """Names of the flags of clone (an argument, which strace writes with its name) or clone3 (in a structure)."""
    for arg in args:
        value = arg.before if isinstance(arg, Changed) else arg
        flags = value.get("flags") if isinstance(value, dict) else value
        if isinstance(flags, Flags):
            return flags.names
    return frozenset()
