# SPDX-License-Identifier: Apache-2.0
"""Our server with a real cache behind it: our own over gRPC and HTTP, and a bucket of S3."""

from __future__ import annotations

import os
import shutil
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import attrs
import grpc
import pytest
import urllib3

from pytrace_cas.digest import BLAKE3, SHA256, Digest
from pytrace_cas.store import BlobNotFound, Store
from pytrace_cas.upstream import Location, Upstream, tiered
from pytrace_proto import remote_execution_pb2 as reapi
from tests.support import messages
from tests.support.server import RunningServer, running_server, start_server
from tests.support.upstreams import Bucket, Client, eventually, metric, pushed, s3_bucket, status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KINDS = ("grpc", "http", "s3")


@attrs.frozen
class Behind:
    """A cache to stand behind a server, and the URL that leads there."""

    url: str
    server: RunningServer | None = None
    bucket: Bucket | None = None


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    """One S3 server for all tests of the module."""
    with s3_bucket() as bucket:
        yield bucket


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One server of ours that stands behind the others."""
    with running_server(tmp_path_factory.mktemp("far") / "store") as server:
        yield server


@pytest.fixture(params=KINDS)
def behind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Behind:
    """Each kind of cache in turn."""
    if request.param == "s3":
        bucket: Bucket = request.getfixturevalue("bucket")
        for name, value in bucket.environment.items():
            monkeypatch.setenv(name, value)
        return Behind(bucket.url, bucket=bucket)
    far: RunningServer = request.getfixturevalue("far")
    return Behind(far.grpc_url if request.param == "grpc" else f"{far.http_url}/some/prefix", server=far)


@contextmanager
def in_front(folder: Path, url: str, *options: str) -> Iterator[tuple[RunningServer, Client]]:
    """Run a server over a store in that folder with an upstream, and a client of it."""
    with running_server(folder, "--upstream", url, *options) as server, Client(server) as client:
        yield server, client


def test_cold_then_warm_from_an_empty_store(tmp_path: Path, behind: Behind) -> None:
    small, large, action = os.urandom(5_000), os.urandom(9 << 20), os.urandom(40)
    with in_front(tmp_path / "a", behind.url) as (server, client):
        assert client.missing(small, large) == [small, large]
        assert client.result(action) is None
        client.put(small, large, action)
        stored = client.put_result(action, {"small": small, "large": large})
        client.put_result(action, {"small": small}, instance="team/one %")
        pushed(server)
    with in_front(tmp_path / "b", behind.url) as (server, client):
        assert client.missing(small, large, action) == []
        assert client.result(action) == stored
        assert client.result(action, instance="team/one %") is not None
        assert client.result(action, instance="team") is None
        assert client.read(large) == large
        assert client.read(small) == small
        before = metric(server, "pytrace_cas_upstream_requests_total")
        # Everything is here now: the tier is asked no more.
        assert client.result(action) == stored
        assert client.read(large) == large
        assert client.missing(small, large) == []
        assert metric(server, "pytrace_cas_upstream_requests_total") == before
        assert metric(server, "pytrace_cas_upstream_bytes_total", direction="read") == len(small) + len(large)
        assert status(server)["queue_entries"] == 0


@pytest.mark.parametrize(
    "behind", ["grpc", *(pytest.param(kind, marks=pytest.mark.soak) for kind in KINDS[1:])], indirect=True
)
def test_http_clients_find_by_hash(tmp_path: Path, behind: Behind) -> None:
    action, out = os.urandom(40), os.urandom(200_000)
    message = messages.result_of({"out": out}).SerializeToString()
    with in_front(tmp_path / "a", behind.url) as (server, _):
        for path, body in ((f"cas/{SHA256.of(out).hash}", out), (f"ac/{SHA256.of(action).hash}", message)):
            assert urllib3.request("PUT", f"{server.http_url}/{path}", body=body).status == 200
        pushed(server)
    with in_front(tmp_path / "b", behind.url) as (server, _):
        found = urllib3.request("GET", f"{server.http_url}/ac/{SHA256.of(action).hash}")
        assert (found.status, found.data) == (200, message)
        found = urllib3.request("GET", f"{server.http_url}/cas/{SHA256.of(out).hash}")
        assert (found.status, found.data) == (200, out)
        assert urllib3.request("GET", f"{server.http_url}/cas/{SHA256.of(action).hash}").status == 404


def test_trees_come_from_upstream(tmp_path: Path, far: RunningServer) -> None:
    inner, action = os.urandom(300), os.urandom(40)
    node = reapi.FileNode(name="inner", digest=messages.digest(inner))
    tree = reapi.Tree(root=reapi.Directory(files=[node])).SerializeToString()
    directory = reapi.OutputDirectory(path="d", tree_digest=messages.digest(tree))
    result = reapi.ActionResult(output_directories=[directory])
    with in_front(tmp_path / "a", far.grpc_url) as (server, client):
        client.put(inner, tree)
        client.results.UpdateActionResult(messages.put_result_request(action, result))
        pushed(server)
    with in_front(tmp_path / "b", far.grpc_url) as (server, client):
        assert client.result(action) == result
        assert client.read(inner) == inner


def test_a_result_is_stored_though_its_blobs_are_upstream_only(tmp_path: Path, far: RunningServer) -> None:
    out, action = os.urandom(3_000), os.urandom(40)
    with in_front(tmp_path / "a", far.grpc_url) as (server, client):
        client.put(out)
        pushed(server)
    with in_front(tmp_path / "b", far.grpc_url) as (_, client):
        assert client.missing(out) == []
        client.put_result(action, {"out": out})
    with Store.open(bytes(tmp_path / "b")) as store:  # what was acknowledged is here, whole
        assert store.get_action_result(SHA256, "", SHA256.of(action)) is not None
        assert store.get(SHA256, SHA256.of(out)) == out


def test_read_only_writes_nothing(tmp_path: Path, far: RunningServer) -> None:
    blob = os.urandom(500)
    with in_front(tmp_path / "a", far.grpc_url, "--upstream-read-only") as (server, client):
        client.put(blob)
        assert status(server) | {"tier": ""} == {"tier": "", "breaker": "closed", "read_only": True, "queue_entries": 0}
    with Client(far) as client:
        assert client.missing(blob) == [blob]


def test_killed_before_writing_back(tmp_path: Path, far: RunningServer) -> None:
    """Acknowledged while nothing can be written upstream, then `kill -9`, then a start with the tier there."""
    blobs, action = [os.urandom(2_000) for _ in range(20)], os.urandom(40)
    server = start_server(tmp_path / "a", "--upstream", "grpc://127.0.0.1:1", "--upstream-timeout", "1s")
    with Client(server) as client:
        client.put(*blobs)
        client.put_result(action, {str(number): blob for number, blob in enumerate(blobs)})
        assert status(server)["queue_entries"] == len(blobs) + 1
    server.kill()
    assert server.process.stdout is not None
    server.process.stdout.close()
    with in_front(tmp_path / "a", far.grpc_url) as (server, client):
        pushed(server)
    with in_front(tmp_path / "b", far.grpc_url) as (_, client):
        assert client.missing(*blobs) == []
        assert client.result(action) is not None


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_blake3_goes_where_it_can(tmp_path: Path, far: RunningServer, protocol: str) -> None:
    blob = os.urandom(700)
    request = messages.update_request(blob)
    request.digest_function = reapi.DigestFunction.BLAKE3
    request.requests[0].digest.CopyFrom(messages.digest(blob, BLAKE3))
    with in_front(tmp_path / "a", far.grpc_url if protocol == "grpc" else far.http_url) as (server, client):
        client.cas.BatchUpdateBlobs(request)
        pushed(server)
        dropped = metric(server, "pytrace_cas_upstream_dropped_total", reason="unserved")
    assert dropped == (0 if protocol == "grpc" else 1)
    with Client(far) as client:
        answer = client.cas.FindMissingBlobs(messages.missing_request(blob, function=BLAKE3))
        assert len(answer.missing_blob_digests) == dropped


def test_objects_lie_where_they_are_said_to(tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    blob, action = os.urandom(100), os.urandom(40)
    with in_front(tmp_path / "a", bucket.url) as (server, client):
        client.put(blob)
        client.put_result(action, {"out": blob}, instance="team")
        pushed(server)
    key = SHA256.of(action)
    assert {
        f"below/here/cas/sha256/{SHA256.of(blob).hash}",
        f"below/here/ac/team/sha256/{key.hash}-{key.size_bytes}",
    } <= set(bucket.keys())
    # Somebody overwrites the blob: what comes is not what its name says.
    bucket.put(f"below/here/cas/sha256/{SHA256.of(blob).hash}", blob[::-1])
    with in_front(tmp_path / "b", bucket.url) as (server, client):
        assert client.read_code(blob) == grpc.StatusCode.NOT_FOUND
        assert metric(server, "pytrace_cas_upstream_requests_total", method="read", status="mismatch") == 1
        assert client.missing(blob) == [blob]
        assert client.result(action, "team") is None
        client.put(blob)
        pushed(server)
    with in_front(tmp_path / "c", bucket.url) as (_, client):
        assert client.read(blob) == blob
        assert client.result(action, "team") is not None


def test_what_vanished_upstream_is_a_miss_and_can_be_sent_again(tmp_path: Path) -> None:
    blob, action = os.urandom(50_000), os.urandom(40)
    with ExitStack() as stack:
        far = stack.enter_context(running_server(tmp_path / "far"))
        server, client = stack.enter_context(in_front(tmp_path / "a", far.grpc_url))
        client.put(blob)
        stored = client.put_result(action, {"out": blob})
        pushed(server)
        near, reader = stack.enter_context(in_front(tmp_path / "b", far.grpc_url))
        assert reader.result(action) == stored
        assert reader.missing(blob) == []
        (path,) = [found for found in (tmp_path / "far" / "cas").rglob("*") if found.is_file()]
        path.unlink()
        assert reader.read_code(blob) == grpc.StatusCode.NOT_FOUND
        assert reader.missing(blob) == [blob]
        assert reader.result(action) is None
        reader.put(blob)
        assert reader.put_result(action, {"out": blob}) == stored
        pushed(near)
        with in_front(tmp_path / "c", far.grpc_url) as (_, last):
            assert last.result(action) == stored
            assert last.read(blob) == blob


def test_many_readers_fetch_once(tmp_path: Path, far: RunningServer) -> None:
    blob = os.urandom(3 << 20)
    with in_front(tmp_path / "a", far.grpc_url) as (server, client):
        client.put(blob)
        pushed(server)
    with in_front(tmp_path / "b", far.grpc_url) as (server, client):
        seen: list[bool] = []
        readers = [threading.Thread(target=lambda: seen.append(client.read(blob) == blob)) for _ in range(24)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        assert seen == [True] * 24
        assert metric(server, "pytrace_cas_upstream_requests_total", method="read") == 1


def test_upstream_gone_in_the_middle_of_a_read(tmp_path: Path) -> None:
    """It is killed while the blob comes: a miss, and nothing of it here; then it is back, and so is the blob."""
    blob = os.urandom(48 << 20)
    shutil.rmtree(tmp_path / "far", ignore_errors=True)
    far = start_server(tmp_path / "far")
    with Client(far) as client:
        client.put(blob)
    with in_front(tmp_path / "b", far.grpc_url) as (server, client):
        codes: list[grpc.StatusCode] = []
        reader = threading.Thread(target=lambda: codes.append(client.read_code(blob)))
        reader.start()
        eventually(lambda: metric(server, "pytrace_cas_upstream_bytes_total", direction="read") > 0)
        far.kill()
        reader.join()
        assert far.process.stdout is not None
        far.process.stdout.close()
        # It may have been quicker than the kill; never is a part of the blob taken for the whole.
        assert codes in ([grpc.StatusCode.NOT_FOUND], [grpc.StatusCode.OK])
        assert (client.read_code(blob) == grpc.StatusCode.OK) == (codes == [grpc.StatusCode.OK])
        assert not list((tmp_path / "b" / "tmp").iterdir())
        with running_server(tmp_path / "far", "--grpc-address", far.grpc):
            eventually(lambda: client.read_code(blob) == grpc.StatusCode.OK)


def test_two_processes_over_one_store(tmp_path: Path, far: RunningServer) -> None:
    """One of them writes back, for both; when it is killed, the other does."""
    first, second, third = (os.urandom(800) for _ in range(3))
    with (
        in_front(tmp_path / "a", far.grpc_url) as (one, client),
        in_front(tmp_path / "a", far.grpc_url) as (two, other),
        Client(far) as there,
    ):
        client.put(first)
        other.put(second)
        pushed(one)
        pushed(two)
        assert there.missing(first, second) == []
        one.kill()
        other.put(third)
        pushed(two)
        assert there.missing(third) == []


@pytest.mark.soak
def test_memory_does_not_grow_with_a_blob(tmp_path: Path, behind: Behind) -> None:
    blob = os.urandom(1 << 20) * 400
    with in_front(tmp_path / "a", behind.url) as (server, client):
        before = server.peak_memory()
        client.put(blob)
        pushed(server)
        assert server.peak_memory() - before < 100 << 20
    with in_front(tmp_path / "b", behind.url) as (server, client):
        before = server.peak_memory()
        assert client.read(blob) == blob
        assert server.peak_memory() - before < 100 << 20


def test_what_is_not_behind_evicts_nothing(tmp_path: Path, behind: Behind) -> None:
    """Whoever may read can name a large blob: room is made for one that is there, and is as large as that."""
    kept, other, limit = os.urandom(20_000), os.urandom(20_001), 1 << 20
    with (
        Store.open(bytes(tmp_path / "store"), max_size=limit) as store,
        tiered(store, Upstream(Location.parse(behind.url), timeout=10)) as together,
    ):
        together.put(SHA256, other)
        eventually(lambda: together.status()["queue_entries"] == 0)
        store.evict(down_to=0)
        store.put(SHA256, kept)
        for hash in (SHA256.of(other).hash, "ab" * 32):
            with pytest.raises(BlobNotFound):
                together.open_blob(SHA256, Digest(hash, limit - 4096))
        assert store.contains(SHA256, SHA256.of(kept))
        assert together.get(SHA256, SHA256.of(other)) == other
