# SPDX-License-Identifier: Apache-2.0
"""What one client may take: calls at once, headers, and time in which it does nothing."""

from __future__ import annotations

import asyncio
import http.client
import socket
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import grpc
import pytest

from pytrace_cas.http_server import HttpServer, connections
from pytrace_cas.listening import Address
from pytrace_cas.workers.worker import Worker
from pytrace_proto import bytestream_pb2 as bytestream
from pytrace_proto import bytestream_pb2_grpc, remote_execution_pb2_grpc
from pytrace_proto import remote_execution_pb2 as reapi
from tests.support import messages
from tests.support.server import running_server
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.types import Receive, Scope, Send


def test_calls_above_the_limit_are_refused(tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()
    data = b"takes the only place"

    def slowly() -> Iterator[bytestream.WriteRequest]:
        yield bytestream.WriteRequest(resource_name=messages.upload_name(data), data=data[:5])
        begun.set()
        go_on.wait(60)
        yield bytestream.WriteRequest(write_offset=5, data=data[5:], finish_write=True)

    with (
        running_server(tmp_path / "s", "--max-calls", "1") as server,
        grpc.insecure_channel(server.grpc) as channel,
        grpc.insecure_channel(server.grpc, (("grpc.use_local_subchannel_pool", 1),)) as other,
    ):
        capabilities = remote_execution_pb2_grpc.CapabilitiesStub(other)

        def code() -> grpc.StatusCode:
            try:
                capabilities.GetCapabilities(reapi.GetCapabilitiesRequest())
            except grpc.RpcError as error:
                code: grpc.StatusCode = error.code()
                return code
            return grpc.StatusCode.OK

        stream = bytestream_pb2_grpc.ByteStreamStub(channel)
        uploads = [stream.Write.future(slowly())]
        assert begun.wait(30)

        def is_refused() -> bool:
            if uploads[-1].done():  # the question before took the place while this was on its way
                uploads.append(stream.Write.future(slowly()))
            return code() == grpc.StatusCode.RESOURCE_EXHAUSTED

        until(is_refused, "a call that is refused")
        go_on.set()
        assert uploads[-1].result(60).committed_size == len(data)
        # The place is free a moment after the answer.
        until(lambda: code() == grpc.StatusCode.OK, "a free place")


def test_headers_are_bounded(tmp_path: Path) -> None:
    def status(length: int) -> int:
        connection = http.client.HTTPConnection(urlsplit(server.http_url).netloc, timeout=30)
        connection.request("GET", "/healthz", headers={"x-long": "x" * length})
        with connection.getresponse() as response:
            response.read()
        connection.close()
        return response.status

    def ask(length: int) -> object:
        capabilities = remote_execution_pb2_grpc.CapabilitiesStub(channel)
        return capabilities.GetCapabilities(reapi.GetCapabilitiesRequest(), metadata=(("x-long", "x" * length),))

    with running_server(tmp_path / "s") as server, grpc.insecure_channel(server.grpc) as channel:
        assert [status(length) for length in (8 << 10, 40 << 10)] == [200, 400]
        assert ask(8 << 10)
        with pytest.raises(grpc.RpcError) as raised:
            ask(40 << 10)
        assert raised.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


async def _answer(scope: Scope, receive: Receive, send: Send) -> None:
    """Read a body, answer it with 32 MiB in pieces."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(32):
        await send({"type": "http.response.body", "body": bytes(1 << 20), "more_body": True})
    await send({"type": "http.response.body"})


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: x",
        b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=["nothing", "half a head", "half a body", "reads nothing"],
)
async def test_who_does_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(connections, "STALL_SECONDS", 0.2)
    async with HttpServer(_answer, Address("127.0.0.1", 0), Worker()) as server:
        with socket.create_connection(("127.0.0.1", server.address.port)) as idle:
            idle.sendall(sent)
            async with asyncio.timeout(60):
                while not server._server.server_state.connections:
                    await asyncio.sleep(0.01)
                while server._server.server_state.connections:
                    await asyncio.sleep(0.01)


async def test_who_is_slow_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "STALL_SECONDS", 0.3)
    async with HttpServer(_answer, Address("127.0.0.1", 0), Worker()) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.address.port)
        for part in (b"PUT / HTTP/1.1\r\n", b"Host: x\r\n", b"Content-Length: 4\r\n\r\n", b"a", b"b", b"c", b"d"):
            writer.write(part)
            await asyncio.sleep(0.1)
        got = 0
        while got < 32 << 20:
            piece = await reader.read(4 << 20)
            assert piece
            got += len(piece)
            await asyncio.sleep(0.005)
        writer.close()
        await writer.wait_closed()
