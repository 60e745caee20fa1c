# SPDX-License-Identifier: Apache-2.0
"""`pytrace-exec` that says how far it is and can end itself at a named point: MOMENT POINT ARGUMENTS...

MOMENT is a file that holds one word: `before`, `during` or `after` the write of a result, for a hit `replaying`, then
`replayed`. POINT is one of the store's crash points, of the replay's, `ran`, `stored` or `told`; `-` for none.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

from pytrace_cas.store import crashpoints
from pytrace_exec import hit, miss, statistics_log, wrapper
from pytrace_exec.replay import apply

WORD = 10


class Dying:
    """Writes down the moment, and ends this process when it gets to its point while a result or a tree is changed."""

    def __init__(self, moment: str, point: str) -> None:
        self._fd = os.open(moment, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._point = point
        self._armed = False
        self.say("before")

    def say(self, moment: str) -> None:
        """Write down how far we are, in one write."""
        self._armed = moment != "before"
        if moment:
            os.pwrite(self._fd, moment.ljust(WORD).encode(), 0)

    def reached(self, point: str) -> None:
        """Die if this is where to; what the store does before a result or a tree is changed does not count."""
        if self._armed:
            self.pass_by(point)

    def pass_by(self, point: str) -> None:
        """Die if this is where to."""
        if point == self._point:
            os.kill(os.getpid(), signal.SIGKILL)

    def surround(self, module: ModuleType, name: str, moments: tuple[str, str], points: tuple[str, str]) -> None:
        """Have a function of the product say when it begins and when it has ended."""
        inner: Callable[..., Any] = getattr(module, name)

        def surrounded(*arguments: Any, **named: Any) -> Any:
            self.pass_by(points[0])
            self.say(moments[0])
            result = inner(*arguments, **named)
            self.say(moments[1])
            self.pass_by(points[1])
            return result

        setattr(module, name, surrounded)


def main() -> None:
    """Run the wrapper."""
    _, moment, point, *arguments = sys.argv
    dying = Dying(moment, point)
    crashpoints.reached = dying.reached
    setattr(hit, "prepare", partial(apply.prepare, hook=dying.reached))  # noqa: B010 - the module's own name
    dying.surround(miss, "store_result", ("during", "after"), ("ran", "stored"))
    dying.surround(hit, "replay", ("replaying", "replayed"), ("", ""))
    dying.surround(statistics_log, "append_run", ("", ""), ("", "told"))
    sys.argv = ["pytrace-exec", *arguments]
    wrapper.main()


if __name__ == "__main__":
    main()
