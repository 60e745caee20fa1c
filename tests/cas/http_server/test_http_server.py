# SPDX-License-Identifier: Apache-2.0
"""WIRE 3.10 and the HTTP row of 3.9, against a real server; plain `http.client`, as few clients are stricter."""

from __future__ import annotations

import http.client
import json
import os
import socket
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import grpc
import pytest
import urllib3

from pytrace_cas.digest import SHA256
from pytrace_proto import remote_execution_pb2 as reapi
from pytrace_proto import remote_execution_pb2_grpc
from tests.support import messages
from tests.support.server import running_server
from tests.support.waiting import until
from tests.support.zstd import zstd

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from tests.support.server import RunningServer

LARGE = os.urandom(1 << 20) * 5
HASH = SHA256.of(b"nobody stored this").hash


class Client:
    """One connection, kept open."""

    def __init__(self, server: RunningServer) -> None:
        self.address = urlsplit(server.http_url).netloc
        self.connection = http.client.HTTPConnection(self.address, timeout=30)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def ask(
        self, method: str, path: str, body: bytes | Iterable[bytes] | None = None, **headers: str
    ) -> tuple[int, bytes]:
        """Make a request; return status and body."""
        chunked = not isinstance(body, bytes | None)
        self.connection.request(method, path, body, headers, encode_chunked=chunked)
        response = self.connection.getresponse()
        data = response.read()
        if method != "PUT" and response.status == 200 and "content-length" in response.headers:
            assert method == "HEAD" or int(response.headers["content-length"]) == len(data)
        return response.status, data

    def head(self, path: str) -> tuple[int, str | None]:
        """Make a HEAD request; return status and Content-Length."""
        self.connection.request("HEAD", path)
        response = self.connection.getresponse()
        assert response.read() == b""
        return response.status, response.headers["content-length"]


@pytest.fixture
def client(server: RunningServer) -> Iterator[Client]:
    with Client(server) as client:
        yield client


def cas(data: bytes) -> str:
    return f"/cas/{SHA256.of(data).hash}"


@pytest.mark.parametrize("data", [b"", b"small", b"s" * 70_000, LARGE], ids=len)
def test_rule_http_blobs_go_round(client: Client, data: bytes) -> None:
    assert client.ask("PUT", cas(data), data)[0] == 200
    assert client.ask("GET", cas(data)) == (200, data)
    assert client.head(cas(data)) == (200, str(len(data)))


def test_rule_http_the_empty_blob_probes_that_it_is_alive(client: Client) -> None:
    assert client.ask("GET", cas(b"")) == (200, b"")
    assert client.head(cas(b"")) == (200, "0")


@pytest.mark.parametrize("kind", ["ac", "cas"])
def test_rule_http_missing_is_404(client: Client, kind: str) -> None:
    assert client.ask("GET", f"/{kind}/{HASH}")[0] == 404
    assert client.head(f"/{kind}/{HASH}")[0] == 404


@pytest.mark.parametrize("hash", [HASH.upper(), HASH[:-1], HASH + "0", "x" * 64, ""])
@pytest.mark.parametrize("kind", ["ac", "cas"])
def test_rule_http_bad_keys_are_400(client: Client, kind: str, hash: str) -> None:
    for method in ("GET", "HEAD", "PUT"):
        body = b"x" if method == "PUT" else None
        assert client.ask(method, f"/{kind}/{hash}", body)[0] == 400


@pytest.mark.parametrize("path", ["//ac/", "/a//b/cas/", "/blobs/ac/", "/a/uploads/cas/"])
def test_rule_http_bad_instances_are_400(client: Client, path: str) -> None:
    assert client.ask("GET", path + HASH)[0] == 400


@pytest.mark.parametrize("method", ["POST", "DELETE", "PROPFIND", "MKCOL"])
def test_rule_http_other_methods_are_405(client: Client, method: str) -> None:
    assert client.ask(method, f"/cas/{HASH}")[0] == 405


def test_rule_http_a_body_that_is_not_the_hash_is_400_and_not_stored(client: Client) -> None:
    assert client.ask("PUT", cas(b"expected"), b"received")[0] == 400
    assert client.ask("GET", cas(b"expected"))[0] == 404
    assert client.ask("GET", cas(b"received"))[0] == 404


@pytest.mark.parametrize("data", [b"chunk", LARGE + b"chunked"], ids=len)
def test_rule_http_bodies_without_a_length_are_spooled(client: Client, data: bytes) -> None:
    pieces = (data[at : at + 60_000] for at in range(0, len(data), 60_000))
    assert client.ask("PUT", cas(data), pieces)[0] == 200
    assert client.ask("GET", cas(data)) == (200, data)
    assert client.ask("PUT", cas(b"other"), iter([b"an", b"other"]))[0] == 400


@pytest.mark.parametrize("path", [f"/cas/{HASH}", "/webdav/a/file"])
def test_a_body_without_a_length_is_never_larger_than_the_store(tmp_path: Path, path: str) -> None:
    with running_server(tmp_path / "store", "--max-size", "2M") as server, Client(server) as client:
        assert client.ask("PUT", path, iter([LARGE[: 1 << 20]] * 20))[0] == 507
    with running_server(tmp_path / "store") as server, Client(server) as client:
        assert client.ask("GET", path)[0] == 404
        assert list((tmp_path / "store" / "tmp").iterdir()) == []


def test_rule_http_a_body_that_breaks_off_is_not_stored(client: Client, server: RunningServer) -> None:
    data = b"broken off" + LARGE
    host, port = client.address.split(":")
    with socket.create_connection((host, int(port))) as raw:
        raw.sendall(f"PUT {cas(data)} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n".encode())
        raw.sendall(data[:100_000])
    assert client.ask("GET", cas(data))[0] == 404
    assert client.ask("PUT", cas(data), data)[0] == 200


def test_rule_http_a_download_that_breaks_off_frees_the_blob(client: Client, server: RunningServer) -> None:
    data = b"download" + LARGE
    client.ask("PUT", cas(data), data)
    host, port = client.address.split(":")
    for _ in range(5):
        with socket.create_connection((host, int(port))) as raw:
            raw.sendall(f"GET {cas(data)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert raw.recv(1000)
    until(lambda: not server.blobs_open(), "the end of all downloads")
    assert client.ask("GET", cas(data)) == (200, data)


@pytest.mark.parametrize("whole", [True, False])
def test_others_are_served_while_a_body_waits_for_the_store(server: RunningServer, whole: bool) -> None:
    """Keeping room for it takes the store's lock, giving it back when the body breaks off too."""
    host, port = server.http_url.removeprefix("http://").split(":")
    with closing(sqlite3.connect(f"{server.store}/index.sqlite", isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        with socket.create_connection((host, int(port))) as putting:
            path = f"/cas/{SHA256.of(bytes(100_000)).hash}"
            head = f"PUT {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: 100000\r\n\r\n"
            putting.sendall(head.encode() + bytes(100_000 if whole else 10))
            if not whole:
                putting.shutdown(socket.SHUT_RDWR)
            for _ in range(10):
                time.sleep(0.01)  # it may not have been looked at yet
                assert urllib3.request("GET", f"{server.http_url}/healthz", timeout=10, retries=False).status == 200
            db.execute("ROLLBACK")
            if whole:
                assert putting.recv(12) == b"HTTP/1.1 200"


def test_rule_http_large_bodies_are_413(tmp_path: Path) -> None:
    with (
        running_server(tmp_path / "store", "--max-blob-size", "1000") as server,
        Client(server) as client,
    ):
        data = b"x" * 1001
        assert client.ask("PUT", cas(data), data)[0] == 413
        assert client.ask("PUT", cas(data), iter([data]))[0] == 413
        assert client.ask("PUT", cas(data[1:]), data[1:])[0] == 200


def test_rule_http_full_is_507(tmp_path: Path) -> None:
    with running_server(tmp_path / "store", "--max-size", "100K") as server, Client(server) as client:
        assert client.ask("PUT", cas(LARGE), LARGE)[0] == 507


def test_rule_http_read_only_is_403(tmp_path: Path) -> None:
    with running_server(tmp_path / "store"):
        pass
    with running_server(tmp_path / "store", "--read-only") as server, Client(server) as client:
        assert client.ask("PUT", cas(b"x"), b"x")[0] == 403
        assert client.ask("PUT", f"/ac/{HASH}", b"x")[0] == 403


def test_rule_http_results_are_checked_like_grpcs(client: Client) -> None:
    result = messages.result_of({"out": b"http output"}).SerializeToString()
    path = f"/ac/{SHA256.of(b'http action').hash}"
    assert client.ask("PUT", path, result)[0] == 409
    assert client.ask("GET", path)[0] == 404
    client.ask("PUT", cas(b"http output"), b"http output")
    assert client.ask("PUT", path, result)[0] == 200
    assert client.ask("GET", path) == (200, result)
    assert client.head(path) == (200, str(len(result)))


def test_rule_http_results_may_be_json(client: Client) -> None:
    hash = SHA256.of(b"json action").hash
    body = b'{"exitCode": 3, "outputSymlinks": [{"path": "a", "target": "t"}], "noSuchField": 1}'
    as_json = {"Content-Type": "application/json; charset=utf-8"}
    # No ActionResult in JSON: kept as it came, as moon's are.
    assert client.ask("PUT", f"/ac/{hash}", body, **as_json)[0] == 200
    assert client.ask("GET", f"/ac/{hash}") == (200, body)
    assert client.ask("GET", f"/ac/{hash}", Accept="application/json") == (200, body)
    assert client.ask("PUT", f"/ac/{hash}", body.replace(b', "noSuchField": 1', b""), **as_json)[0] == 200
    result = reapi.ActionResult(exit_code=3, output_symlinks=[reapi.OutputSymlink(path="a", target="t")])
    assert client.ask("GET", f"/ac/{hash}") == (200, result.SerializeToString())
    status, answer = client.ask("GET", f"/ac/{hash}", Accept="application/json")
    assert (status, json.loads(answer)) == (200, json.loads(body.replace(b', "noSuchField": 1', b"")))


def test_rule_http_both_protocols_see_the_same(client: Client, channel: grpc.Channel) -> None:
    ac = remote_execution_pb2_grpc.ActionCacheStub(channel)
    storage = remote_execution_pb2_grpc.ContentAddressableStorageStub(channel)
    client.ask("PUT", cas(b"over http"), b"over http")
    assert storage.BatchReadBlobs(messages.read_request(b"over http")).responses[0].data == b"over http"
    result = messages.result_of({"out": b"over http"})
    for action, instance in ((b"one", ""), (b"two", "an/instance")):
        prefix = f"/{instance}" if instance else ""
        path = f"{prefix}/ac/{SHA256.of(action).hash}"
        client.ask("PUT", path, result.SerializeToString())
        assert ac.GetActionResult(messages.get_result_request(action, instance)) == result
    ac.UpdateActionResult(messages.put_result_request(b"three", result, "an/instance"))
    path = f"/an/instance/ac/{SHA256.of(b'three').hash}"
    assert client.ask("GET", path) == (200, result.SerializeToString())
    assert client.ask("GET", f"/ac/{SHA256.of(b'three').hash}")[0] == 404


def test_rule_61_an_action_that_is_here_gives_the_size(client: Client, channel: grpc.Channel) -> None:
    ac = remote_execution_pb2_grpc.ActionCacheStub(channel)
    client.ask("PUT", cas(b"known action"), b"known action")
    client.ask("PUT", f"/ac/{SHA256.of(b'known action').hash}", b"")
    assert ac.GetActionResult(messages.get_result_request(b"known action")) == reapi.ActionResult()
    request = messages.get_result_request(b"known action")
    request.action_digest.size_bytes += 1
    with pytest.raises(grpc.RpcError) as raised:
        ac.GetActionResult(request)
    assert raised.value.code() == grpc.StatusCode.NOT_FOUND


OPAQUE = [b'{"json": "as moon writes it"}', b"\xcc\xac binary as ccache writes it", b"\xff" * 100]
ABSOLUTE = reapi.ActionResult(output_files=[reapi.OutputFile(path="/etc/passwd", digest=messages.digest(b""))])


@pytest.mark.parametrize("body", [*OPAQUE, ABSOLUTE.SerializeToString()])
def test_rule_39_bodies_that_are_no_result_are_kept_as_they_came(
    client: Client, channel: grpc.Channel, body: bytes
) -> None:
    action = b"opaque" + body
    path = f"/team/ac/{SHA256.of(action).hash}"
    assert client.ask("PUT", path, body)[0] == 200
    assert client.ask("GET", path) == (200, body)
    assert client.head(path) == (200, str(len(body)))
    with pytest.raises(grpc.RpcError) as raised:
        remote_execution_pb2_grpc.ActionCacheStub(channel).GetActionResult(messages.get_result_request(action, "team"))
    assert raised.value.code() == grpc.StatusCode.NOT_FOUND


def test_rule_60_the_last_of_two_kinds_wins(client: Client) -> None:
    path = f"/ac/{SHA256.of(b'both kinds').hash}"
    for body in (b"", OPAQUE[0], b""):
        assert client.ask("PUT", path, body)[0] == 200
        assert client.ask("GET", path) == (200, body)


def test_rule_39_strict_ac_refuses_them(tmp_path: Path) -> None:
    with running_server(tmp_path / "store", "--strict-ac") as server, Client(server) as client:
        for body in OPAQUE:
            assert client.ask("PUT", f"/ac/{HASH}", body)[0] == 400
        assert client.ask("GET", f"/ac/{HASH}")[0] == 404
        assert client.ask("PUT", f"/ac/{HASH}", b"")[0] == 200


def test_pages(client: Client) -> None:
    status, page = client.ask("GET", "/")
    assert (status, b"pytrace-cas" in page) == (200, True)
    state = json.loads(client.ask("GET", "/status")[1])
    assert (state["schema"], state["size_limit_bytes"]) == (1, 10 << 30)
    assert client.ask("GET", "/healthz")[0] == client.ask("GET", "/readyz")[0] == 200
    assert client.ask("GET", "/elsewhere")[0] == 404


def test_metrics_have_the_names_that_dashboards_know(client: Client, channel: grpc.Channel) -> None:
    remote_execution_pb2_grpc.CapabilitiesStub(channel).GetCapabilities(reapi.GetCapabilitiesRequest())
    client.ask("PUT", cas(b"counted"), b"counted")
    client.ask("GET", cas(b"counted"))
    text = client.ask("GET", "/metrics")[1].decode()
    for line in (
        'pytrace_cas_requests_total{kind="cas",method="get",status="hit"}',
        'grpc_server_handled_total{grpc_code="OK",grpc_method="GetCapabilities"',
        'grpc_server_started_total{grpc_method="GetCapabilities"',
        "grpc_server_handling_seconds_count{",
        "pytrace_cas_disk_size_bytes ",
        "pytrace_cas_disk_size_limit_bytes ",
        "pytrace_cas_disk_evicted_bytes_total ",
        "pytrace_cas_blob_bytes_count ",
    ):
        assert line in text
    assert SHA256.of(b"counted").hash not in text


def test_zstd_both_ways(server: RunningServer) -> None:
    data = b"a line that shrinks\n" * 200_000
    digest, stream = SHA256.of(data), zstd.compress(data)
    path = f"/cas/{digest.hash}"
    size = str(digest.size_bytes)
    with Client(server) as client:
        for headers in (
            {"Content-Encoding": "zstd"},
            {"Content-Encoding": "zstd", "X-Digest-SizeBytes": "many"},
            {"Content-Encoding": "zstd", "X-Digest-SizeBytes": str(digest.size_bytes - 1)},
            {"Content-Encoding": "gzip", "X-Digest-SizeBytes": size},
        ):
            assert client.ask("PUT", path, stream, **headers)[0] == 400
        headers = {"Content-Encoding": "zstd", "X-Digest-SizeBytes": size}
        for wrong in (stream[:-1], stream + b"x", data, zstd.compress(data[:-1] + b"x"), b""):
            assert client.ask("PUT", path, wrong, **headers)[0] == 400
            assert client.ask("GET", path)[0] == 404
        assert client.ask("PUT", path, stream, **headers)[0] == 200
        assert client.ask("GET", path)[1] == data
        for accepted in ("zstd", "gzip, zstd;q=0.5", "ZSTD ; q=1.0"):
            status, body = client.ask("GET", path, None, **{"Accept-Encoding": accepted})
            assert (status, zstd.decompress(body)) == (200, data)
            assert len(body) < len(data) / 10
        for refused in ("gzip", "zstd;q=0", "zstd; q=0.0", "*", ""):
            assert client.ask("GET", path, None, **{"Accept-Encoding": refused}) == (200, data)
        empty = SHA256.empty_digest().hash
        assert zstd.decompress(client.ask("GET", f"/cas/{empty}", None, **{"Accept-Encoding": "zstd"})[1]) == b""
        assert client.ask("GET", f"/cas/{HASH}", None, **{"Accept-Encoding": "zstd"})[0] == 404
