# SPDX-License-Identifier: Apache-2.0
"""Fresh times for outputs: later than every input, not in the future, in the order in which the run left them."""

from __future__ import annotations

import time

from pytrace_exec.replay.plan import ReplayRefused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_cas.recorded.effect_entries import Time
    from pytrace_exec.replay.plan import Plan

# The clock that the kernel stamps files with. It stands still for a tick (up to 10 ms): a finer time would make an
# output newer than a file that the user writes a moment later.
_COARSE = 5  # CLOCK_REALTIME_COARSE, clock_gettime(2)
_LARGEST_STEP_NS = 1_000_000
_TICK_NS = 10_000_000


def fresh_times(count: int, newest_input_ns: int) -> list[int]:
    """Return `count` strictly ascending times in nanoseconds; the last is now.

    Steps are as large as the time since the newest input allows, up to a millisecond, so that file systems and
    programs with coarse times see the order too. Waits for the next tick when the newest input is of this one. Raise
    `ReplayRefused` when the newest input is from the future.
    """
    deadline = time.time_ns() + 2 * _TICK_NS
    while (now := time.clock_gettime_ns(_COARSE)) - newest_input_ns < count:
        if newest_input_ns > deadline or time.time_ns() > deadline:
            raise ReplayRefused("an input's time lies in the future")
        time.sleep(0.001)
    step = max(1, min(_LARGEST_STEP_NS, (now - newest_input_ns) // (count + 1)))
    return [now - step * (count - 1 - position) for position in range(count)]


class OutputTimes:
    """Times of outputs, in nanoseconds: those that the run set, otherwise fresh ones in the recorded order."""

    __slots__ = ("_explicit", "_fresh", "_rank")

    def __init__(self, plan: Plan, fresh: list[int]) -> None:
        self._fresh = fresh
        self._rank = {path: rank for rank, group in enumerate(plan.order) for path in group}
        self._explicit = plan.times

    def fresh(self, path: bytes) -> int:
        """Fresh time of an output: that of its group, or of the last one."""
        return self._fresh[self._rank.get(path, -1)]

    def of(self, path: bytes) -> tuple[int, int]:
        """Access and modification time of an output."""
        fresh = self.fresh(path)
        explicit = self._explicit.get(path)
        if explicit is None:
            return fresh, fresh
        return _or_fresh(explicit.atime, fresh), _or_fresh(explicit.mtime, fresh)

    def of_original(self, path: bytes) -> tuple[int | None, int | None]:
        """Times that the run set of something that was there before; None for one that it left alone."""
        explicit, fresh = self._explicit[path], self.fresh(path)
        return (
            None if explicit.atime is None else _or_fresh(explicit.atime, fresh),
            None if explicit.mtime is None else _or_fresh(explicit.mtime, fresh),
        )

    @property
    def first(self) -> int:
        """The earliest fresh time."""
        return self._fresh[0]


def _or_fresh(set_time: Time, fresh: int) -> int:
    return set_time if isinstance(set_time, int) else fresh
