# SPDX-License-Identifier: Apache-2.0
"""Starting the oracle's programs by forks of prepared ones: the wrapper, and Python's interpreter of programs where it
runs plainly.

What is traced is always started anew, by the wrapper.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import cycle
from typing import Any

from tests.oracle import interpreter, script
from tests.support.runner import wrapper_command
from tests.support.zygote import SETTLED, Zygote

LAZY = ("blake3", "hashlib")
"""Imported by the wrapper's functions rather than by its modules."""


class Forks:
    """Starts what it has prepared by a fork, and all else as `subprocess.run` does. For one run at a time.

    There are two wrappers that take turns: their sets and dictionaries of strings are in orders of their own.
    """

    def __init__(self, wrapper: str | None) -> None:
        folder, name = os.path.split(interpreter.__file__)
        self._interpreter = Zygote(script.PYTHON, folder, name.removesuffix(".py"))
        self._wrapper = wrapper
        count = 0 if wrapper is None else 2
        self._wrappers = [
            Zygote((sys.executable,), os.path.dirname(sys.executable), "pytrace_exec.wrapper", LAZY)
            for _ in range(count)
        ]
        self._turns = cycle(self._wrappers)

    def run(
        self, argv: Sequence[str], *, env: Mapping[str, str], check: bool, **how: Any
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command to its end."""
        if env.items() >= SETTLED.items() and not any(name.startswith("PYTHON") for name in env):
            if argv[0] == self._wrapper:
                return next(self._turns).run(argv, env=env, **how)
            if tuple(argv[: len(script.PYTHON)]) == script.PYTHON and argv[-1] == os.fsdecode(script.PROGRAM):
                return self._interpreter.run(argv[len(script.PYTHON) :], env=env, **how)
        return subprocess.run(argv, env=env, check=check, **how)

    def close(self) -> None:
        """End what was prepared."""
        for one in (self._interpreter, *self._wrappers):
            one.close()


@cache
def forks(wrapper: str) -> Forks:
    """Give this process's forks, for as long as it lives; a wrapper that is not the installed one is not prepared."""
    return Forks(wrapper if (wrapper,) == wrapper_command() else None)
