# SPDX-License-Identifier: Apache-2.0
"""What `pytrace trace` tells of a run, as the object that CLI.md states."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from pytrace_cas.json_fields import below, list_fields, text_fields
from pytrace_cas.recorded.described import described, reading_order, with_entries
from pytrace_exec.calls.numbers import call_name
from pytrace_exec.calls.table import TABLE
from pytrace_exec.observe.facts import type_name
from pytrace_exec.observe.view import hash_file
from pytrace_exec.policy.storing import allowed_reasons
from pytrace_exec.tracer.events import AT_FDCWD, Call, Fd, Flags, written_out

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytrace_cas.digest import DigestFunction
    from pytrace_cas.recorded.subjects import Subject
    from pytrace_exec.invocation import Invocation
    from pytrace_exec.miss import Traced
    from pytrace_exec.observe.outputs import Output
    from pytrace_exec.observe.processes import Program
    from pytrace_exec.streams.spool import Source
    from pytrace_exec.tracer.events import Value

UNSEEN = frozenset(
    {"foreign_abi", "incomplete", "io_uring", "left_running", "nested_tracer", "not_whole", "unknown_call"}
)
"""Reasons not to store that mean that the trace does not hold all that the run did."""

_COUNTED = {
    "execs": ("execve", "execveat"),
    "forks": ("clone", "clone3", "fork", "vfork"),
    "opens": ("open", "openat", "openat2", "creat"),
    "stats": ("stat", "lstat", "fstat", "newfstatat", "statx", "access", "faccessat", "faccessat2"),
    "readlinks": ("readlink", "readlinkat"),
    "getdents": ("getdents", "getdents64"),
}
"""Calls that are counted together; of `execs` and `forks` only those that succeeded."""


class Report:
    """What a traced run did, in answers' words; digests are those of one function."""

    def __init__(self, invocation: Invocation, traced: Traced, function: DigestFunction) -> None:
        self._invocation = invocation
        self._traced = traced
        self._function = function
        self._root = invocation.places.root

    @property
    def complete(self) -> bool:
        """Whether the trace holds all that the run did."""
        return self._traced.trace.complete and not any(reason.code in UNSEEN for reason in self._traced.seen.reasons)

    @property
    def ended_within_line(self) -> bool:
        """Whether the last line on the command's standard output has no end."""
        written = b"".join(self._traced.recorded.stdout.chunks())
        return bool(written) and not written.endswith(b"\n")

    def describe(self, calls: bool) -> dict[str, Any]:
        """The whole object; with `calls` every call that was traced."""
        traced = self._traced
        events = list(written_out(traced.trace.events))
        found: dict[str, Any] = {
            "exit_code": os.waitstatus_to_exitcode(traced.status),
            "complete": self.complete,
            "digest_function": self._function.name,
            **text_fields("root", self._root),
            "observations": [self._observation(subject) for subject in self._subjects()],
            "outputs": [output for found in traced.seen.outputs for output in self._outputs(found)],
            "stdout": self._digest(traced.recorded.stdout),
            "stderr": self._digest(traced.recorded.stderr),
            "not_storable": self._reasons(),
            "processes": [_process(program) for program in traced.seen.run.processes.programs],
            "counts": {**counted(event for event in events if isinstance(event, Call)), "calls": _number(events)},
        }
        return {**found, "calls": list(self._calls())} if calls else found

    def _subjects(self) -> list[Subject]:
        return sorted(self._traced.seen.values, key=lambda subject: reading_order(subject, self._root))

    def _observation(self, subject: Subject) -> dict[str, Any]:
        found = described(subject, self._traced.seen.values[subject], self._root)
        if subject.kind == "listing":
            names = self._traced.earlier.names(subject.paths[0])
            return with_entries(found, names) if not isinstance(names, str) else found
        return found

    def _outputs(self, output: Output) -> Iterator[dict[str, Any]]:
        """What a run left at a path; a path that was renamed was removed as well."""
        path, fields = output.path, text_fields("path", below(output.path, self._root))
        if output.kind == "removed":
            yield {"kind": "removed", **fields, "type": _words(output.other.decode())}
        elif output.kind == "moved":
            yield {"kind": "removed", **text_fields("path", below(output.other, self._root)), "type": _type_at(path)}
            moved = text_fields("moved_from", below(output.other, self._root))
            yield {"kind": _type_at(path), **fields, **moved, **self._file(path)}
        elif output.kind in ("hardlink", "linked"):
            yield {"kind": "hardlink", **fields, **text_fields("target", below(output.other, self._root))}
        elif output.kind == "symlink":
            yield {"kind": "symlink", **fields, **text_fields("target", output.other)}
        else:
            only = {"metadata_only": True} if output.kind == "metadata" else {}
            mode = {} if output.mode is None else {"mode": f"{output.mode:04o}"}
            content = self._file(path) if output.kind == "file" else {}
            yield {"kind": _type_at(path), **fields, **content, **mode, **_times(output), **only}

    def _file(self, path: bytes) -> dict[str, Any]:
        digest, found = hash_file(path, self._function)
        return {"digest": digest} if found is not None else {}

    def _digest(self, source: Source) -> str:
        return str(self._function.of(b"".join(source.chunks())))

    def _reasons(self) -> list[dict[str, Any]]:
        reasons = allowed_reasons(self._invocation.options, self._traced.seen.reasons)
        return [
            {"code": r.code, "message": r.message, **self._path(r.path), "pid": r.pid, "call": r.call} for r in reasons
        ]

    def _path(self, path: bytes | None) -> dict[str, Any]:
        return text_fields("path", None if path is None else below(path, self._root))

    def _calls(self) -> Iterator[dict[str, Any]]:
        for event in written_out(self._traced.trace.events):
            if isinstance(event, Call):
                yield self._call(event)

    def _call(self, call: Call) -> dict[str, Any]:
        name = call_name(call.name)
        row = TABLE.get(name)
        places = row.places if row is not None else {}
        at = {key: call.args[place] for key, place in places.items() if place < len(call.args)}
        path, base = at.get("path"), at.get("dir", next((arg for arg in call.args if isinstance(arg, Fd)), None))
        fd = call.result_fd if call.result_fd is not None else base
        flags = sorted({word for arg in call.args if isinstance(arg, Flags) for word in arg.names})
        where = _joined(base, path)
        return {
            "pid": call.pid,
            "call": name,
            **self._path(where),
            "flags": flags,
            "fd": fd.number if isinstance(fd, Fd) and fd.number != AT_FDCWD else None,
            "inode": _inode(call.args),
            "error": call.error,
        }


def counted(calls: Iterable[Call]) -> dict[str, int]:
    """How often each kind of call was made."""
    kinds = {name: kind for kind, names in _COUNTED.items() for name in names}
    counts = dict.fromkeys(_COUNTED, 0)
    for call in calls:
        kind = kinds.get(call.name)
        if kind is not None and (call.error is None or kind not in ("execs", "forks")):
            counts[kind] += 1
    return counts


def _number(events: Iterable[object]) -> int:
    return sum(isinstance(event, Call) for event in events)


def _process(program: Program) -> dict[str, Any]:
    argv = list_fields("argv", program.argv)
    return {"pid": program.pid, "ppid": program.parent or os.getpid(), **argv, "exit_code": program.exit_code}


def _type_at(path: bytes) -> str:
    try:
        return _words(type_name(os.lstat(path).st_mode))
    except OSError:
        return "file"


def _words(kind: str) -> str:
    return "directory" if kind == "dir" else kind


def _times(output: Output) -> dict[str, Any]:
    """Times that the run set by a call of their own, in nanoseconds; -1 stands for the moment of the call."""
    if output.times is None:
        return {}
    accessed, modified = ("now" if time == -1 else time for time in output.times)
    return {"atime": accessed, "mtime": modified}


def _joined(base: Value, path: Value) -> bytes | None:
    """The path that a call's arguments name."""
    folder = base.path if isinstance(base, Fd) else None
    if not isinstance(path, bytes) or not path:
        return folder
    return path if folder is None or path.startswith(b"/") else os.path.join(folder, path)


def _inode(args: tuple[Value, ...]) -> int | None:
    """The inode in the structure that a call filled, if it was printed."""
    for arg in args:
        number = arg.get("st_ino", arg.get("stx_ino")) if isinstance(arg, dict) else None
        if isinstance(number, int):
            return number
    return None
