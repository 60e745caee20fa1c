# SPDX-License-Identifier: Apache-2.0
"""The effects of calls that look: status, content of links, listings, attributes, working directory, programs."""

from __future__ import annotations

import os
import stat
from functools import partial

from pytrace_exec.observe.failures import SEARCH, failed
from pytrace_exec.observe.run import argument, place_of
from pytrace_exec.observe.view import is_staging
from pytrace_exec.observe.world import Found, under
from pytrace_exec.policy import accounts, archives, comparing, loader_cache, machine, programs
from pytrace_exec.tracer.events import Expr, Fd, Flags, Raw

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_exec.calls.table import Row
    from pytrace_exec.observe.processes import Program, Task
    from pytrace_exec.observe.run import Run
    from pytrace_exec.observe.world import Node
    from pytrace_exec.tracer.events import Call, Value

_TYPES = {"DT_REG": "f", "DT_DIR": "d", "DT_LNK": "l"}
_ACCESS = {"R_OK": os.R_OK, "W_OK": os.W_OK, "X_OK": os.X_OK}


def flag_names(value: Value) -> frozenset[str]:
    """Names in a flags argument; none when it is a plain number."""
    return value.names if isinstance(value, Flags) else frozenset()


def status(run: Run, task: Task, call: Call, row: Row) -> None:
    """`stat` and its kind: type, mode and, since sizes and times are decided on, content."""
    follow = row.follows and "AT_SYMLINK_NOFOLLOW" not in flag_names(argument(call, row, "flags"))
    place = place_of(run, task, call, row, follow)
    if place.fd is not None:
        machine.descriptor(run, task, call, place.fd)
    if (found := place.found) is None:
        return
    if found.machine is not None:
        machine.looked(run, task, call, found.machine)
    elif call.error is not None:
        _failed_look(run, task, call, found)
    elif found.node is None:
        run.refuse("input_changed", found.path(), call)
    else:
        spelled = bool(argument(call, row, "path"))
        meant = not spelled and found.subject in run.meant
        library = (
            place.is_own_descriptor and accounts.shows_owners(task.program) and accounts.is_library_file(found.subject)
        )
        if not (meant or library):
            _note_look(run, task, found, spelled)
        if spelled:
            run.saw_last(task, found.subject)
        if not found.node.own:
            extent = [] if library else _extent(run, task, found)
            run.note(call, "status", ",".join(extent if follow else ["l", *extent]), found.subject, meant)


def _extent(run: Run, task: Task, found: Found) -> list[str]:
    """How much of a status the program can use: everything, type and mode alone, or these and the content."""
    copies = programs.copies_times(task.program) and found.subject != task.program.archive
    if run.setting.times or copies:
        return ["times"]
    return ["mode"] if programs.looks_at_mode_only(task.program) else []


def _failed_look(run: Run, task: Task, call: Call, found: Found) -> None:
    _note_look(run, task, found, spelled=True)
    run.saw_last(task, None)
    failed(run, call, found, changes=False)


def _note_look(run: Run, task: Task, found: Found, spelled: bool) -> None:
    """Note whose times the program can compare (DESIGN 4.2)."""
    spot = _spot(found)
    kind = found.node.kind if found.node is not None else "file"
    if spot is None or kind not in ("file", "dir", "symlink"):
        return
    if kind == "dir" and not spelled and comparing.looks_before_listing(task.program):
        return
    run.saw(task, kind, spot)


def _spot(found: Found) -> bytes | None:
    """Whose time is seen: of what the run moved or linked there that itself, else of what lay under the name before."""
    return found.spot if found.subject is None else found.subject


def forget_look(task: Task, found: Found) -> None:
    """A program that looks before it lists has opened a directory: if it had just looked, it compares no time of it."""
    spot = _spot(found)
    if spot is not None and task.last_look == found.subject and comparing.looks_before_listing(task.program):
        task.program.folders[spot] -= 1


def statfs(run: Run, task: Task, call: Call, row: Row) -> None:
    """`statfs`: a failure is a fact of the path; the file system's state is a fact of the machine."""
    place = place_of(run, task, call, row, True)
    if call.error is None:
        machine.asked_file_system(run, task, call)
    elif place.found is not None and place.found.machine is None:
        failed(run, call, place.found)


def access(run: Run, task: Task, call: Call, row: Row) -> None:
    """`access`: the mode asked and the answer."""
    follow = "AT_SYMLINK_NOFOLLOW" not in flag_names(argument(call, row, "flags"))
    found = place_of(run, task, call, row, follow).found
    if found is None:
        return
    if found.machine is not None:
        machine.looked(run, task, call, found.machine)
        return
    if not follow:
        run.note(call, "error", "l", found.subject)
        if found.node is not None and found.node.kind == "symlink":
            return
    if call.error in (None, "EACCES", "EROFS") and found.subject is not None:
        mode = sum(_ACCESS.get(name, 0) for name in flag_names(argument(call, row, "mode")))
        if found.node is None or not found.node.own:
            run.note(call, "access", str(mode), found.subject)
    elif call.error is not None:
        failed(run, call, found)


def link(run: Run, task: Task, call: Call, row: Row) -> None:
    """`readlink`: the target, or that it is no link."""
    found = place_of(run, task, call, row, False).found
    if found is None:
        return
    if found.machine is not None:
        machine.looked(run, task, call, found.machine)
    elif call.error in (None, "EINVAL"):
        run.note(call, "link", "", found.subject)
    else:
        failed(run, call, found)
        run.note(call, "error", "l", found.subject)


def listing(run: Run, task: Task, call: Call, row: Row) -> None:
    """`getdents64`: names and types as they were before the run."""
    place = place_of(run, task, call, row, True)
    if place.fd is not None and call.error is None:
        machine.listed(run, task, call, place.fd)
    if place.found is None or place.found.node is None or call.error is not None:
        return
    node, entries = place.found.node, argument(call, row, "entries")
    if node.subject is None:
        return
    run.note(call, "listing", "", node.subject)
    fd = argument(call, row, "dir")
    if isinstance(entries, tuple):
        number = fd.number if isinstance(fd, Fd) else -1
        run.go_on(task, partial(_listed, run, node, node.subject, number, _letters(entries)))


def _listed(run: Run, folder: Node, path: bytes, number: int, names: dict[bytes, str] | None, program: Program) -> None:
    """Note names that a program read from a descriptor; None: there are no more."""
    # One thread may go on where another began, and two may read the same directory side by side.
    key = (program, number, path)
    if names is not None:
        run.reading.setdefault(key, []).append(names)
    else:
        run.listings[path] = _as_before(run, folder, run.reading.pop(key, []))


def _letters(entries: tuple[Value, ...]) -> dict[bytes, str] | None:
    """Names with the letters of their types; None if there is no entry at all."""
    found: dict[bytes, str] = {}
    for entry in entries:
        if isinstance(entry, dict) and isinstance(name := entry.get("d_name"), bytes) and name not in (b".", b".."):
            if is_staging(name):
                continue
            kinds = flag_names(entry.get("d_type"))
            found[name] = next((letter for word, letter in _TYPES.items() if word in kinds), "o")
    return found if entries else None


def _as_before(run: Run, folder: Node, seen: list[dict[bytes, str]]) -> dict[bytes, str]:
    """What was seen, less the names that the run made and plus those it removed."""
    names = {name: letter for part in seen for name, letter in part.items()}
    for name in run.world.changed_names(folder):
        names.pop(name, None)
        earlier = run.world.earlier.lstat(b"/".join([(folder.origin or b"").rstrip(b"/"), name]))
        if not isinstance(earlier, str):
            names[name] = "?"
    return names


def attribute(run: Run, task: Task, call: Call, row: Row) -> None:
    """`getxattr` and `listxattr`: the value, the list, or the error."""
    follow = row.follows and "AT_SYMLINK_NOFOLLOW" not in flag_names(argument(call, row, "flags"))
    found = place_of(run, task, call, row, follow).found
    name = argument(call, row, "name")
    if found is None or found.machine is not None:
        return
    if call.error in (None, "ENODATA", "EOPNOTSUPP", "ENOTSUP", "ERANGE"):
        if found.node is None or not found.node.own:
            text = os.fsdecode(name) if isinstance(name, bytes) else ""
            run.note(call, "attribute", ("f" if follow else "l") + text, found.subject)
    else:
        failed(run, call, found)


def chdir(run: Run, task: Task, call: Call, row: Row) -> None:
    """`chdir`: from now on relative paths start there; what it is spelled like can be asked for."""
    found = place_of(run, task, call, row, True).found
    if found is None:
        if call.error is None:
            run.refuse("incomplete", None, call)
        return
    if call.error is not None:
        failed(run, call, found, access=SEARCH)
        return
    if found.machine is not None or found.node is None:
        run.refuse("machine", found.machine or found.path(), call)
        return
    task.context.cwd = found.node
    run.note(call, "error", "", found.subject)
    folder = found.node.origin
    while folder is not None and under(folder, run.setting.root) and folder != run.setting.root:
        run.note(call, "change", "l", folder)
        folder = os.path.dirname(folder)


def execute(run: Run, task: Task, call: Call, row: Row) -> None:
    """`execve`: the program, its interpreters and its loader, and that it may be executed."""
    place = place_of(run, task, call, row, True)
    found = place.found
    if found is None:
        if call.error is None:
            run.refuse("not_whole", place.fd.path if place.fd else None, call)
        return
    if call.error == "ENOEXEC":
        run.note(call, "content", "", found.subject)
        run.note(call, "access", str(os.X_OK), found.subject)
        return
    if call.error is not None:
        failed(run, call, found, access=SEARCH)
        return
    if found.node is None:
        run.refuse("input_changed", found.path(), call)
        return
    before = found.node.status
    if run.setting.uid and before is not None and before.st_mode & (stat.S_ISUID | stat.S_ISGID):
        run.refuse("privilege", found.path(), call)
    if "AT_SYMLINK_NOFOLLOW" in flag_names(argument(call, row, "flags")):
        run.note(call, "error", "l", found.subject)
    path = found.path()
    argv = argument(call, row, "argv")
    words = _words(argv) if isinstance(argv, tuple) else ()
    head = argument(call, row, "head")
    head = head if isinstance(head, bytes) else None
    _note_program(run, task, call, found, head, depth=0)
    real, loaded = _real_program(run, task, found, head, path)
    program = run.processes.execute(task, real, words, own=run.setting.own(real))
    program.loading = loaded
    if not program.own:
        program.archive = archives.own_archive(program, task.context.cwd.path())
    programs.started(run, task.program, call)


def _words(argv: tuple[Value, ...]) -> tuple[bytes, ...]:
    """The arguments that are known, themselves if all are."""
    words = tuple([word for word in argv if isinstance(word, bytes)])
    return argv if len(words) == len(argv) else words  # type: ignore[return-value]


def _note_program(run: Run, task: Task, call: Call, found: Found, head: bytes | None, depth: int) -> None:
    node = found.node
    if node is None or depth > 5:
        run.refuse("not_whole", found.path(), call)
        return
    if not node.own and node.subject is not None:
        subject = found.subject or node.subject
        run.note(call, "content", "", subject)
        run.note(call, "access", str(os.X_OK), subject)
        run.executed.append(subject)
    interpreter = run.interpreter_of(node.path() if node.places else b"", head)
    if head is None:
        run.read_late.append((node, node.writes, tuple(node.places)))
    if interpreter is None:
        run.refuse("not_whole", found.path(), call)
    elif interpreter:
        inner = run.world.walk(interpreter, task.context.cwd)
        _note_program(run, task, call, inner, None, depth + 1)


def _real_program(run: Run, task: Task, found: Found, head: bytes | None, path: bytes) -> tuple[bytes, bool]:
    """Path of the program that counts for the tables, of a script its interpreter; whether a loader loads it."""
    seen = 0
    while found.node is not None and seen < 5:
        interpreter = run.interpreter_of(found.node.path(), head)
        head = None
        if not interpreter or b"ld-" in os.path.basename(interpreter) or b"ld.so" in interpreter:
            return found.node.path(), interpreter is not None and loader_cache.is_loader(interpreter)
        found = run.world.walk(interpreter, task.context.cwd)
        seen += 1
    return path, False


def ioctl(run: Run, task: Task, call: Call, row: Row) -> None:
    """`ioctl`: terminals' questions about standard descriptors, cloning, and what the table of requests refuses."""
    fd, request = argument(call, row, "dir"), argument(call, row, "request")
    names = flag_names(request)
    if isinstance(request, Expr | Raw | int):
        names = frozenset({str(request)})
    if isinstance(fd, Fd):
        machine.controlled(run, task, call, fd, names)
