# SPDX-License-Identifier: Apache-2.0
"""build.bazel.remote.execution.v2.Capabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytrace_cas.access.rights import Right
from pytrace_cas.grpc_server.callers import identify
from pytrace_proto import remote_execution_pb2 as reapi

if TYPE_CHECKING:
    from pytrace_cas.access.guard import Guard
    from pytrace_cas.grpc_server.calls import Context
    from pytrace_cas.services.capabilities import Capabilities


class CapabilitiesServicer:
    """Adapter of `Capabilities`."""

    SERVICE = reapi.DESCRIPTOR.services_by_name["Capabilities"]

    def __init__(self, service: Capabilities, guard: Guard) -> None:
        self._service = service
        self._guard = guard

    async def GetCapabilities(
        self, request: reapi.GetCapabilitiesRequest, context: Context
    ) -> reapi.ServerCapabilities:
        """Answer on the event loop: nothing is read."""
        caller = await identify(self._guard, context)
        may_update = self._guard.may(caller, request.instance_name, Right.AC)
        return self._service.get(request, may_update=may_update)
