# SPDX-License-Identifier: Apache-2.0
"""build.bazel.remote.execution.v2.Capabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytrace_proto import remote_execution_pb2 as reapi

if TYPE_CHECKING:
    from pytrace_cas.grpc_server.calls import Context
    from pytrace_cas.services.capabilities import Capabilities


class CapabilitiesServicer:
    """Adapter of `Capabilities`."""

    SERVICE = reapi.DESCRIPTOR.services_by_name["Capabilities"]

    def __init__(self, service: Capabilities) -> None:
        self._service = service

    async def GetCapabilities(
        self, request: reapi.GetCapabilitiesRequest, context: Context
    ) -> reapi.ServerCapabilities:
        """Answer on the event loop: nothing is read."""
        return self._service.get(request)
