# SPDX-License-Identifier: Apache-2.0
"""Who belongs to a wrapped run: its tracer, the command, a child of that, and what holds strace's log."""

from __future__ import annotations

import os
from contextlib import suppress

from pytrace_exec.tracer.descendants import descendants
from tests.exec.wrapper.kills.orphans import marked, tracer_of

_TRACERS = ("strace", "pytrace-tracer", "dying-tracer")


def victim_of(kind: str, wrapper: int, mark: str) -> int:
    """The process of this kind, 0 if there is none; all of the run but the holder have `mark` among their variables."""
    below = descendants(wrapper)
    children = [pid for pid in below if _parent(pid) == wrapper]
    commands = [pid for pid in children if _is_marked(pid, mark)]
    if kind == "command":
        return next(iter(commands), 0)
    if kind == "child":
        started = (pid for pid in reversed(below) if pid not in children and not is_tracer(pid))
        return next((pid for pid in started if _is_marked(pid, mark)), 0)
    if kind == "holder":
        return next((pid for pid in children if _name(pid) == "sh" and pid not in commands), 0)
    attached = next(filter(None, map(tracer_of, commands)), 0)
    # What becomes the command runs the tracer's program as well, in our session.
    ours = os.getsid(0)
    return attached or next((pid for pid in marked(mark) if is_tracer(pid) and _session(pid) != ours), 0)


def kill(pid: int, number: int) -> bool:
    """Send a signal; return whether it met a process that lived."""
    if not pid or _state(pid) in ("", "Z", "X"):
        return False
    with suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False


def is_tracer(pid: int) -> bool:
    """Whether it runs a tracer's program."""
    with suppress(OSError):
        return os.path.basename(os.readlink(f"/proc/{pid}/exe")) in _TRACERS
    return False


def is_keeper(pid: int) -> bool:
    """Whether it is what a wrapper that has ended left behind."""
    return _name(pid) == "pytrace-exec"


def _session(pid: int) -> int:
    with suppress(OSError):
        return os.getsid(pid)
    return 0


def _is_marked(pid: int, mark: str) -> bool:
    with suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
        return os.fsencode(mark) in file.read().split(b"\0")
    return False


def _parent(pid: int) -> int:
    return int((_status(pid) or ["", "0"])[1])


def _state(pid: int) -> str:
    return (_status(pid) or [""])[0]


def _name(pid: int) -> str:
    with suppress(OSError), open(f"/proc/{pid}/comm") as file:
        return file.read().strip()
    return ""


def _status(pid: int) -> list[str]:
    with suppress(OSError), open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()
    return []
