# SPDX-License-Identifier: Apache-2.0
"""Starting the installed wrapper by forks of prepared ones; what is traced is always started anew, by the wrapper."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import cycle
from threading import Lock
from typing import Any

from tests.support.runner import wrapper_command
from tests.support.zygote import Zygote, is_settled

LAZY = ("blake3", "hashlib")
"""Imported by the wrapper's functions rather than by its modules."""
COUNT = 2
"""Wrappers that take turns: their sets and dictionaries of strings are in orders of their own."""
FORKED = {"cwd", "stdin", "stdout", "stderr", "umask", "timeout"}
"""What a fork can be told."""
busy = Lock()


def start(
    argv: Sequence[str], *, env: Mapping[str, str], check: bool, **how: Any
) -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end as `subprocess.run` does; the wrapper by a fork where it could not tell.

    While another thread waits for a fork, a wrapper is started anew.
    """
    forkable = (argv[0],) == wrapper_command() and is_settled(env) and how.keys() <= FORKED
    if forkable and busy.acquire(blocking=False):
        try:
            return next(prepared()).run(argv, env=env, **how)
        finally:
            busy.release()
    return subprocess.run(argv, env=env, check=check, **how)


@cache
def prepared() -> Iterator[Zygote]:
    """Give this process's prepared wrappers by turns; they end with it."""
    folder = os.path.dirname(sys.executable)
    return cycle([Zygote((sys.executable,), folder, "pytrace_exec.wrapper", LAZY) for _ in range(COUNT)])
