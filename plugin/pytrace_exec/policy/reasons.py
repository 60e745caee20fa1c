# SPDX-License-Identifier: Apache-2.0
"""Why a result is not stored (DESIGN 5): each reason's code and sentence, as one table."""

from __future__ import annotations

import os

SENTENCES = {
    "exit_status": "it exited with a status other than 0 (--cache-failures stores it)",
    "signal": "it was ended by a signal",
    "network": "it talked to a peer outside the run (--allow-network stores it)",
    "terminal_read": "it read a terminal",
    "pipe_read": "it read a pipe whose content is not in the key (--stdin puts standard input in the key)",
    "inherited_descriptor": "it used a descriptor above 2 that the caller gave it",
    "left_running": "it left a process running, which may still change its outputs",
    "wrote_outside": "it wrote outside the root and the declared output places (-o declares one)",
    "input_changed": "an input changed while it ran",
    "input_too_new": "an input was changed so shortly before the run that it cannot be told from a change during it",
    "input_destroyed": "it changed or removed content that it depended on, which this tracer cannot see any more",
    "clock": "it asked for the clock (--allow-clock stores it)",
    "incomplete": "the tracer lost or could not understand something",
    "not_whole": "the run was not seen whole: no executed program among its facts",
    "unknown_call": "it made a system call that the table does not know",
    "unknown_error": "a call failed in a way that the table does not know",
    "foreign_abi": "it made a system call of another architecture (32 bits, x32), which is not decoded",
    "io_uring": "it used asynchronous input and output, which the tracer cannot see",
    "nested_tracer": "it traced another process",
    "namespace": "it changed mounts, root or namespaces",
    "privilege": "it changed its privileges",
    "machine": "it read or changed a fact of the machine that the table does not allow",
    "device": "it used a device",
    "ipc": "it shared memory or messages with processes outside the run",
    "attributes": "it set attributes that a replay could not restore",
    "owner": "it changed an owner, which a replay could not restore",
    "special_file": "it made a special file (a device, a FIFO or a socket) that a replay could not restore",
    "rename_ring": "it exchanged names, or renamed in a ring, which a replay could not do",
    "many_links": "it wrote a file that has several names",
    "stream_is_input": "its standard output or error is a file that it also looked at",
    "foreign_writes": "a file that it wrote, or its stdout or stderr is, was written by somebody else meanwhile",
    "reader_gone": "the reader of its output went away before it ended",
    "absolute_times": "it wrote absolute times as content",
    "too_many_paths": "the root has too many paths to prove its earlier state (a smaller --root helps)",
    "left_out": "it moved or linked between a path left out (by a table, --ignore, --disposable) and one that counts",
    "timeout": "it was ended by --timeout",
    "readonly": "the mode is readonly",
    "invalidated": "it was invalidated while it ran",
    "store_full": "the store has no room for it",
    "store_read_only": "the store is read only (in Bazel's sandbox, --sandbox_writable_path=STORE mends that)",
    "store_failed": "the store failed",
}


class Reason:
    """One reason not to store: a code of `SENTENCES`, with the path, process and call it came from.

    `program`: the path of the program that this process ran then.
    """

    __slots__ = ("call", "code", "path", "pid", "program")

    def __init__(self, code: str, path: bytes | None = None, pid: int | None = None, call: str | None = None) -> None:
        self.code = code
        self.path = path
        self.pid = pid
        self.call = call
        self.program: bytes | None = None

    @property
    def message(self) -> str:
        """The sentence, with what it concerns."""
        text = SENTENCES[self.code]
        if self.path is not None:
            text += f": {os.fsdecode(self.path)!r}"
        where = [self.call] if self.call is not None else []
        if self.pid is not None:
            program = "" if self.program is None else f" ({os.fsdecode(self.program)})"
            where.append(f"process {self.pid}{program}")
        return f"{text} [{', '.join(where)}]" if where else text

    def described(self) -> dict[str, object]:
        """The reason as fields of a line in the statistics."""
        path, program = (None if raw is None else os.fsdecode(raw) for raw in (self.path, self.program))
        told: dict[str, object] = {"code": self.code, "message": self.message, "path": path}
        more = {"call": self.call, "pid": self.pid, "program": program}
        return told if self.pid is None else {**told, **more}

    def key(self) -> tuple[str, bytes | None, str | None]:
        """What makes two reasons one for the reader."""
        return self.code, self.path, self.call

    def __repr__(self) -> str:
        return f"Reason({self.code!r}, {self.path!r}, {self.pid!r}, {self.call!r})"
