# SPDX-License-Identifier: Apache-2.0
"""Calls over gRPC with a deadline each; whatever goes wrong is one exception, and every code is counted."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message_factory import GetMessageClass

from pytrace_proto import bytestream_pb2 as bytestream
from pytrace_proto import remote_asset_pb2 as asset
from pytrace_proto import remote_execution_pb2 as reapi

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from google.protobuf.descriptor import MethodDescriptor
    from google.protobuf.message import Message

    from pytrace_cas.conform.endpoint import Access, Endpoint

    Headers = Sequence[tuple[str, str | bytes]]

Code = grpc.StatusCode
# More than any rule asks for: a server that never stops sending is stopped.
MOST_BYTES = 64 << 20
MOST_MESSAGES = 200_000
METHODS: dict[str, MethodDescriptor] = {
    method.name: method
    for file in (reapi, bytestream, asset)
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}


class CallFailed(Exception):
    """A call ended with an error; `trailers` are the metadata that came with it."""

    def __init__(self, method: str, code: Code, details: str, trailers: dict[str, bytes]) -> None:
        shown = " ".join(details.split())[:200]
        super().__init__(f"{method}: {code.name}{f' ({shown})' if shown else ''}")
        self.method = method
        self.code = code
        self.details = details
        self.trailers = trailers


class Endless(Exception):
    """A stream brought more than any answer can have."""


class Wire:
    """One channel; a context manager that closes it. Safe to use from many threads.

    `seen` counts how calls ended, by method and code.
    """

    def __init__(self, endpoint: Endpoint, access: Access) -> None:
        self._metadata: tuple[tuple[str, str | bytes], ...] = tuple((k.lower(), v) for k, v in access.headers)
        self.timeout = access.timeout
        self.seen: Counter[tuple[str, Code]] = Counter()
        # Messages that are too large are to be seen, not refused on this side.
        options = (("grpc.max_receive_message_length", MOST_BYTES), ("grpc.enable_retries", 0))
        if endpoint.scheme == "grpcs":
            credentials = grpc.ssl_channel_credentials(access.ca, access.key, access.cert)
            self._channel = grpc.secure_channel(endpoint.target, credentials, options)
        else:
            self._channel = grpc.insecure_channel(endpoint.target, options)

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def call(self, name: str, request: Message | bytes, headers: Headers = ()) -> Any:
        """Make a call with one request and one answer; raise `CallFailed`."""
        with self._noted(name):
            return self._method(name)(request, timeout=self.timeout, metadata=(*self._metadata, *headers))

    def call_by_path(self, path: str, request: bytes) -> bytes:
        """Make a call to a method that this tool has no messages of."""
        with self._noted(path):
            method: Any = self._channel.unary_unary(path)
            answer: bytes = method(request, timeout=self.timeout, metadata=self._metadata)
            return answer

    def stream(self, name: str, request: Message | bytes, headers: Headers = ()) -> list[Any]:
        """Make a call and gather the messages of its answer; raise `CallFailed`, `Endless`."""
        with self._noted(name):
            call = self.begin(name, request, headers)
            try:
                return list(_bounded(call))
            finally:
                call.cancel()

    def begin(self, name: str, request: Any, headers: Headers = ()) -> Any:
        """Begin a call whose answer is a stream, and leave it to the caller."""
        return self._method(name)(request, timeout=self.timeout, metadata=(*self._metadata, *headers))

    def write(self, requests: Iterable[bytestream.WriteRequest]) -> bytestream.WriteResponse:
        """Make a ByteStream.Write; raise `CallFailed`."""
        with self._noted("Write"):
            return self._method("Write")(  # type: ignore[no-any-return]
                iter(requests), timeout=self.timeout, metadata=self._metadata
            )

    def begin_write(self, requests: Iterator[bytestream.WriteRequest]) -> Any:
        """Begin a ByteStream.Write whose end the caller waits for, or cancels."""
        return self._method("Write").future(requests, timeout=self.timeout, metadata=self._metadata)

    @contextlib.contextmanager
    def _noted(self, name: str) -> Iterator[None]:
        try:
            yield
        except grpc.RpcError as error:
            raise self.failure(name, error) from None
        self.seen[name, Code.OK] += 1

    def failure(self, name: str, error: grpc.RpcError) -> CallFailed:
        """Note and return an error that a call ended with."""
        call: Any = error
        code = call.code() or Code.UNKNOWN
        self.seen[name, code] += 1
        trailers = {key: value for key, value in call.trailing_metadata() or () if isinstance(value, bytes)}
        return CallFailed(name, code, call.details() or "", trailers)

    def _method(self, name: str) -> Any:
        method = METHODS[name]
        kind = f"{'stream' if method.client_streaming else 'unary'}_{'stream' if method.server_streaming else 'unary'}"
        return getattr(self._channel, kind)(
            f"/{method.containing_service.full_name}/{name}",
            request_serializer=_serialize,
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )


def _serialize(message: Message | bytes) -> bytes:
    return message if isinstance(message, bytes) else message.SerializeToString()


def _bounded(messages: Iterable[Message]) -> Iterator[Message]:
    size = 0
    for count, message in enumerate(messages):
        size += message.ByteSize()
        if size > MOST_BYTES or count > MOST_MESSAGES:
            raise Endless(f"an answer of more than {size} bytes in {count} messages")
        yield message
