# SPDX-License-Identifier: Apache-2.0
"""`pytrace-exec` that says how far it is and can end itself at a named point: MOMENT POINT ARGUMENTS...

MOMENT is a file that holds one word: `before`, `during` or `after` the write of a result, for a hit `replaying`, then
`replayed`. POINT is one of the store's crash points, of the replay's, or one that `main` names; `-` for none. `strong
POINT` and `weak POINT` are the crash points while that entry is written.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from pytrace_cas.store import crashpoints
from pytrace_exec import hit, miss, statistics_log, wrapper
from pytrace_exec.cache import candidates
from pytrace_exec.cache.local import LocalCache
from pytrace_exec.replay import apply
from pytrace_exec.tracer import running
from pytrace_exec.tracer.watch import Log, Watch

WORD = 10


class Dying:
    """Writes down the moment, and ends this process when it gets to its point while a result or a tree is changed."""

    def __init__(self, moment: str, point: str) -> None:
        self._fd = os.open(moment, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._point = point
        self._armed = False
        self._entry = ""
        self.say("before")

    def say(self, moment: str) -> None:
        """Write down how far we are, in one write; nothing is news if there is no word for it."""
        if moment:
            self._armed = moment != "before"
            os.pwrite(self._fd, moment.ljust(WORD).encode(), 0)

    def reached(self, point: str) -> None:
        """Die if this is where to; what the store does before a result or a tree is changed does not count."""
        if self._armed:
            self.pass_by(point)

    def pass_by(self, point: str) -> None:
        """Die if this is where to."""
        if self._point in (point, f"{self._entry} {point}"):
            os.kill(os.getpid(), signal.SIGKILL)

    def stand_at(self, owner: Any, name: str, before: str, after: str) -> None:
        """Have a function of the product pass by two points."""
        self.surround(owner, name, ("", ""), (before, after))

    def within(self, owner: Any, name: str, entry: str) -> None:
        """Have a function of the product write an entry, if it is not part of writing another."""
        inner: Callable[..., Any] = getattr(owner, name)

        def writing(*arguments: Any, **named: Any) -> Any:
            if self._entry:
                return inner(*arguments, **named)
            self._entry = entry
            self.pass_by("entry")
            result = inner(*arguments, **named)
            self.pass_by("stored")
            self._entry = ""
            return result

        setattr(owner, name, writing)

    def surround(self, owner: Any, name: str, moments: tuple[str, str], points: tuple[str, str]) -> None:
        """Have a function of the product say when it begins and when it has ended."""
        inner: Callable[..., Any] = getattr(owner, name)

        def surrounded(*arguments: Any, **named: Any) -> Any:
            self.pass_by(points[0])
            self.say(moments[0])
            result = inner(*arguments, **named)
            self.say(moments[1])
            self.pass_by(points[1])
            return result

        setattr(owner, name, surrounded)


def main() -> None:
    """Run the wrapper."""
    _, moment, point, *arguments = sys.argv
    dying = Dying(moment, point)
    crashpoints.reached = dying.reached
    setattr(hit, "prepare", partial(apply.prepare, hook=dying.reached))  # noqa: B010 - the module's own name
    dying.surround(miss, "store_result", ("during", "after"), ("ran", "stored"))
    dying.surround(hit, "replay", ("replaying", "replayed"), ("", ""))
    dying.stand_at(miss, "run_traced", "begin", "seen")
    dying.stand_at(running, "_spawn", "spawning", "spawned")
    dying.stand_at(Log, "_begin", "", "begun")
    dying.stand_at(Watch, "_reap", "", "reaped")
    dying.stand_at(LocalCache, "put", "", "blobs stored")
    dying.within(LocalCache, "put_result", "strong")
    dying.within(candidates, "_write", "weak")
    dying.stand_at(statistics_log, "append_run", "", "told")
    sys.argv = ["pytrace-exec", *arguments]
    wrapper.main()


if __name__ == "__main__":
    main()
