# SPDX-License-Identifier: Apache-2.0
"""`pytrace-cas` that kills itself when the store reaches a named point for the n-th time: POINT N ARGUMENTS..."""

from __future__ import annotations

import os
import signal
import sys

from pytrace_cas.cli import main
from pytrace_cas.store import crashpoints


def die_at(point: str, times: int) -> None:
    """Let the store kill this process there."""
    left = times

    def reached(name: str) -> None:
        nonlocal left
        left -= name == point
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    crashpoints.reached = reached


if __name__ == "__main__":
    _, point, times, *arguments = sys.argv
    die_at(point, int(times))
    sys.argv = ["pytrace-cas", *arguments]
    main()
