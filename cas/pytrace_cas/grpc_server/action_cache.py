# SPDX-License-Identifier: Apache-2.0
"""build.bazel.remote.execution.v2.ActionCache."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytrace_cas.blocking import in_thread
from pytrace_cas.services.errors import ResultNotFound
from pytrace_proto import remote_execution_pb2 as reapi

if TYPE_CHECKING:
    from pytrace_cas.grpc_server.calls import Context
    from pytrace_cas.server_metrics import ServerMetrics
    from pytrace_cas.services.action_cache import ActionCache
    from pytrace_cas.usage import Usage


class ActionCacheServicer:
    """Adapter of `ActionCache`."""

    SERVICE = reapi.DESCRIPTOR.services_by_name["ActionCache"]

    def __init__(self, service: ActionCache, metrics: ServerMetrics, usage: Usage) -> None:
        self._service = service
        self._metrics = metrics
        self._usage = usage

    async def GetActionResult(self, request: reapi.GetActionResultRequest, context: Context) -> reapi.ActionResult:
        """Answer on the event loop, a few indexed reads; in a thread to inline blobs, or to ask an upstream."""
        try:
            if self._service.waits or request.inline_stdout or request.inline_stderr or request.inline_output_files:
                result = await in_thread(self._service.get, request)
            else:
                result = self._service.get(request)
        except ResultNotFound:
            self._metrics.requested("get", "ac", "miss")
            self._usage.asked(request, "miss", None)
            raise
        self._metrics.requested("get", "ac", "hit")
        self._usage.asked(request, "hit", context.invocation_metadata())
        return result

    async def UpdateActionResult(
        self, request: reapi.UpdateActionResultRequest, context: Context
    ) -> reapi.ActionResult:
        """Write in a thread."""
        result = await in_thread(self._service.update, request)
        self._metrics.requested("put", "ac", "ok")
        self._usage.stored(request, context.invocation_metadata())
        return result
