# SPDX-License-Identifier: Apache-2.0
"""Clients that hang about: slow readers and half-open uploads, over both protocols.

Each is left as it is while others go on; much later it takes the rest, or goes without a word.
"""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import grpc

from pytrace_cas.digest import SHA256
from pytrace_proto import bytestream_pb2 as bytestream
from tests.support import messages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from tests.cas.hostile.grpc_attacks import Attack, Target

SECONDS = 600
SMALL_BUFFER = 4096
AWAY = {grpc.StatusCode.CANCELLED, grpc.StatusCode.OK}


def _slow_reader(target: Target, chance: Random) -> object:
    """Take one message now and the rest later."""
    request = bytestream.ReadRequest(resource_name=messages.read_name(target.large))
    call = target.stream.Read(request, timeout=SECONDS)
    began = next(call).data
    stays = chance.random() < 0.5

    def end() -> None:
        if stays:
            assert began + b"".join(part.data for part in call) == target.large
        call.cancel()

    target.linger(end)
    return began


def _slow_http_reader(target: Target, chance: Random) -> object:
    """Take some bytes now, through a small window; the server may have cut this off later, but sends none wrong."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
    connection.settimeout(SECONDS)
    connection.connect(target.http)
    path = f"/cas/{SHA256.of(target.large).hash}"
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: cache\r\nConnection: close\r\n\r\n".encode())
    began = connection.recv(1000)
    assert b" 200 " in began.partition(b"\r\n")[0]
    stays = chance.random() < 0.5

    def end() -> None:
        with connection:
            if stays:
                body = _rest(connection, began).partition(b"\r\n\r\n")[2]
                assert target.large.startswith(body)

    target.linger(end)
    return began


def _rest(connection: socket.socket, began: bytes) -> bytes:
    found = bytearray(began)
    try:
        while data := connection.recv(1 << 20):
            found += data
    except ConnectionError:
        pass
    return bytes(found)


def _half_open_upload(target: Target, chance: Random) -> object:
    """Send some messages and then nothing; in the end stop without the last, or go."""
    data = chance.randbytes(chance.choice((20_000, 300_000)))
    parts = list(messages.write_requests(data, messages.upload_name(data), piece=10_000))[:-1]
    ended = threading.Event()

    def requests() -> Iterator[bytestream.WriteRequest]:
        yield from parts[: chance.randrange(1, len(parts) + 1)]
        ended.wait(SECONDS)

    call = target.stream.Write.future(requests(), timeout=SECONDS)
    goes = chance.random() < 0.5

    def end() -> None:
        if goes:
            call.cancel()
        ended.set()
        assert goes or call.code() is grpc.StatusCode.OK
        missing = target.cas.FindMissingBlobs(messages.missing_request(data), timeout=60).missing_blob_digests
        assert len(missing) == 1

    target.linger(end)
    return call


def _half_open_http(target: Target, chance: Random) -> object:
    """Send half a head, or half a body, with or without a length; in the end go."""
    body = chance.randbytes(50_000)
    put = f"PUT /cas/{SHA256.of(body).hash} HTTP/1.1\r\nHost: cache\r\n".encode()
    lengthy, chunked = put + b"Content-Length: 50000\r\n\r\n", put + b"Transfer-Encoding: chunked\r\n\r\n"
    compressed = put + b"Content-Encoding: zstd\r\nX-Digest-SizeBytes: 50000\r\nContent-Length: 40000\r\n\r\n"
    data = chance.choice(
        (put[:-10], put, lengthy, lengthy + body[:20_000], chunked + b"5\r\nhello\r\n", compressed + body[:1000], b"")
    )
    connection = socket.create_connection(target.http, timeout=SECONDS)
    connection.sendall(data)
    target.linger(connection.close)
    return connection


ATTACKS: dict[Attack, frozenset[str]] = {
    _slow_reader: frozenset({"OK"}),
    _slow_http_reader: frozenset({"OK"}),
    _half_open_upload: frozenset({"OK"}),
    _half_open_http: frozenset({"OK"}),
}
