# SPDX-License-Identifier: Apache-2.0
"""The server's memory does not grow with the size of a blob."""

from __future__ import annotations

import hashlib
import http.client
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest

from pytrace_proto import bytestream_pb2 as bytestream
from pytrace_proto import bytestream_pb2_grpc
from pytrace_proto import remote_execution_pb2 as reapi
from pytrace_proto.remote_execution_pb2_grpc import ContentAddressableStorageStub
from tests.support.server import running_server

if TYPE_CHECKING:
    from collections.abc import Iterator

PIECE = bytes(1 << 20)
# What it may need more than before the first blob, whatever the blob's size.
ROOM = 96 << 20


def most_memory(pid: int) -> int:
    """The most bytes that a process ever had in memory (proc(5), `status`)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:"))


@pytest.mark.parametrize("size", [192 << 20, pytest.param(1 << 30, marks=pytest.mark.soak)])
def test_a_large_blob_takes_no_more_memory_than_a_small_one(tmp_path: Path, size: int) -> None:
    pieces = size // len(PIECE)
    hash = hashlib.sha256()
    for _ in range(pieces):
        hash.update(PIECE)
    digest, name = hash.hexdigest(), f"uploads/{uuid.uuid4()}/blobs/{hash.hexdigest()}/{size}"

    def requests() -> Iterator[bytestream.WriteRequest]:
        for number in range(pieces):
            yield bytestream.WriteRequest(
                resource_name=name, write_offset=number << 20, data=PIECE, finish_write=number == pieces - 1
            )

    with running_server(tmp_path / "s") as server:
        with grpc.insecure_channel(server.grpc) as channel:
            stream = bytestream_pb2_grpc.ByteStreamStub(channel)
            before = most_memory(server.process.pid)
            assert stream.Write(requests()).committed_size == size
            request = bytestream.ReadRequest(resource_name=f"blobs/{digest}/{size}")
            assert sum(len(answer.data) for answer in stream.Read(request)) == size
            # A client that would have chunks as large as the blob kept.
            parts = [(size - 20_000, bytes(size - 20_000)), (20_000, bytes(20_000))]
            chunks = [reapi.Digest(hash=hashlib.sha256(data).hexdigest(), size_bytes=count) for count, data in parts]
            cas, whole = ContentAddressableStorageStub(channel), reapi.Digest(hash=digest, size_bytes=size)
            cas.SpliceBlob(reapi.SpliceBlobRequest(blob_digest=whole, chunk_digests=chunks))
            assert list(cas.SplitBlob(reapi.SplitBlobRequest(blob_digest=whole)).chunk_digests) == chunks
        client = http.client.HTTPConnection(server.http_url.removeprefix("http://"))
        client.request("GET", f"/cas/{digest}")
        with client.getresponse() as answer:
            assert sum(len(piece) for piece in iter(lambda: answer.read(1 << 20), b"")) == size
        headers = {"Content-Length": str(size)}
        client.request("PUT", f"/cas/{digest}", (PIECE for _ in range(pieces)), headers)
        with client.getresponse() as done:
            assert done.status == 200
        client.close()
        assert size / 1.5 > ROOM
        assert most_memory(server.process.pid) - before < ROOM
