# SPDX-License-Identifier: Apache-2.0
"""Metrics of a running server, in Prometheus' form; the names are those that dashboards already know."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, values
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric

    from pytrace_cas.store import Store

_METHOD = ("grpc_type", "grpc_service", "grpc_method")
_BLOB_BUCKETS = tuple(float(1 << power) for power in range(8, 33, 3))


def share(folder: str, number: int) -> None:
    """Keep the metrics that this process makes from now on in files of that folder, as worker `number`.

    Who was that worker before has left its counts there: they go on.
    """
    # The library reads the folder's name from nowhere else.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    values.ValueClass = values.MultiProcessValue(lambda: number)  # type: ignore[no-untyped-call]


class ServerMetrics:
    """Counters around one store, in a registry of their own; safe to use from many threads.

    With a folder that was given to `share`, the text has the sums over all workers, those before a restart included.
    """

    def __init__(self, store: Store, folder: str | None = None) -> None:
        registry = CollectorRegistry()
        self._shown = registry
        if folder is not None:
            self._shown = CollectorRegistry()
            MultiProcessCollector(self._shown, folder)  # type: ignore[no-untyped-call]
        self._shown.register(_StoreSize(store))
        self._started = Counter("grpc_server_started", "Calls begun.", _METHOD, registry=registry)
        self._handled = Counter("grpc_server_handled", "Calls ended.", (*_METHOD, "grpc_code"), registry=registry)
        self._seconds = Histogram("grpc_server_handling_seconds", "Duration of calls.", _METHOD, registry=registry)
        self._requests = Counter(
            "pytrace_cas_requests",
            "Blobs and results asked for or stored.",
            ("method", "kind", "status"),
            registry=registry,
        )
        self._blob_bytes = Histogram(
            "pytrace_cas_blob_bytes", "Sizes of blobs stored.", buckets=_BLOB_BUCKETS, registry=registry
        )

    def method(self, kind: str, service: str, name: str) -> MethodMetrics:
        """Return the counters of one gRPC method; `kind` is `unary`, `server_stream` or `client_stream`."""
        labels = (kind, service, name)
        return MethodMetrics(self._started.labels(*labels), self._handled, labels, self._seconds.labels(*labels))

    def requested(self, method: str, kind: str, status: str, count: int = 1) -> None:
        """Count `get`, `contains` or `put` of `ac` or `cas`: `hit`, `miss`, `ok` or `error`."""
        self._requests.labels(method, kind, status).inc(count)

    def stored(self, size: int) -> None:
        """Count a blob of `size` bytes that was stored."""
        self._blob_bytes.observe(size)

    def text(self) -> bytes:
        """Return everything in the exposition format, as `CONTENT_TYPE_LATEST` names it."""
        return generate_latest(self._shown)


class MethodMetrics:
    """Counters of one gRPC method."""

    def __init__(self, started: Counter, handled: Counter, labels: tuple[str, ...], seconds: Histogram) -> None:
        self._started = started
        self._handled = handled
        self._labels = labels
        self._seconds = seconds
        self._by_code: dict[str, Counter] = {}

    def begin(self) -> float:
        """Count a call; return the moment, for `end`."""
        self._started.inc()
        return time.perf_counter()

    def end(self, begun: float, code: str) -> float:
        """Count its end, with the name of its gRPC code; return the seconds it took."""
        counter = self._by_code.get(code)
        if counter is None:
            counter = self._by_code[code] = self._handled.labels(*self._labels, code)
        counter.inc()
        seconds = time.perf_counter() - begun
        self._seconds.observe(seconds)
        return seconds


class _StoreSize:
    """Asks the store itself whenever the metrics are read."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def collect(self) -> Iterator[Metric]:
        """Give used bytes, the limit, and what was evicted to keep within it."""
        used, limit = self._store.size()
        yield GaugeMetricFamily("pytrace_cas_disk_size_bytes", "Bytes the store takes.", value=used)
        yield GaugeMetricFamily("pytrace_cas_disk_size_limit_bytes", "Bytes it may take.", value=limit)
        evicted = self._store.counters().get("evicted_bytes", 0)
        yield CounterMetricFamily("pytrace_cas_disk_evicted_bytes", "Bytes evicted.", value=evicted)
