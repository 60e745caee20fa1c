# SPDX-License-Identifier: Apache-2.0
"""Starting the oracle's programs by forks: the wrapper, and Python's interpreter of programs where it runs plainly."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from tests.oracle import interpreter, script
from tests.support import forks
from tests.support.zygote import Zygote, is_settled


def start(argv: Sequence[str], *, env: Mapping[str, str], **how: Any) -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end as `subprocess.run` does. For one run at a time."""
    ours = len(script.PYTHON)
    if tuple(argv[:ours]) == script.PYTHON and argv[-1] == os.fsdecode(script.PROGRAM) and is_settled(env):
        del how["check"]
        return prepared().run(argv[ours:], env=env, **how)
    return forks.start(argv, env=env, **how)


@cache
def prepared() -> Zygote:
    """Give this process's prepared interpreter; it ends with it."""
    folder, name = os.path.split(interpreter.__file__)
    return Zygote(script.PYTHON, folder, name.removesuffix(".py"))
