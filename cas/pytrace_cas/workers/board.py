# SPDX-License-Identifier: Apache-2.0
"""What serving processes and their supervisor tell one another: numbers in memory that they share."""

from __future__ import annotations

import mmap
import time

_STOP_AT_ONCE = 0
_HEAD = 1
_READY, _BUSY, _ENDED, _BEAT, _FIELDS = 0, 1, 2, 3, 4
_NUMBER_BYTES = 8


class Board:
    """Memory of `workers` slots; it is shared with the processes that are forked after it was made.

    Each number has one writer at a time and is written whole, so there are no locks. Times are monotonic.
    """

    def __init__(self, workers: int) -> None:
        self._numbers = memoryview(mmap.mmap(-1, (_HEAD + workers * _FIELDS) * _NUMBER_BYTES)).cast("d")
        self.slots = tuple(Slot(self._numbers, _HEAD + number * _FIELDS) for number in range(workers))

    @property
    def stop_at_once(self) -> bool:
        """Whether workers that are told to stop are to leave running calls alone."""
        return bool(self._numbers[_STOP_AT_ONCE])

    @stop_at_once.setter
    def stop_at_once(self, value: bool) -> None:
        self._numbers[_STOP_AT_ONCE] = value

    @property
    def all_ready(self) -> bool:
        """Whether every worker listens."""
        return all(slot.ready for slot in self.slots)

    def idle_seconds(self) -> float:
        """For how long no call has been running anywhere; 0 while one is."""
        return min(slot.idle_seconds() for slot in self.slots)


class Slot:
    """The numbers of one worker, written by it, and by the supervisor while it does not run."""

    def __init__(self, numbers: memoryview[float], start: int) -> None:
        self._numbers = numbers
        self._start = start
        self.clear()

    def clear(self) -> None:
        """Begin anew: not ready, nothing running, and only now did the last call end."""
        now = time.monotonic()
        for field, value in ((_READY, 0.0), (_BUSY, 0.0), (_ENDED, now), (_BEAT, now)):
            self._numbers[self._start + field] = value

    @property
    def ready(self) -> bool:
        """Whether it listens."""
        return bool(self._numbers[self._start + _READY])

    def say_ready(self) -> None:
        """Say that it listens."""
        self._numbers[self._start + _READY] = 1.0

    @property
    def busy(self) -> int:
        """Calls that are running."""
        return int(self._numbers[self._start + _BUSY])

    @property
    def ended(self) -> float:
        """When its last call ended."""
        return self._numbers[self._start + _ENDED]

    def idle_seconds(self) -> float:
        """For how long no call of its has been running; 0 while one is."""
        return 0.0 if self.busy else time.monotonic() - self.ended

    @property
    def silent_seconds(self) -> float:
        """For how long its event loop has not run."""
        return time.monotonic() - self._numbers[self._start + _BEAT]

    def call_begins(self) -> None:
        """Count a call as running; for the event loop's thread alone."""
        self._numbers[self._start + _BUSY] += 1.0

    def call_ends(self) -> None:
        """Count it as over."""
        self._numbers[self._start + _BUSY] -= 1.0
        self._numbers[self._start + _ENDED] = time.monotonic()

    def beat(self) -> None:
        """Say that the event loop runs."""
        self._numbers[self._start + _BEAT] = time.monotonic()
