# SPDX-License-Identifier: Apache-2.0
"""The effect of calls that move bytes through descriptors: those that the caller gave count."""

from __future__ import annotations

from pytrace_exec.observe.run import argument
from pytrace_exec.tracer.events import Fd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_exec.calls.table import Row
    from pytrace_exec.observe.processes import Task
    from pytrace_exec.observe.run import Run
    from pytrace_exec.tracer.events import Call


def transfer(run: Run, task: Task, call: Call, row: Row) -> None:
    """`read`, `write` and their kinds: standard input is read, an output that is a file grows, others are refused."""
    if call.error is not None and call.error not in ("EAGAIN", "EINTR"):
        return
    for key in ("read", "write"):
        fd = argument(call, row, key)
        standing = run.standing_at(fd) if isinstance(fd, Fd) else None
        if standing is None or not isinstance(fd, Fd) or standing[1].kind == "null":
            continue
        number, what = standing
        if number > 2:
            run.refuse("inherited_descriptor", fd.path, call)
        elif key == "write":
            if what.kind == "file" and call.result is not None:  # what goes into a pipe passes through us
                run.writes.append((number, call.result))
        elif what.kind == "tty":
            run.refuse("terminal_read", fd.path, call)
        elif number == 0:
            run.stdin_read = True
