# SPDX-License-Identifier: Apache-2.0
"""What every gRPC method does around its service: errors to status codes, metrics, the access log."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Protocol

import grpc
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from pytrace_cas.services.errors import EXPECTED, InvalidRequest, grpc_code, violations

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
    from google.protobuf.message import Message

    from pytrace_cas.server_metrics import ServerMetrics

    Context = grpc.aio.ServicerContext[Any, Any]
    Handler = Callable[[Any, Context], Awaitable[Any]]

log = logging.getLogger(__name__)
access = logging.getLogger("pytrace_cas.access")
STATUS_CODES = {code.value[0]: code for code in grpc.StatusCode}
# Details travel as a header; what a client sent may be in them, and clients refuse headers of more than 8 KiB.
LONGEST_DETAILS = 1000
DETAILS = "grpc-status-details-bin"
_KINDS = {(False, False): "unary", (False, True): "server_stream", (True, False): "client_stream"}
_MAKERS = {
    "unary": grpc.unary_unary_rpc_method_handler,
    "server_stream": grpc.unary_stream_rpc_method_handler,
    "client_stream": grpc.stream_unary_rpc_method_handler,
}


class Servicer(Protocol):
    """An adapter: coroutines named after the methods of `SERVICE`. Methods it lacks are UNIMPLEMENTED."""

    @property
    def SERVICE(self) -> ServiceDescriptor: ...


def _read_one(kind: type[Message], handler: Handler) -> Handler:
    """Read the request here: gRPC would answer UNKNOWN to bytes that are no message."""

    async def run(data: bytes, context: Context) -> Any:
        return await handler(_decode(kind, data), context)

    return run


def _read_all(kind: type[Message], handler: Handler) -> Handler:
    async def run(requests: AsyncIterator[bytes], context: Context) -> Any:
        return await handler((_decode(kind, data) async for data in requests), context)

    return run


def _decode(kind: type[Message], data: bytes) -> Message:
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise InvalidRequest(kind.DESCRIPTOR.name, str(error)) from None


def _details(error: Exception) -> tuple[tuple[str, bytes], ...]:
    """What clients may read of an error beside its code."""
    status = violations(error)
    return () if status is None else ((DETAILS, status.SerializeToString()),)


class Registry:
    """Puts adapters into a server; `access_log` writes a line for each call."""

    def __init__(self, server: grpc.aio.Server, metrics: ServerMetrics, *, access_log: bool) -> None:
        self._server = server
        self._metrics = metrics
        self._access_log = access_log

    def add(self, servicer: Servicer) -> None:
        """Serve the methods that the adapter has."""
        service = servicer.SERVICE
        handlers = {
            method.name: self._rpc(method, getattr(servicer, method.name))
            for method in service.methods
            if hasattr(servicer, method.name)
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.full_name, handlers),))

    def _rpc(self, method: MethodDescriptor, handler: Handler) -> grpc.RpcMethodHandler[Any, Any]:
        kind = _KINDS[method.client_streaming, method.server_streaming]
        read = _read_all if method.client_streaming else _read_one
        return _MAKERS[kind](
            self._around(kind, method, read(GetMessageClass(method.input_type), handler)),
            response_serializer=GetMessageClass(method.output_type).SerializeToString,
        )

    def _around(self, kind: str, method: MethodDescriptor, handler: Handler) -> Handler:
        """Count and log each call, and abort it with the code that fits what the handler raised."""
        metrics = self._metrics.method(kind, method.containing_service.full_name, method.name)
        path = f"/{method.containing_service.full_name}/{method.name}"

        async def run(request: Any, context: Context) -> Any:
            begun, code = metrics.begin(), grpc.StatusCode.OK
            try:
                return await handler(request, context)
            except EXPECTED as error:
                code = STATUS_CODES[grpc_code(error)]
                await context.abort(code, str(error)[:LONGEST_DETAILS], _details(error))
            except asyncio.CancelledError:
                code = grpc.StatusCode.CANCELLED
                raise
            except Exception:
                log.exception("%s failed", path)
                code = grpc.StatusCode.INTERNAL
                await context.abort(code, "the server failed; its log says how")
            finally:
                seconds = metrics.end(begun, code.name)
                if self._access_log:
                    access.info("grpc %s %s %s %.6f", context.peer(), path, code.name, seconds)

        return run
