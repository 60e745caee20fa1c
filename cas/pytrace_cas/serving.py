# SPDX-License-Identifier: Apache-2.0
"""Both servers over one store, from the first bind to the last drained call."""

from __future__ import annotations

import asyncio
import logging
import signal
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import attrs

from pytrace_cas.access import AccessSettings, BadAccessFile, Certificates, Guard
from pytrace_cas.grpc_server import GrpcServer
from pytrace_cas.http_server import HttpServer
from pytrace_cas.http_server.application import Readiness, application
from pytrace_cas.server_metrics import ServerMetrics
from pytrace_cas.services import Limits, Services

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytrace_cas.listening import Address
    from pytrace_cas.store import Store

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

    @property
    def beyond_loopback(self) -> bool:
        """Whether other machines can reach it."""
        return any(address is not None and not address.is_local for address in (self.grpc_address, self.http_address))


@attrs.frozen
class Bound:
    """Where the servers listen, with the ports that were chosen."""

    grpc: Address
    http: Address | None
    tls: bool = False

    def __str__(self) -> str:
        """Say it as URLs, gRPC first."""
        s = "s" if self.tls else ""
        urls = [f"grpc{s}://{self.grpc}" if not self.grpc.path else str(self.grpc)]
        if self.http is not None:
            urls.append(f"http{s}://{self.http}" if not self.http.path else str(self.http))
        return " ".join(urls)


async def serve(store: Store, settings: Settings, ready: Callable[[Bound], None]) -> None:
    """Serve until SIGTERM or SIGINT, then let running calls end. `ready` is told once both servers listen.

    Raises `AddressInUse`, `AddressNotAvailable` and `BadAccessFile` before anything is served. SIGHUP reads the files
    of `settings.access` again; calls and connections go on by what they began with.
    """
    for warning in settings.access.warnings(beyond_loopback=settings.beyond_loopback):
        log.warning("%s", warning)
    guard = Guard(settings.access)
    certificates = Certificates(settings.access) if settings.access.tls else None
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _read_again, guard, certificates)
    metrics, readiness = ServerMetrics(store), Readiness()
    async with AsyncExitStack() as stack:
        stack.callback(guard.close)
        services = stack.enter_context(Services(store, settings.limits))
        grpc_server = await stack.enter_async_context(
            GrpcServer(
                services,
                metrics,
                settings.grpc_address,
                guard,
                certificates,
                most_calls=settings.most_calls,
                access_log=settings.access_log,
            )
        )
        http_server: HttpServer | None = None
        if settings.http_address is not None:
            app = application(
                services, metrics, readiness, guard, strict_ac=settings.strict_ac, access_log=settings.access_log
            )
            http_server = await stack.enter_async_context(
                HttpServer(app, settings.http_address, certificates, most_calls=settings.most_calls)
            )
        ready(Bound(grpc_server.address, http_server.address if http_server else None, certificates is not None))
        await stop.wait()
        readiness.going = True
        await grpc_server.say_going()


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
