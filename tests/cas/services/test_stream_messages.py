# SPDX-License-Identifier: Apache-2.0
"""The messages of streams, held against protobuf's own reading and writing of them."""

from __future__ import annotations

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from pytrace_cas.services.stream_messages import ReadPiece, WritePiece
from pytrace_proto import bytestream_pb2 as bytestream

PIECES = st.fixed_dictionaries(
    {},
    optional={
        "resource_name": st.text(),
        "write_offset": st.integers(-(1 << 63), (1 << 63) - 1),
        "finish_write": st.booleans(),
        "data": st.binary(max_size=300),
    },
)


def said(piece: WritePiece | bytestream.WriteRequest) -> tuple[object, ...]:
    return piece.resource_name, piece.write_offset, piece.finish_write, bytes(piece.data)


@given(PIECES)
def test_what_protobuf_writes_is_read_alike(fields: dict[str, object]) -> None:
    request = bytestream.WriteRequest(**fields)  # type: ignore[arg-type]
    assert said(WritePiece.decode(request.SerializeToString())) == said(request)


@given(PIECES, PIECES, st.binary(max_size=20))
def test_any_bytes_are_read_as_protobuf_reads_them(
    first: dict[str, object], second: dict[str, object], rest: bytes
) -> None:
    parts = [bytestream.WriteRequest(**one).SerializeToString() for one in (first, second)]  # type: ignore[arg-type]
    for message in (rest, parts[0] + parts[1], parts[0] + rest, (parts[0] + parts[1])[:-1]):
        try:
            request = bytestream.WriteRequest.FromString(message)
        except DecodeError:
            with pytest.raises(DecodeError):
                WritePiece.decode(message)
        else:
            assert said(WritePiece.decode(message)) == said(request)


def test_the_bytes_of_a_large_message_are_not_copied() -> None:
    message = bytestream.WriteRequest(resource_name="n", data=b"x" * 1000).SerializeToString()
    data = WritePiece.decode(message).data
    assert isinstance(data, memoryview)
    assert data.obj is message


@given(st.binary(min_size=1, max_size=20_000))
def test_what_is_written_is_what_protobuf_writes(data: bytes) -> None:
    assert ReadPiece(data).SerializeToString() == bytestream.ReadResponse(data=data).SerializeToString()
