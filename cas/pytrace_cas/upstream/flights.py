# SPDX-License-Identifier: Apache-2.0
"""One fetch in flight for a digest: who comes second waits for the first one's outcome."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

T = TypeVar("T")


class Flights(Generic[T]):
    """Calls that are under way, by key. Any thread may call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flying: dict[Hashable, Future[T]] = {}

    def share(self, key: Hashable, call: Callable[[], T]) -> T:
        """Call, or wait for the call under that key; return or raise what it does."""
        with self._lock:
            flight = self._flying.get(key)
            if flight is None:
                mine = self._flying[key] = Future[T]()
        if flight is not None:
            return flight.result()
        try:
            outcome = call()
        except BaseException as error:
            self._land(key)
            mine.set_exception(error)
            raise
        self._land(key)
        mine.set_result(outcome)
        return outcome

    def _land(self, key: Hashable) -> None:
        with self._lock:
            del self._flying[key]
