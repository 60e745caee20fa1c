# SPDX-License-Identifier: Apache-2.0
"""The gRPC server's lifetime: bind, serve, say that it is going, drain, stop."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import attrs
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health
from grpc_reflection.v1alpha import reflection

from pytrace_cas.grpc_server.action_cache import ActionCacheServicer
from pytrace_cas.grpc_server.byte_stream import ByteStreamServicer
from pytrace_cas.grpc_server.calls import Registry
from pytrace_cas.grpc_server.capabilities import CapabilitiesServicer
from pytrace_cas.grpc_server.connections import OPTIONS, credentials
from pytrace_cas.grpc_server.content_addressable_storage import ContentAddressableStorageServicer
from pytrace_cas.grpc_server.remote_asset import FetchServicer, PushServicer
from pytrace_cas.listening import AddressNotAvailable, forget_stale

if TYPE_CHECKING:
    from types import TracebackType

    from pytrace_cas.access.certificates import Certificates
    from pytrace_cas.access.guard import Guard
    from pytrace_cas.grpc_server.calls import Servicer
    from pytrace_cas.listening import Address
    from pytrace_cas.server_metrics import ServerMetrics
    from pytrace_cas.services import Services
    from pytrace_cas.usage import Usage
    from pytrace_cas.workers.worker import Worker


class GrpcServer:
    """A gRPC server over the services; an async context manager that owns it.

    `address` is where it listens, with the port that was chosen. Leaving the context lets running calls end.
    """

    def __init__(
        self,
        services: Services,
        metrics: ServerMetrics,
        address: Address,
        worker: Worker,
        guard: Guard,
        usage: Usage,
        certificates: Certificates | None = None,
        *,
        most_calls: int | None = None,
        access_log: bool = False,
        drain_uploads: bool = False,
    ) -> None:
        self.address = address
        self._worker = worker
        self._certificates = certificates
        self._server = grpc.aio.server(
            options=(
                *OPTIONS,
                # Two servers at one port by accident would each see half of the calls; a supervisor keeps others out.
                ("grpc.so_reuseport", int(worker.supervised)),
            ),
            maximum_concurrent_rpcs=most_calls,
        )
        self._health = health.HealthServicer()
        servicers: tuple[Servicer, ...] = (
            CapabilitiesServicer(services.capabilities, guard),
            ActionCacheServicer(services.action_cache, metrics, usage),
            ContentAddressableStorageServicer(services.content_addressable_storage, services.chunked_blobs, metrics),
            ByteStreamServicer(services.byte_stream, metrics, drain_uploads=drain_uploads),
        )
        if services.remote_asset is not None:
            servicers += (FetchServicer(services.remote_asset), PushServicer(services.remote_asset))
        self._names = ("", *(servicer.SERVICE.full_name for servicer in servicers))
        registry = Registry(self._server, metrics, guard, worker.slot, access_log=access_log)
        for servicer in servicers:
            registry.add(servicer)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        health_name = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
        described = (*self._names[1:], health_name, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(described, self._server)

    async def __aenter__(self) -> GrpcServer:
        self._bind()
        await self._server.start()
        for name in self._names:
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        return self

    def _bind(self) -> None:
        """Raise `AddressInUse`, `AddressNotAvailable`; gRPC itself says neither which nor why."""
        address = self.address
        if address.path:
            forget_stale(address)
        try:
            if self._certificates is None:
                port = self._server.add_insecure_port(str(address))
            else:
                port = self._server.add_secure_port(str(address), credentials(self._certificates))
        except RuntimeError as error:
            self._worker.listen(address).close()
            raise AddressNotAvailable(str(address), str(error)) from None
        if address.path:
            os.chmod(address.path, 0o600)
        else:
            self.address = attrs.evolve(address, port=port)

    async def say_going(self) -> None:
        """Answer health checks with NOT_SERVING from now on."""
        await self._health.enter_graceful_shutdown()

    async def drain(self, seconds: float) -> None:
        """Take no new calls, and let running ones end for so long; cancelled, the server is stopped at once."""
        try:
            await self._server.stop(seconds)
        except asyncio.CancelledError:
            await self._server.stop(None)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._server.stop(None)
