# SPDX-License-Identifier: Apache-2.0
"""Both servers over one store, from the first bind to the last drained call."""

from __future__ import annotations

import asyncio
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import attrs

from pytrace_cas.grpc_server import GrpcServer
from pytrace_cas.http_server import HttpServer
from pytrace_cas.http_server.application import Readiness, application
from pytrace_cas.server_metrics import ServerMetrics
from pytrace_cas.services import Limits, Services
from pytrace_cas.upstream import tiered
from pytrace_cas.upstream.tier import WAITING

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytrace_cas.listening import Address
    from pytrace_cas.store import Store
    from pytrace_cas.upstream import Upstream
    from pytrace_cas.upstream.tiered_store import TieredStore


# With an upstream tier: twice as many as may wait for it.
THREADS = 2 * WAITING


@attrs.frozen
class Settings:
    """How to serve a store that is open."""

    grpc_address: Address
    http_address: Address | None
    limits: Limits = attrs.field(factory=Limits)
    strict_ac: bool = False
    access_log: bool = False
    upstream: Upstream | None = None
    fsync: bool = False


@attrs.frozen
class Bound:
    """Where the servers listen, with the ports that were chosen."""

    grpc: Address
    http: Address | None

    def __str__(self) -> str:
        """Say it as URLs, gRPC first."""
        urls = [f"grpc://{self.grpc}" if not self.grpc.path else str(self.grpc)]
        if self.http is not None:
            urls.append(f"http://{self.http}" if not self.http.path else str(self.http))
        return " ".join(urls)


async def serve(store: Store, settings: Settings, ready: Callable[[Bound], None]) -> None:
    """Serve until SIGTERM or SIGINT, then let running calls end. `ready` is told once both servers listen.

    Raises `AddressInUse`, `AddressNotAvailable` and `UpstreamUnusable` before anything is served.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    metrics, readiness = ServerMetrics(store), Readiness()
    async with AsyncExitStack() as stack:
        behind = stack.enter_context(_with_upstream(store, settings, metrics)) if settings.upstream else None
        services = stack.enter_context(Services(behind or store, settings.limits))
        grpc_server = await stack.enter_async_context(
            GrpcServer(services, metrics, settings.grpc_address, access_log=settings.access_log)
        )
        http_server: HttpServer | None = None
        if settings.http_address is not None:
            app = application(
                services,
                metrics,
                readiness,
                strict_ac=settings.strict_ac,
                access_log=settings.access_log,
                upstream=behind.status if behind else None,
            )
            http_server = await stack.enter_async_context(HttpServer(app, settings.http_address))
        ready(Bound(grpc_server.address, http_server.address if http_server else None))
        await stop.wait()
        readiness.going = True
        await grpc_server.say_going()


def _with_upstream(store: Store, settings: Settings, metrics: ServerMetrics) -> TieredStore:
    """Put the tier behind the store, for calls that wait for it in threads."""
    assert settings.upstream is not None
    both = tiered(store, settings.upstream, fsync=settings.fsync)
    metrics.register(both.metrics)
    # Threads that wait for a slow tier must leave some to those whom the store alone can answer.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, thread_name_prefix="serving"))
    return both
