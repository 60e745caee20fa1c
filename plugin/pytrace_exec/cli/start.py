# SPDX-License-Identifier: Apache-2.0
"""Where `pytrace` begins: a check that asks nothing unusual is answered at once, all else by `main` and click."""

from __future__ import annotations

import gc
import os
import sys

# Objects that are made before garbage is looked for.
_OBJECTS = 100_000


def main() -> None:
    """Run `pytrace` with the arguments in `sys.argv`."""
    if sys.argv[1:3] == ["ci", "check"]:
        gc.set_threshold(_OBJECTS)
        from pytrace_exec import interpreter

        interpreter.take_back()
        from pytrace_exec.cli.ci_words import answer

        status = answer(sys.argv[3:])
        if status is not None:
            os._exit(status)  # all is written, and taking the interpreter apart costs as much as a tenth of a check
    from pytrace_exec.cli.main import main as begin

    begin()
