# SPDX-License-Identifier: Apache-2.0
"""buildbox-casd with chunking, in front of a server: asked by its own protocol for local files."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import grpc

from pytrace_proto import bytestream_pb2 as bytestream
from pytrace_proto import remote_execution_pb2 as reapi
from tests.support import foreign_servers, messages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

INSTANCE = "chunked"
_LOCAL_CAS = "/build.buildgrid.LocalContentAddressableStorage/"


class Casd:
    """One that runs in front of a server, with a cache of its own; asked by its own protocol for local files."""

    def __init__(self, url: str) -> None:
        self._target = url

    def capture(self, file: Path) -> None:
        """Store a file here and at the server."""
        self._ask("CaptureFiles", _field(1, INSTANCE.encode()) + _field(2, bytes(file)))

    def fetch(self, data: bytes) -> None:
        """Bring a blob here from the server."""
        digest = messages.digest(data).SerializeToString()
        self._ask("FetchMissingBlobs", _field(1, INSTANCE.encode()) + _field(2, digest))

    def read(self, data: bytes) -> bytes:
        """The bytes under the digest of some."""
        digest = messages.digest(data)
        name = f"{INSTANCE}/blobs/{digest.hash}/{digest.size_bytes}"
        with grpc.insecure_channel(self._target) as channel:
            call = channel.unary_stream(
                "/google.bytestream.ByteStream/Read",
                request_serializer=bytestream.ReadRequest.SerializeToString,
                response_deserializer=bytestream.ReadResponse.FromString,
            )
            return b"".join(part.data for part in call(bytestream.ReadRequest(resource_name=name)))

    def _ask(self, method: str, request: bytes) -> None:
        """Call one of its own methods."""
        with grpc.insecure_channel(self._target) as channel:
            ask = channel.unary_unary(_LOCAL_CAS + method, request_serializer=bytes, response_deserializer=bytes)
            answer = ask(request)
        # What a fetch could not bring is told with digest and status in fields 1 and 2, as an upload in a batch is.
        if method == "FetchMissingBlobs":
            assert not reapi.BatchUpdateBlobsResponse.FromString(answer).responses


def _field(number: int, value: bytes) -> bytes:
    """A field of a protobuf message that holds a string or a message, of up to 127 bytes or up to 16383."""
    size = len(value)
    return bytes([number << 3 | 2, *([size] if size < 128 else [size & 127 | 128, size >> 7])]) + value


@contextmanager
def running_casd(folder: Path, remote: str) -> Iterator[Casd]:
    """Run one with an empty cache in a folder, whose name must be short, and stop it in the end."""
    options = (f"--remote={remote}", f"--proxy-instance={INSTANCE}", f"--enable-chunking-for-instance={INSTANCE}")
    with foreign_servers.running_casd(folder, *options) as url:
        yield Casd(url)
