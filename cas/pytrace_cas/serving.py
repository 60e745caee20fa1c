# SPDX-License-Identifier: Apache-2.0
"""Both servers over one store, from the first bind to the last drained call."""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING

import attrs

from pytrace_cas.access import AccessSettings, BadAccessFile
from pytrace_cas.access.certificates import Certificates
from pytrace_cas.access.guard import Guard
from pytrace_cas.allocation import REST, give_back_freed_memory, keep_freed_memory
from pytrace_cas.blocking import in_thread
from pytrace_cas.grpc_server import GrpcServer
from pytrace_cas.http_server import HttpServer
from pytrace_cas.http_server.application import Readiness, application
from pytrace_cas.listening import Bound
from pytrace_cas.server_metrics import ServerMetrics, share
from pytrace_cas.services import AssetSettings, Limits, Services
from pytrace_cas.upstream import tiered
from pytrace_cas.upstream.tier import WAITING
from pytrace_cas.usage import Usage
from pytrace_cas.web.site import Site
from pytrace_cas.workers.orders import Orders

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pytrace_cas.listening import Address
    from pytrace_cas.store import Store
    from pytrace_cas.upstream import Upstream
    from pytrace_cas.upstream.tiered_store import TieredStore
    from pytrace_cas.workers.worker import Worker

DRAIN_SECONDS = 10.0
# With an upstream tier: twice as many as may wait for it.
THREADS = 2 * WAITING

log = logging.getLogger(__name__)


@attrs.frozen
class Settings:
    """How to serve a store that is open."""

    grpc_address: Address
    http_address: Address | None
    limits: Limits = attrs.field(factory=Limits)
    strict_ac: bool = False
    access_log: bool = False
    access: AccessSettings = attrs.field(factory=AccessSettings)
    # Calls at once over each protocol; None: any number.
    most_calls: int | None = None
    drain_uploads: bool = False
    # None: no Remote Asset.
    assets: AssetSettings | None = None
    upstream: Upstream | None = None
    fsync: bool = False


async def serve(store: Store, settings: Settings, worker: Worker, ready: Callable[[Bound], None]) -> None:
    """Serve until SIGTERM, then let running calls end. `ready` is told once both servers listen.

    Raises `AddressInUse`, `AddressNotAvailable`, `BadAccessFile` and `UpstreamUnusable` before anything is served.
    SIGHUP reads the files of `settings.access` again; calls and connections go on by what they began with.
    """
    keep_freed_memory()
    guard = Guard(settings.access)
    certificates = Certificates(settings.access) if settings.access.tls else None
    orders, readiness = Orders(worker), Readiness()
    orders.on_reload(lambda: _read_again(guard, certificates))
    if worker.metrics is not None:
        share(worker.metrics, worker.number)
    metrics, usage = ServerMetrics(store, worker.metrics), Usage(store)
    async with AsyncExitStack() as stack:
        stack.callback(guard.close)
        stack.callback(usage.write)
        behind = stack.enter_context(_with_upstream(store, settings, metrics)) if settings.upstream else None
        services = stack.enter_context(Services(behind or store, settings.limits, settings.assets))
        grpc_server = await stack.enter_async_context(
            GrpcServer(
                services,
                metrics,
                settings.grpc_address,
                worker,
                guard,
                usage,
                certificates,
                most_calls=settings.most_calls,
                access_log=settings.access_log,
                drain_uploads=settings.drain_uploads,
            )
        )
        http_server: HttpServer | None = None
        if settings.http_address is not None:
            site = Site(services, store, metrics, guard)
            stack.callback(site.close)
            app = application(
                services,
                site,
                metrics,
                readiness,
                worker,
                guard,
                usage,
                strict_ac=settings.strict_ac,
                access_log=settings.access_log,
                upstream=behind.status if behind else None,
            )
            http_server = await stack.enter_async_context(
                HttpServer(app, settings.http_address, worker, certificates, most_calls=settings.most_calls)
            )
        ready(Bound(grpc_server.address, http_server.address if http_server else None, certificates is not None))
        worker.say_ready()
        await _until_stopped(worker, orders, metrics, usage)
        readiness.going = True
        await _drain(grpc_server, http_server, orders)


async def _until_stopped(worker: Worker, orders: Orders, metrics: ServerMetrics, usage: Usage) -> None:
    """Wait for the order to stop, or until nobody has called for long enough; at rest, give freed memory back."""
    rested = False
    while not orders.stop.is_set() and not worker.tick():
        metrics.look()
        await in_thread(usage.write)
        resting = worker.slot.idle_seconds() >= REST
        if resting and not rested:
            await in_thread(give_back_freed_memory)
        rested = resting
        with suppress(TimeoutError):
            await asyncio.wait_for(orders.stop.wait(), worker.tick_seconds)


async def _drain(grpc_server: GrpcServer, http_server: HttpServer | None, orders: Orders) -> None:
    """Let running calls end, for ten seconds in all, or until the order to stop at once.

    HTTP goes on beside the last gRPC calls, so that `/readyz` can say that the server is going.
    """
    deadline = time.monotonic() + DRAIN_SECONDS
    await grpc_server.say_going()
    await _unless(orders.at_once, grpc_server.drain(DRAIN_SECONDS))
    if http_server is not None:
        await _unless(orders.at_once, http_server.drain(max(0.0, deadline - time.monotonic())))


async def _unless(given_up: asyncio.Event, work: Awaitable[None]) -> None:
    """Wait for work, or for an event, whichever is first; the work is cancelled then."""
    tasks = [asyncio.ensure_future(work), asyncio.create_task(given_up.wait())]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    if isinstance(done[0], Exception):
        raise done[0]


def _read_again(guard: Guard, certificates: Certificates | None) -> None:
    """Put all files in force as they are now, or none of them when one is bad."""
    try:
        ready = [part.read() for part in (guard, certificates) if part is not None]
    except BadAccessFile as error:
        log.error("SIGHUP: nothing is changed, what was read before stays in force: %s", error)
        return
    for use in ready:
        use()
    log.info("SIGHUP: certificates, passwords, tokens and rights are read again")


def _with_upstream(store: Store, settings: Settings, metrics: ServerMetrics) -> TieredStore:
    """Put the tier behind the store, for calls that wait for it in threads."""
    assert settings.upstream is not None
    both = tiered(store, settings.upstream, fsync=settings.fsync)
    metrics.add(both.metrics)
    # Threads that wait for a slow tier must leave some to those whom the store alone can answer.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, thread_name_prefix="serving"))
    return both
