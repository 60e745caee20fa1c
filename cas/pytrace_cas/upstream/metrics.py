# SPDX-License-Identifier: Apache-2.0
"""Metrics of one upstream tier; no label holds a digest, a path or a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge
from prometheus_client.core import GaugeMetricFamily

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client.metrics_core import Metric

_STATES = ("closed", "half_open", "open")


class TierMetrics:
    """What `ServerMetrics.add` takes of one tier; safe to use from many threads.

    `counted` is each process's own, of which several workers show the sums; `collect` gives what they all see alike.
    """

    def __init__(self, tier: str) -> None:
        self._tier = tier
        self._requests = Counter(
            "pytrace_cas_upstream_requests",
            "Questions to the upstream tier, and those it was spared.",
            ("tier", "method", "status"),
            registry=None,
        )
        self._bytes = Counter(
            "pytrace_cas_upstream_bytes",
            "Bytes of blobs read from and written to the upstream tier.",
            ("tier", "direction"),
            registry=None,
        )
        self._dropped = Counter(
            "pytrace_cas_upstream_dropped",
            "Entries that were never written upstream.",
            ("tier", "reason"),
            registry=None,
        )
        self._breaker = Gauge(
            "pytrace_cas_upstream_breaker",
            "Workers whose breaker of the tier is in that state.",
            ("tier", "state"),
            registry=None,
            multiprocess_mode="sum",
        )
        self.counted = (self._requests, self._bytes, self._dropped, self._breaker)
        self._state: Callable[[], str] | None = None
        self._length: Callable[[], int] | None = None

    def asked(self, method: str, status: str) -> None:
        """Count a question."""
        self._requests.labels(self._tier, method, status).inc()

    def moved(self, direction: str, size: int) -> None:
        """Count bytes of blobs, `read` or `written`."""
        self._bytes.labels(self._tier, direction).inc(size)

    def dropped(self, reason: str, count: int = 1) -> None:
        """Count entries that are given up: `gone`, `full`, `unwritable`, `refused` or `unserved`."""
        self._dropped.labels(self._tier, reason).inc(count)

    def watch(self, state: Callable[[], str], length: Callable[[], int]) -> None:
        """Show the breaker's state and the queue's length from now on."""
        self._state, self._length = state, length

    def look(self) -> None:
        """Note the breaker's state: it changes as time goes by, too."""
        if self._state is not None:
            state = self._state()
            for name in _STATES:
                self._breaker.labels(self._tier, name).set(name == state)

    def describe(self) -> list[Metric]:
        """Say nothing when registered: the queue is looked at when it is asked for."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Give the length of the queue, which all workers share."""
        if self._length is not None:
            queue = GaugeMetricFamily(
                "pytrace_cas_upstream_queue_entries",
                "Blobs and results still to be written upstream.",
                labels=("tier",),
            )
            queue.add_metric((self._tier,), float(self._length()))
            yield queue
