# SPDX-License-Identifier: Apache-2.0
"""The messages of one ByteStream.Write, for whoever uploads. Imports protobuf: no hit comes here."""

from __future__ import annotations

from pytrace_proto import bytestream_pb2 as bytestream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PIECE = 1 << 20  # bytes in one message


def write_requests(name: str, chunks: Iterable[bytes], size: int) -> Iterator[bytestream.WriteRequest]:
    """Send `size` bytes; the first message alone has the name, the last alone ends it.

    So an upload whose chunks break off is never complete.
    """
    offset = 0
    for data in _pieces(chunks):
        end = offset + len(data) == size
        yield bytestream.WriteRequest(resource_name=name, write_offset=offset, data=data, finish_write=end)
        offset += len(data)
        name = ""


def compressed_write_requests(name: str, chunks: Iterable[bytes]) -> Iterator[bytestream.WriteRequest]:
    """Send a compressed stream, whose size nobody knows before its end; its blob's digest says whether it is whole."""
    offset = 0
    for data in _pieces(chunks):
        yield bytestream.WriteRequest(resource_name=name, write_offset=offset, data=data)
        offset += len(data)
        name = ""
    yield bytestream.WriteRequest(resource_name=name, write_offset=offset, finish_write=True)


def _pieces(chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        for start in range(0, len(chunk), PIECE):
            yield chunk[start : start + PIECE]
