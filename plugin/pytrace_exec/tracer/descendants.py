# SPDX-License-Identifier: Apache-2.0
"""The processes below one, as /proc tells of them, and signals to them."""

from __future__ import annotations

import os
import select

# What the native tracer calls itself (`plugin/native/tracer.c`).
_TRACER = b"pytrace-watch"


def descendants(top: int) -> list[int]:
    """Processes that `top` started, theirs, and so on, the nearest first; a tracer of ours is none."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            children.setdefault(_parent(name), []).append(int(name))
    found = [top]
    for pid in found:
        found += children.get(pid, ())
    return found[1:]


def send(pid: int, number: int) -> None:
    """Send a signal to a process that may have ended, or may be out of reach."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return  # As somebody else, it could not have been reached in a plain run either.


def reap(pid: int, seconds: float) -> None:
    """Wait for a child of ours that is about to end, but not for long."""
    try:
        ending = os.pidfd_open(pid)
    except OSError:
        return  # it is gone
    try:
        poll = select.poll()
        poll.register(ending, select.POLLIN)
        poll.poll(seconds * 1000)
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return  # whoever started us ignores SIGCHLD, or the tracer is none of ours
    finally:
        os.close(ending)


def _parent(pid: str) -> int:
    """The parent's number; 0 for a tracer of ours."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as status:
            # The name in brackets may hold anything, brackets too.
            named, _, fields = status.read(4096).rpartition(b")")
            return 0 if named.partition(b"(")[2] == _TRACER else int(fields.split()[1])
    except OSError:
        return 0
