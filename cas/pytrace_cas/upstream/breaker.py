# SPDX-License-Identifier: Apache-2.0
"""The circuit breaker: a tier that fails again and again is left alone for a while, then tried by one call."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FAILURES = 5
"""Failures in a row that open the breaker."""
FIRST_REST, LONGEST_REST = 1.0, 60.0
"""Seconds that a tier is left alone: doubled with each probe that fails."""


class Breaker:
    """Closed (calls pass), open (none do), or half open (one does, and decides). Any thread may call."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._rest = 0.0
        self._until = 0.0
        self._probing = False

    @property
    def state(self) -> str:
        """`closed`, `open` or `half_open`."""
        with self._lock:
            if not self._rest:
                return "closed"
            return "half_open" if self._probing or self._clock() >= self._until else "open"

    def admits(self) -> bool:
        """Whether a call may be made now; one that may must be followed by `succeeded` or `failed`."""
        with self._lock:
            if not self._rest:
                return True
            if self._probing or self._clock() < self._until:
                return False
            self._probing = True
            return True

    def succeeded(self) -> None:
        """Note an answer, whatever it says: the breaker closes."""
        with self._lock:
            self._failures, self._rest, self._probing = 0, 0.0, False

    def failed(self) -> None:
        """Note a failure; in a row, or of a probe, they open the breaker."""
        with self._lock:
            self._failures += 1
            if self._rest and not self._probing:
                return  # a call that began before it opened
            if self._rest or self._failures >= FAILURES:
                self._rest = min(2 * self._rest or FIRST_REST, LONGEST_REST)
                self._until = self._clock() + self._rest
                self._probing = False
