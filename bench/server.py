# SPDX-License-Identifier: Apache-2.0
"""What calls cost a server: calls and bytes a second, and its CPU, for several endpoints side by side."""

from __future__ import annotations

import functools
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

import attrs

from bench import idle, timing
from bench.endpoint import Endpoint, Sizes, given, prepare, started
from bench.load import Load, Tally, play
from bench.report import ABSENT, Table, spread
from bench.timing import Rounds, Spread
from bench.workloads import installed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from bench.load import Load

FULL = Sizes(seconds=1.5, blob_bytes=4 << 20, uploads=8)
QUICK = Sizes(seconds=0.2, blob_bytes=1 << 20, uploads=2)
FULL_ROUNDS, QUICK_ROUNDS = Rounds(5, 5, 0), Rounds(1, 1, 0)
PROCESSES = 2
# Long enough for a process to connect, and to make what it uploads.
LEAD_SECONDS = 0.5


@attrs.frozen
class Rate:
    """One timed load: work by the second and the server's CPU seconds by work; work is calls, or bytes of streams."""

    by_second: float
    cpu_by_work: float | None


class Loader:
    """Processes that load servers."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def load(self, endpoint: Endpoint, load: Load) -> Rate:
        """Load one server from all processes at once."""
        before = timing.processor_seconds(endpoint.pids)
        start = time.monotonic() + LEAD_SECONDS
        tallies = list(self._pool.map(play, *zip(*[(endpoint.url, load, start)] * PROCESSES, strict=True)))
        used = timing.processor_seconds(endpoint.pids) - before
        work = sum(tally.bytes if _streams(load) else tally.calls for tally in tallies)
        return Rate(work / _duration(tallies), used / work if endpoint.pids else None)


def _streams(load: Load) -> bool:
    return load.answer_bytes > 0 or load.upload_bytes > 0


def _duration(tallies: Sequence[Tally]) -> float:
    return max(tally.ended for tally in tallies) - min(tally.began for tally in tallies)


def measure_all(
    folder: Path,
    urls: Sequence[str],
    peers: Sequence[str],
    instance: str,
    quick: bool,
    begins: Callable[[str], None],
) -> Iterator[Table]:
    """Load the endpoints that are given, else our own server beside the floor, and then the peers."""
    with ExitStack() as stack:
        endpoints = [given(url, instance) for url in urls]
        if not endpoints:
            begins("idle memory")
            yield idle.measure(folder)
            # One process, as the floor is.
            store = ("--dir", str(folder / "server"), "--workers", "1")
            where = ("--grpc-address", "127.0.0.1:0", "--http-address", "none")
            ours = (installed("pytrace-cas"), "serve", *store, *where)
            endpoints.append(stack.enter_context(started("pytrace-cas", ours)))
            endpoints.append(stack.enter_context(started("floor", (sys.executable, "-m", "bench.floor"))))
        endpoints += [given(url, instance) for url in peers]
        context = multiprocessing.get_context("spawn")
        loader = Loader(stack.enter_context(ProcessPoolExecutor(PROCESSES, mp_context=context)))
        yield _compare(loader, endpoints, quick, begins)


def _compare(loader: Loader, endpoints: Sequence[Endpoint], quick: bool, begins: Callable[[str], None]) -> Table:
    sizes = QUICK if quick else FULL
    loads = {endpoint.name: prepare(endpoint, sizes) for endpoint in endpoints}
    rows = []
    for kind in next(iter(loads.values())):
        begins(kind)
        calls: dict[str, Callable[[], Rate]] = {
            endpoint.name: functools.partial(loader.load, endpoint, loads[endpoint.name][kind])
            for endpoint in endpoints
        }
        taken = timing.interleave(calls, QUICK_ROUNDS if quick else FULL_ROUNDS)
        streams = _streams(loads[endpoints[0].name][kind])
        rows += [_row(kind, name, taken, endpoints[0].name, streams) for name in taken]
    columns = ("call", "server", "a second", "server CPU", "rate over first", "CPU over first")
    title = f"Servers, loaded by {PROCESSES} processes (CPU: of the server, a call or a GB)"
    return Table(title, columns, rows)


def _row(kind: str, name: str, taken: dict[str, list[Rate]], first: str, streams: bool) -> tuple[str, ...]:
    rates, base = taken[name], taken[first]
    by_second = [rate.by_second for rate in rates]
    speed = (
        f"{spread(Spread.of(by_second).scaled(1e-6), 0)} MB" if streams else f"{spread(Spread.of(by_second), 0)} calls"
    )
    over = spread(timing.ratios(by_second, [rate.by_second for rate in base])) if name != first else ABSENT
    cpu = [rate.cpu_by_work for rate in rates if rate.cpu_by_work is not None]
    base_cpu = [rate.cpu_by_work for rate in base if rate.cpu_by_work is not None]
    cost = ABSENT
    if cpu:
        cost = f"{spread(Spread.of(cpu).scaled(1e9))} s" if streams else f"{spread(Spread.of(cpu).scaled(1e6), 0)} us"
    both = name != first and len(cpu) == len(base_cpu) and all(base_cpu)
    return (kind, name, speed, cost, over, spread(timing.ratios(cpu, base_cpu)) if both else ABSENT)
