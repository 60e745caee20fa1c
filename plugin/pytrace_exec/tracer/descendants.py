# SPDX-License-Identifier: Apache-2.0
"""The processes below one, as /proc tells of them, and signals to them."""

from __future__ import annotations

import os


def descendants(top: int) -> list[int]:
    """Processes that `top` started, theirs, and so on, the nearest first; a tracer is none, having left its parents."""
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


def _parent(pid: str) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as status:
            # The name in brackets may hold anything, brackets too.
            return int(status.read(4096).rpartition(b")")[2].split()[1])
    except OSError:
        return 0
