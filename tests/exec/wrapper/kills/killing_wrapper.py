# SPDX-License-Identifier: Apache-2.0
"""`pytrace-exec` that kills at a named instant: MARK PROGRAM VICTIM INSTANT SIGNAL ARGUMENTS...

VICTIM is its tracer (`tracer`) or its command (`command`), INSTANT one of `INSTANTS`, at which the wrapper kills it; or
an instant of PROGRAM, a native tracer that then sends SIGNAL (a number) to itself. MARK: `NAME=value` that all have
among their variables. Ends with `NOBODY` if there was nobody to be killed.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pytrace_exec import wrapper
from pytrace_exec.tracer import native, running
from pytrace_exec.tracer.watch import Log, Watch

sys.path.append(str(Path(__file__).parents[4]))

from tests.exec.wrapper.kills.victims import kill, victim_of

INSTANTS = ("spawned", "begun", "reaped")
NOBODY = 99
SECONDS = 5


def after(owner: Any, name: str, action: Callable[..., None]) -> None:
    """Have a function of the product followed by something."""
    inner: Callable[..., Any] = getattr(owner, name)

    def followed(*arguments: Any, **named: Any) -> Any:
        result = inner(*arguments, **named)
        action(*arguments)
        return result

    setattr(owner, name, followed)


def kill_at(instant: str, victim: str, number: int, mark: str) -> None:
    """Have the wrapper kill at an instant of its own, once."""
    wanted = [victim]

    def now(*_: object) -> None:
        deadline = time.monotonic() + SECONDS
        while wanted:
            if kill(victim_of(victim, os.getpid(), mark), number):
                wanted.clear()
            elif time.monotonic() > deadline:
                os._exit(NOBODY)

    def once_begun(log: Log, *_: object) -> None:
        if log.begun:
            now()

    if instant == "spawned":
        after(running, "_spawn", now)
    elif instant == "begun":
        after(Log, "_begin", once_begun)
    else:
        after(Watch, "_reap", now)


def use(program: str, instant: str, number: int) -> None:
    """Trace with another program, which is told where it is to end."""
    inner = native.Native.command_line

    def command_line(self: native.Native, *arguments: Any) -> tuple[list[bytes], dict[bytes, bytes]]:
        words, environment = inner(self, *arguments)
        return [words[0], b"--die=%s:%d" % (instant.encode(), number), *words[1:]], environment

    native.PROGRAM = os.fsencode(program)
    setattr(native.Native, "command_line", command_line)  # noqa: B010 - a method is replaced


def main() -> None:
    """Run the wrapper."""
    _, mark, program, victim, instant, number, *arguments = sys.argv
    if instant in INSTANTS:
        kill_at(instant, victim, int(number), mark)
    else:
        use(program, instant, int(number))
    sys.argv = ["pytrace-exec", *arguments]
    wrapper.main()


if __name__ == "__main__":
    main()
