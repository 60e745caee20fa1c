# SPDX-License-Identifier: Apache-2.0
"""The two messages that carry large blobs, without the copies that protobuf makes of their bytes.

protobuf copies a bytes field when a message is read, made and written, and each time it is asked for: at a megabyte a
message that is most of what a stream costs. Messages of an unusual form are left to protobuf, which says what they are.
"""

from __future__ import annotations

import attrs

from pytrace_cas.reapi import read_varint, varint
from pytrace_proto import bytestream_pb2 as bytestream

# Keys (field number and wire type) of google.bytestream's messages.
_RESOURCE_NAME, _WRITE_OFFSET, _FINISH_WRITE, _WRITTEN = 0x0A, 0x10, 0x18, 0x52
_READ = b"\x52"


@attrs.frozen
class WritePiece:
    """What a `google.bytestream.WriteRequest` says; `data` may be a view of the message that it came in."""

    resource_name: str = ""
    write_offset: int = 0
    finish_write: bool = False
    data: bytes | memoryview = b""

    @classmethod
    def decode(cls, message: bytes) -> WritePiece:
        """Read a serialized message; raise protobuf's `DecodeError`."""
        try:
            return cls._read(message)
        except (_Unusual, IndexError, UnicodeDecodeError):
            request = bytestream.WriteRequest.FromString(message)
            return cls(request.resource_name, request.write_offset, request.finish_write, request.data)

    @classmethod
    def _read(cls, message: bytes) -> WritePiece:
        """Read a message whose fields come at most once and in their order, as every encoder writes them."""
        name, offset, finish, data = "", 0, False, memoryview(b"")
        at = last = 0
        while at < len(message):
            key = message[at]
            number, at = read_varint(message, at + 1)
            if key <= last:
                raise _Unusual
            last = key
            if key in (_RESOURCE_NAME, _WRITTEN):
                field = memoryview(message)[at : at + number]
                at += number
                if at > len(message):
                    raise _Unusual
                if key == _WRITTEN:
                    data = field
                else:
                    name = bytes(field).decode()
            elif key == _WRITE_OFFSET and number < 1 << 63:
                offset = number
            elif key == _FINISH_WRITE and number < 2:
                finish = bool(number)
            else:
                raise _Unusual
        return cls(name, offset, finish, data)


@attrs.frozen
class ReadPiece:
    """What a `google.bytestream.ReadResponse` says: bytes of a blob, some."""

    data: bytes

    def SerializeToString(self) -> bytes:
        """Write it as protobuf would."""
        return b"".join((_READ, varint(len(self.data)), self.data))


class _Unusual(Exception):
    """A message that no encoder writes in this way, though it may be right."""
