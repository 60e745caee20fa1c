# SPDX-License-Identifier: Apache-2.0
"""ByteStream.Read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc

from pytrace_cas.conform.cache import Blob
from pytrace_cas.conform.checks.digests import INVALID
from pytrace_cas.conform.checks.find_missing import overfill
from pytrace_cas.conform.compression import decompress
from pytrace_cas.conform.registry import expect, rule
from pytrace_cas.conform.wire import Code
from pytrace_proto import bytestream_pb2 as bytestream

if TYPE_CHECKING:
    from pytrace_cas.conform.cache import Cache

LARGEST_MESSAGE = 4 << 20
OUT_OF_RANGE = (Code.OUT_OF_RANGE,)


def _request(name: str, offset: int = 0, limit: int = 0) -> bytestream.ReadRequest:
    return bytestream.ReadRequest(resource_name=name, read_offset=offset, read_limit=limit)


@rule("42")
def offsets(cache: Cache) -> str:
    """Read a missing blob, from within, from the end and from beyond."""
    cache.refused((Code.NOT_FOUND,), "a missing blob", "Read", _request(cache.read_name(cache.fresh())))
    blob = cache.stored()
    name = cache.read_name(blob)
    expect(cache.read(name, 40) == blob.data[40:], "other bytes from offset 40", "blob[40:]")
    expect(cache.read(name, 100) == b"", "bytes from the end on", "none, and OK")
    cache.refused(OUT_OF_RANGE, "an offset beyond the end", "Read", _request(name, 101))
    code = cache.refused((*OUT_OF_RANGE, *INVALID), "a negative offset", "Read", _request(name, -1))
    return f"NOT_FOUND; OUT_OF_RANGE beyond the end; a negative offset: {code}"


@rule("43")
def limits(cache: Cache) -> str:
    """Read with limits."""
    blob = cache.stored()
    name = cache.read_name(blob)
    for offset, limit, wanted in ((0, 10, 10), (95, 10, 5), (0, 1000, 100), (20, 30, 30)):
        data = cache.read(name, offset, limit)
        right = blob.data[offset : offset + limit]
        expect(data == right, f"{len(data)} bytes from {offset} with read_limit {limit}", f"the {wanted} that are due")
    large = cache.read(cache.read_name(cache.large), 1 << 20, 1000)
    expect(large == cache.large.data[1 << 20 : (1 << 20) + 1000], f"{len(large)} bytes of a large blob", "1000")
    code = cache.refused((*INVALID, *OUT_OF_RANGE), "read_limit -1", "Read", _request(name, 0, -1))
    return f"what is sent ends at the limit, and OK; a negative one: {code}"


@rule("44")
def compressed(cache: Cache) -> str:
    """Read compressed from an offset, and with a limit."""
    cache.need_zstd()
    blob = cache.large
    name = cache.named(f"compressed-blobs/zstd/{blob.segments}")
    for offset in (0, 1, (1 << 20) + 3, len(blob.data) - 1, len(blob.data)):
        rest = blob.data[offset:]
        expect(decompress(cache.read(name, offset), len(rest)) == rest, f"other bytes from {offset}", "blob[offset:]")
    cache.refused(INVALID, "read_limit", "Read", _request(name, 0, 10))
    return "any offset of the blob; INVALID_ARGUMENT with read_limit"


@rule("45")
def messages(cache: Cache) -> str:
    """Look at the sizes of a large blob's messages; read on while it is evicted."""
    blob = cache.large
    answers = cache.wire.stream("Read", _request(cache.read_name(blob)))
    largest = max(answer.ByteSize() for answer in answers)
    expect(b"".join(answer.data for answer in answers) == blob.data, "other bytes", "the blob")
    expect(largest < LARGEST_MESSAGE, f"a message of {largest} bytes", "less than 4 MiB")
    told = f"messages of up to {largest} bytes"
    if not cache.overfill:
        return f"{told}; whether a read survives eviction takes evictions (--overfill SIZE)"
    return f"{told}; {_read_while_evicted(cache)}"


def _read_while_evicted(cache: Cache) -> str:
    blob = cache.fresh(16 << 20)
    cache.upload(blob)
    call = cache.wire.begin("Read", _request(cache.read_name(blob)))
    try:
        data = next(call).data
        # What asks for it touches it; so another one of its age is looked for.
        others = [cache.fresh() for _ in range(max(1, cache.overfill >> 20))]
        cache.put_all(others)
        sent = overfill(cache, lambda step: not cache.has(others[step]))
        data += b"".join(message.data for message in call)
    except grpc.RpcError as error:
        raise cache.wire.failure("Read", error) from None
    finally:
        call.cancel()
    expect(data == blob.data, f"{len(data)} other bytes after {sent} bytes came", "the blob")
    return f"a read that began before {sent} bytes came, and pushed others out, ends well"


@rule("46")
def compressed_empty(cache: Cache) -> str:
    """Read the empty blob compressed."""
    cache.need_zstd()
    empty = Blob.of(b"", cache.function)
    data = cache.read(cache.named(f"compressed-blobs/zstd/{empty.segments}"))
    expect(decompress(data, 0) == b"", "bytes", "none")
    return f"{len(data)} bytes that decode to none"
