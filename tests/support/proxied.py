# SPDX-License-Identifier: Apache-2.0
"""A server behind somebody else's proxy: gRPC streams and HTTP go through as if there were none."""

from __future__ import annotations

import os
import socket
import subprocess
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import grpc
import pytest

from pytrace_cas.digest import SHA256
from pytrace_proto import bytestream_pb2 as bytestream
from pytrace_proto import bytestream_pb2_grpc, remote_execution_pb2_grpc
from tests.support import messages
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable


def free_ports() -> list[int]:
    """Two ports that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        return [one.getsockname()[1] for one in (first, second)]


def status(url: str) -> int:
    """The status of a page, 0 while nobody listens."""
    try:
        with urllib.request.urlopen(url, timeout=30) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except OSError:
        return 0


def answers(url: str, expected: int, proxy: subprocess.Popen[bytes]) -> None:
    """Ask until a page has that status, for as long as the proxy runs."""

    def holds() -> bool:
        assert proxy.poll() is None, f"{proxy.args!r} ended with status {proxy.returncode}"
        return status(url) == expected

    until(holds, f"status {expected} of {url}")


def passes_through(target: str, url: str) -> None:
    """Upload, read and be refused over both protocols, through a proxy at a gRPC target and a URL."""
    data = os.urandom(3_000_000)
    with grpc.insecure_channel(target) as channel:
        _streams(channel, data)
        ac = remote_execution_pb2_grpc.ActionCacheStub(channel)
        unknown = messages.get_result_request(b"unknown")
        assert _code_of(lambda: ac.GetActionResult(unknown)) is grpc.StatusCode.NOT_FOUND
    with urllib.request.urlopen(f"{url}/cas/{SHA256.of(data).hash}") as response:
        assert response.read() == data
    put = urllib.request.Request(f"{url}/cas/{SHA256.of(b'put').hash}", b"put", method="PUT")
    with urllib.request.urlopen(put) as response:
        assert response.status == 200


def _streams(channel: grpc.Channel, data: bytes) -> None:
    stream = bytestream_pb2_grpc.ByteStreamStub(channel)
    requests = messages.write_requests(data, messages.upload_name(data))
    assert stream.Write(requests, wait_for_ready=True).committed_size == len(data)
    # Again: it is there. Answered early, these would be broken off by some proxies.
    for _ in range(5):
        requests = messages.write_requests(data, messages.upload_name(data), piece=100_000)
        assert stream.Write(requests).committed_size == len(data)
    asked = bytestream.ReadRequest(resource_name=messages.read_name(data))
    assert b"".join(piece.data for piece in stream.Read(asked)) == data
    wrong = messages.write_requests(data[:-1] + b"?", messages.upload_name(data[:-1] + b"!"), piece=100_000)
    assert _code_of(lambda: stream.Write(wrong)) is grpc.StatusCode.INVALID_ARGUMENT


def _code_of(call: Callable[[], object]) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    code: grpc.StatusCode = caught.value.code()
    return code
