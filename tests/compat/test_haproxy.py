# SPDX-License-Identifier: Apache-2.0
"""HAProxy before a server, with the settings of `examples/`: gRPC streams and HTTP go through, health checks count."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest

from pytrace_cas.digest import SHA256
from pytrace_proto import bytestream_pb2 as bytestream
from pytrace_proto import bytestream_pb2_grpc, remote_execution_pb2_grpc
from tests.support import messages
from tests.support.server import running_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.server import RunningServer

pytestmark = pytest.mark.haproxy

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "haproxy.cfg"


def free_ports() -> list[int]:
    """Two ports that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        return [one.getsockname()[1] for one in (first, second)]


@contextmanager
def proxy(server: RunningServer, folder: Path) -> Iterator[tuple[str, str]]:
    """Run HAProxy before a server; yield a gRPC target and a URL."""
    grpc_port, http_port = free_ports()
    behind = server.http_url.rpartition(":")[2]
    text = EXAMPLE.read_text()
    for old, new in (
        (":19092", f"127.0.0.1:{grpc_port}"),
        (":18080", f"127.0.0.1:{http_port}"),
        ("127.0.0.1:9092", server.grpc),
        ("127.0.0.1:8080", f"127.0.0.1:{behind}"),
        ("check port 8080", f"check port {behind}"),
        ("inter 1s", "inter 100ms"),
    ):
        assert old in text
        text = text.replace(old, new)
    settings = folder / "haproxy.cfg"
    settings.write_text(text)
    with subprocess.Popen(["haproxy", "-db", "-f", settings], stderr=subprocess.DEVNULL) as process:
        try:
            yield f"127.0.0.1:{grpc_port}", f"http://127.0.0.1:{http_port}"
        finally:
            process.terminate()


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


def code_of(call: Callable[[], object]) -> grpc.StatusCode:
    """The status that a call fails with."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    code: grpc.StatusCode = caught.value.code()
    return code


def until(url: str, expected: int) -> None:
    """Ask until a page has that status."""
    while status(url) != expected:
        time.sleep(0.02)


def test_both_protocols_pass_through_and_a_server_that_stops_is_noticed(tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    options = ("--workers", "2", "--drain-uploads")
    with running_server(tmp_path / "s", *options) as server, proxy(server, tmp_path) as (target, url):
        until(f"{url}/readyz", 200)
        with grpc.insecure_channel(target) as channel:
            stream = bytestream_pb2_grpc.ByteStreamStub(channel)
            requests = messages.write_requests(data, messages.upload_name(data))
            assert stream.Write(requests, wait_for_ready=True).committed_size == len(data)
            # Again: it is there. Answered early, these would be CANCELLED by this proxy.
            for _ in range(5):
                requests = messages.write_requests(data, messages.upload_name(data), piece=100_000)
                assert stream.Write(requests).committed_size == len(data)
            asked = bytestream.ReadRequest(resource_name=messages.read_name(data))
            assert b"".join(piece.data for piece in stream.Read(asked)) == data
            wrong = messages.write_requests(data[:-1] + b"?", messages.upload_name(data[:-1] + b"!"), piece=100_000)
            assert code_of(lambda: stream.Write(wrong)) is grpc.StatusCode.INVALID_ARGUMENT
            ac = remote_execution_pb2_grpc.ActionCacheStub(channel)
            unknown = messages.get_result_request(b"unknown")
            assert code_of(lambda: ac.GetActionResult(unknown)) is grpc.StatusCode.NOT_FOUND
        with urllib.request.urlopen(f"{url}/cas/{SHA256.of(data).hash}") as response:
            assert response.read() == data
        put = urllib.request.Request(f"{url}/cas/{SHA256.of(b'put').hash}", b"put", method="PUT")
        with urllib.request.urlopen(put) as response:
            assert response.status == 200
        assert server.terminate() == 0
        until(f"{url}/readyz", 503)
