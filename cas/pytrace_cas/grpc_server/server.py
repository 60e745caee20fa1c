# SPDX-License-Identifier: Apache-2.0
"""The gRPC server's lifetime: bind, serve, say that it is going, drain, stop."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import attrs
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health

from pytrace_cas.grpc_server.action_cache import ActionCacheServicer
from pytrace_cas.grpc_server.byte_stream import ByteStreamServicer
from pytrace_cas.grpc_server.calls import Registry
from pytrace_cas.grpc_server.capabilities import CapabilitiesServicer
from pytrace_cas.grpc_server.content_addressable_storage import ContentAddressableStorageServicer
from pytrace_cas.listening import AddressNotAvailable, forget_stale, listen

if TYPE_CHECKING:
    from types import TracebackType

    from pytrace_cas.grpc_server.calls import Servicer
    from pytrace_cas.listening import Address
    from pytrace_cas.server_metrics import ServerMetrics
    from pytrace_cas.services import Services

# Answers stay below the 4 MiB that clients accept; requests may be larger: BuildStream writes pieces of 5 MB, and
# 10^5 digests to look for take 7.5 MB.
LARGEST_REQUEST = 16 << 20
DRAIN_SECONDS = 10.0


class GrpcServer:
    """A gRPC server over the services; an async context manager that owns it.

    `address` is where it listens, with the port that was chosen. Leaving the context lets running calls end.
    """

    def __init__(
        self, services: Services, metrics: ServerMetrics, address: Address, *, access_log: bool = False
    ) -> None:
        self.address = address
        self._server = grpc.aio.server(
            options=(
                ("grpc.max_receive_message_length", LARGEST_REQUEST),
                # Two servers at one port by accident would each see half of the calls.
                ("grpc.so_reuseport", 0),
            )
        )
        self._health = health.HealthServicer()
        servicers: tuple[Servicer, ...] = (
            CapabilitiesServicer(services.capabilities),
            ActionCacheServicer(services.action_cache, metrics),
            ContentAddressableStorageServicer(services.content_addressable_storage, services.chunked_blobs, metrics),
            ByteStreamServicer(services.byte_stream, metrics),
        )
        self._names = ("", *(servicer.SERVICE.full_name for servicer in servicers))
        registry = Registry(self._server, metrics, access_log=access_log)
        for servicer in servicers:
            registry.add(servicer)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)

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
            port = self._server.add_insecure_port(str(address))
        except RuntimeError as error:
            listen(address).close()
            raise AddressNotAvailable(str(address), str(error)) from None
        if address.path:
            os.chmod(address.path, 0o600)
        else:
            self.address = attrs.evolve(address, port=port)

    async def say_going(self) -> None:
        """Answer health checks with NOT_SERVING from now on."""
        await self._health.enter_graceful_shutdown()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.say_going()
        await self._server.stop(DRAIN_SECONDS)
