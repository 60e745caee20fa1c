# SPDX-License-Identifier: Apache-2.0
"""`--pid-namespace`: by what right this process could make one, which decides what a command in it sees.

On the path of a hit of those who choose it.
"""

from __future__ import annotations

import os

ADMINISTRATOR = "yes"
"""CAP_SYS_ADMIN: only process numbers are others."""

USER = "yes, in a user namespace"
"""None: users and groups are others, too, but the own ones."""

TRACED, UNTRACED = b"pytrace-traced", b"pytrace-init"
"""What process 1 of such a namespace is called."""

_CAP_SYS_ADMIN = 21


def kind() -> str:
    """How a namespace would be made here: `ADMINISTRATOR`, `USER`, or "" for root without the right.

    For root, a user namespace would take away more than it gives: rights over the files of all others.
    """
    if _effective() >> _CAP_SYS_ADMIN & 1:
        return ADMINISTRATOR
    return USER if os.geteuid() else ""


def first_process() -> bytes:
    """The name of process 1, as this process sees it; empty if it may not."""
    try:
        with open("/proc/1/comm", "rb", buffering=0) as name:
            return name.read(64).rstrip(b"\n")
    except OSError:
        return b""


def _effective() -> int:
    """Our effective capabilities, as bits."""
    with open("/proc/self/status", "rb", buffering=0) as status:
        for line in status.read(1 << 16).splitlines():
            if line.startswith(b"CapEff:"):
                return int(line.split()[1], 16)
    return 0
