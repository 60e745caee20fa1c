# SPDX-License-Identifier: Apache-2.0
"""What every gRPC method does around its service: errors to status codes, metrics, the access log."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Protocol, cast

import grpc
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from pytrace_cas.calls import Call
from pytrace_cas.grpc_server.callers import Entrance
from pytrace_cas.logs import FIELDS
from pytrace_cas.services.errors import EXPECTED, InvalidRequest, grpc_code, violations

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
    from google.protobuf.message import Message

    from pytrace_cas.access.guard import Guard
    from pytrace_cas.access.identity import Identity
    from pytrace_cas.server_metrics import ServerMetrics
    from pytrace_cas.workers.board import Slot

    Context = grpc.aio.ServicerContext[Any, Any]
    Handler = Callable[[Any, Context], Awaitable[Any]]
    Decoder = Callable[[bytes], Any]
    # Takes bytes, or an iterator of them, and counts them for the call.
    Reader = Callable[[Any, Context, Call], Awaitable[Any]]

log = logging.getLogger(__name__)
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
    """An adapter: coroutines named after the methods of `SERVICE`. Methods it lacks are UNIMPLEMENTED.

    One that has `DECODERS` reads the requests of the methods named there by itself; they raise `DecodeError`.
    """

    @property
    def SERVICE(self) -> ServiceDescriptor: ...


class Serializable(Protocol):
    """A message, or what is sent in place of one."""

    def SerializeToString(self) -> bytes: ...


def _read_one(kind: type[Message], handler: Handler, entrance: Entrance, decode: Decoder) -> Reader:
    """Read the request here: gRPC would answer UNKNOWN to bytes that are no message."""
    names_action = "action_digest" in kind.DESCRIPTOR.fields_by_name

    async def run(data: bytes, context: Context, call: Call) -> Any:
        call.received = len(data)
        caller = await entrance.identify(context)
        call.identity = caller.name if caller else ""
        request = _decode(kind, data, decode)
        if names_action:
            call.action = request.action_digest.hash
        entrance.check(caller, request)
        return await handler(request, context)

    return run


def _read_all(kind: type[Message], handler: Handler, entrance: Entrance, decode: Decoder) -> Reader:
    """Read as above; the first request of a stream is the one that names an instance."""

    async def checked(requests: AsyncIterator[bytes], caller: Identity | None, call: Call) -> AsyncIterator[Any]:
        first = True
        async for data in requests:
            call.received += len(data)
            request = _decode(kind, data, decode)
            if first:
                entrance.check(caller, request)
                first = False
            yield request

    async def run(requests: AsyncIterator[bytes], context: Context, call: Call) -> Any:
        caller = await entrance.identify(context)
        call.identity = caller.name if caller else ""
        return await handler(checked(requests, caller, call), context)

    return run


class _Counted:
    """A call's context that counts what is written; the rest is gRPC's."""

    def __init__(self, context: Context, call: Call) -> None:
        self._context = context
        self._call = call

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    async def write(self, message: Serializable) -> None:
        data = message.SerializeToString()
        self._call.sent += len(data)
        try:
            await self._context.write(data)
        except grpc.aio.InternalError:
            # The stream is gone, and gRPC's own word for it may come later.
            raise asyncio.CancelledError("the client has left") from None


def _decode(kind: type[Message], data: bytes, decode: Decoder) -> Any:
    try:
        return decode(data)
    except DecodeError as error:
        raise InvalidRequest(kind.DESCRIPTOR.name, str(error)) from None


def _decoder(servicer: Servicer, method: MethodDescriptor) -> Decoder:
    own: dict[str, Decoder] = getattr(servicer, "DECODERS", {})
    decode: Decoder = own.get(method.name) or GetMessageClass(method.input_type).FromString
    return decode


def _encode(answer: Message, call: Call) -> bytes:
    data = answer.SerializeToString()
    call.sent += len(data)
    return data


def _details(error: Exception) -> tuple[tuple[str, bytes], ...]:
    """What clients may read of an error beside its code."""
    status = violations(error)
    return () if status is None else ((DETAILS, status.SerializeToString()),)


class Registry:
    """Puts adapters into a server; `access_log` writes a line for each call, `slot` says that one is running."""

    def __init__(
        self, server: grpc.aio.Server, metrics: ServerMetrics, guard: Guard, slot: Slot, *, access_log: bool
    ) -> None:
        self._server = server
        self._guard = guard
        self._metrics = metrics
        self._slot = slot
        self._access_log = access_log

    def add(self, servicer: Servicer) -> None:
        """Serve the methods that the adapter has."""
        service = servicer.SERVICE
        handlers = {
            method.name: self._rpc(method, getattr(servicer, method.name), _decoder(servicer, method))
            for method in service.methods
            if hasattr(servicer, method.name)
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.full_name, handlers),))

    def _rpc(self, method: MethodDescriptor, handler: Handler, decode: Decoder) -> grpc.RpcMethodHandler[Any, Any]:
        kind = _KINDS[method.client_streaming, method.server_streaming]
        read = _read_all if method.client_streaming else _read_one
        entrance = Entrance(self._guard, method.full_name)
        reader = read(GetMessageClass(method.input_type), handler, entrance, decode)
        return _MAKERS[kind](self._around(kind, method, reader))

    def _around(self, kind: str, method: MethodDescriptor, handler: Reader) -> Handler:
        """Count and log each call, and abort it with the code that fits what the handler raised."""
        metrics = self._metrics.method(kind, method.containing_service.full_name, method.name)
        path = f"/{method.containing_service.full_name}/{method.name}"

        async def run(request: Any, context: Context) -> Any:
            begun, code = metrics.begin(), grpc.StatusCode.OK
            call = Call("grpc", context.peer(), path)
            self._slot.call_begins()
            try:
                answer = await handler(request, cast("Context", _Counted(context, call)), call)
                return None if answer is None else _encode(answer, call)
            except EXPECTED as error:
                code = STATUS_CODES[grpc_code(error)]
                # gRPC keeps what `abort` raises for longer than the call, and with it this error's frames: the upload's
                # message, a decoder's window.
                error.__traceback__ = error.__context__ = error.__cause__ = None
                await context.abort(code, str(error)[:LONGEST_DETAILS], _details(error))
            except asyncio.CancelledError:
                code = grpc.StatusCode.CANCELLED
                raise
            except Exception:
                call.read_metadata(context.invocation_metadata() or ())
                log.exception("%s failed", path, extra={FIELDS: call.fields()})
                code = grpc.StatusCode.INTERNAL
                await context.abort(code, "the server failed; its log says how")
            finally:
                metrics.end(begun, code.name)
                self._slot.call_ends()
                if self._access_log:
                    call.read_metadata(context.invocation_metadata() or ())
                    call.log(code.name)

        return run
