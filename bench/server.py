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

from bench import idle, taken_apart, timing
from bench.endpoint import Endpoint, Sizes, given, prepare, started
from bench.load import Load, Tally, WrongAnswer, play
from bench.report import ABSENT, Table, spread
from bench.timing import Rounds, Spread
from bench.workloads import installed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from bench.load import Load

FULL = Sizes(seconds=1.5, blob_bytes=16 << 20, uploads=8, batches=64)
QUICK = Sizes(seconds=0.2, blob_bytes=1 << 20, uploads=2, batches=2)
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
    calls: Sequence[str] = (),
) -> Iterator[Table]:
    """Load the endpoints that are given, else our own server beside the floor, and then the peers.

    `calls`: words of the names of those that are measured; all of them if there is none.
    """
    with ExitStack() as stack:
        endpoints = [given(url, instance) for url in urls]
        if not endpoints:
            if not calls:
                begins("idle memory")
                yield idle.measure(folder)
                begins("GetActionResult without its transport")
                yield taken_apart.measure(folder, quick)
            # One process, as the floor is.
            store = ("--dir", str(folder / "server"), "--workers", "1")
            where = ("--grpc-address", "127.0.0.1:0", "--http-address", "none")
            ours = (installed("pytrace-cas"), "serve", *store, *where)
            endpoints.append(stack.enter_context(started("pytrace-cas", ours)))
            endpoints.append(stack.enter_context(started("floor", (sys.executable, "-m", "bench.floor"))))
        endpoints += [given(url, instance) for url in peers]
        context = multiprocessing.get_context("spawn")
        loader = Loader(stack.enter_context(ProcessPoolExecutor(PROCESSES, mp_context=context)))
        yield _compare(loader, endpoints, quick, begins, calls)


def _compare(
    loader: Loader, endpoints: Sequence[Endpoint], quick: bool, begins: Callable[[str], None], only: Sequence[str]
) -> Table:
    sizes = QUICK if quick else FULL
    loads = {endpoint.name: prepare(endpoint, sizes) for endpoint in endpoints}
    rows = []
    for kind in next(iter(loads.values())):
        if not any(word.lower() in kind.lower() for word in only or ("",)):
            continue
        begins(kind)
        first, *others = [endpoint.name for endpoint in endpoints]
        calls: dict[str, Callable[[], Rate]] = {
            endpoint.name: functools.partial(loader.load, endpoint, loads[endpoint.name][kind])
            for endpoint in endpoints
        }
        refused = {name: why for name in others if (why := _refusal(calls[name])) is not None}
        taken = timing.interleave(
            {name: call for name, call in calls.items() if name not in refused}, QUICK_ROUNDS if quick else FULL_ROUNDS
        )
        streams = _streams(loads[first][kind])
        rows += [
            (kind, name, refused[name], ABSENT, ABSENT, ABSENT)
            if name in refused
            else _row(kind, name, taken, first, streams)
            for name in calls
        ]
    columns = ("call", "server", "a second", "server CPU", "rate over first", "CPU over first")
    title = f"Servers, loaded by {PROCESSES} processes (CPU: of the server, a call or a GB)"
    return Table(title, columns, rows)


def _refusal(call: Callable[[], Rate]) -> str | None:
    """What a peer says to a call that it does not offer; of our own server that would be an error."""
    try:
        call()
    except WrongAnswer as wrong:
        return wrong.answer
    return None


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
