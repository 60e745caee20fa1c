# SPDX-License-Identifier: Apache-2.0
"""WIRE 40: uploads go on after the server was killed, or at another one over the same store."""

from __future__ import annotations

import os
import queue
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import grpc
import pytest

from pytrace_cas.digest import SHA256
from pytrace_cas.store import Store
from pytrace_cas.store.pieces import LARGE, PIECE
from pytrace_proto import bytestream_pb2 as bytestream
from pytrace_proto import bytestream_pb2_grpc
from tests.support import messages
from tests.support.server import running_server, start_server
from tests.support.upstreams import metric
from tests.support.zstd import zstd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.server import RunningServer

DATA = os.urandom(LARGE - 500_000)
HTTP = ("--http-address", "none")


def committed(target: str, name: str) -> tuple[int, bool]:
    """Ask a server how far an upload is."""
    with grpc.insecure_channel(target) as channel:
        stub = bytestream_pb2_grpc.ByteStreamStub(channel)
        answer = stub.QueryWriteStatus(bytestream.QueryWriteStatusRequest(resource_name=name))
        return answer.committed_size, answer.complete


def bring_rest(target: str, name: str, data: bytes, offset: int) -> int:
    """Go on with an upload."""
    with grpc.insecure_channel(target) as channel:
        stub = bytestream_pb2_grpc.ByteStreamStub(channel)
        return stub.Write(messages.write_requests(data, name, offset=offset)).committed_size


@contextmanager
def half_open(target: str, name: str, data: bytes) -> Iterator[None]:
    """Send some of an upload and leave the stream open; it ends as the server or the block does."""
    sent: queue.SimpleQueue[bytestream.WriteRequest | None] = queue.SimpleQueue()
    for request in messages.write_requests(data, name, piece=100_000, finish=False):
        sent.put(request)
    with grpc.insecure_channel(target) as channel:
        stub = bytestream_pb2_grpc.ByteStreamStub(channel)

        def write() -> None:
            with suppress(grpc.RpcError):
                stub.Write(iter(sent.get, None))

        thread = threading.Thread(target=write)
        thread.start()
        try:
            yield
        finally:
            sent.put(None)
            thread.join()


def wait_for(target: str, name: str, size: int) -> None:
    """Wait until a server has committed that much."""
    deadline = time.monotonic() + 30
    while committed(target, name)[0] < size:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def kill(server: RunningServer) -> None:
    server.kill()
    assert server.process.stdout is not None
    server.process.stdout.close()


@pytest.mark.parametrize("told", [200_000, 2_500_000, len(DATA)])
def test_killed_in_the_middle_it_goes_on_where_it_said(tmp_path: Path, told: int) -> None:
    name = messages.upload_name(DATA)
    server = start_server(tmp_path / "store", *HTTP)
    with half_open(server.grpc, name, DATA[:told]):
        wait_for(server.grpc, name, told)
        kill(server)
    with Store.open(bytes(tmp_path / "store")) as store:
        assert not store.contains(SHA256, SHA256.of(DATA))
        assert store.check(read_data=True).uploads == 1
    with running_server(tmp_path / "store", *HTTP) as again:
        assert committed(again.grpc, name) == (told, False)
        assert bring_rest(again.grpc, name, DATA, told) == len(DATA)
        assert committed(again.grpc, name) == (len(DATA), True)
    with Store.open(bytes(tmp_path / "store")) as store:
        assert store.get(SHA256, SHA256.of(DATA)) == DATA
        report = store.check(read_data=True)
        assert (report.problems, report.uploads, report.leftovers) == ((), 0, 0)
        with store._index.read() as db:
            assert db.execute("SELECT * FROM reservations").fetchall() == []


def test_of_a_large_upload_whole_pieces_survive_a_kill(tmp_path: Path) -> None:
    data = os.urandom(LARGE + 1)
    name = messages.upload_name(data)
    server = start_server(tmp_path / "store", *HTTP)
    with half_open(server.grpc, name, data[: 2 * PIECE + 700_000]):
        wait_for(server.grpc, name, 2 * PIECE)
        kill(server)
    with running_server(tmp_path / "store", *HTTP) as again:
        assert committed(again.grpc, name) == (2 * PIECE, False)
        assert bring_rest(again.grpc, name, data, 2 * PIECE) == len(data)
    with Store.open(bytes(tmp_path / "store")) as store:
        assert store.get(SHA256, SHA256.of(data)) == data
        assert store.check(read_data=True).problems == ()


def test_a_small_broken_upload_survives_a_kill(tmp_path: Path) -> None:
    data = DATA[:5000]
    name = messages.upload_name(data)
    server = start_server(tmp_path / "store", *HTTP)
    with grpc.insecure_channel(server.grpc) as channel:
        requests = messages.write_requests(data[:1000], name, finish=False)
        assert bytestream_pb2_grpc.ByteStreamStub(channel).Write(requests).committed_size == 1000
    kill(server)
    with running_server(tmp_path / "store", *HTTP) as again:
        assert committed(again.grpc, name) == (1000, False)
        assert bring_rest(again.grpc, name, data, 1000) == len(data)


def test_another_process_goes_on_while_the_first_still_waits(tmp_path: Path) -> None:
    """As workers do that share a port: the resumed write lands at one that never saw the upload."""
    name = messages.upload_name(DATA)
    with (
        running_server(tmp_path / "store", *HTTP) as one,
        running_server(tmp_path / "store", *HTTP) as two,
        half_open(one.grpc, name, DATA[:2_000_000]),
    ):
        wait_for(two.grpc, name, 2_000_000)
        assert bring_rest(two.grpc, name, DATA, 2_000_000) == len(DATA)
        assert committed(one.grpc, name) == (len(DATA), True)
    with Store.open(bytes(tmp_path / "store")) as store:
        assert store.get(SHA256, SHA256.of(DATA)) == DATA
        assert store.check(read_data=True).uploads == 0


def test_an_upload_in_two_streams_is_counted_once(tmp_path: Path) -> None:
    """By its blob's size, as compressed ones are, those too that were here."""
    text = b"the same again\n" * 10_000
    packed = zstd.compress(text)
    with running_server(tmp_path / "store") as server, grpc.insecure_channel(server.grpc) as channel:
        stub = bytestream_pb2_grpc.ByteStreamStub(channel)
        name = messages.upload_name(DATA)
        assert stub.Write(messages.write_requests(DATA[: 3 << 20], name, finish=False)).committed_size == 3 << 20
        assert stub.Write(messages.write_requests(DATA, name, offset=3 << 20)).committed_size == len(DATA)
        for _ in range(2):
            stub.Write(messages.write_requests(packed, messages.upload_name(text, blobs="compressed-blobs/zstd")))
        assert metric(server, "pytrace_cas_requests_total", method="put", kind="cas") == 3
        assert metric(server, "pytrace_cas_blob_bytes_count") == 3
        assert metric(server, "pytrace_cas_blob_bytes_sum") == len(DATA) + 2 * len(text)
