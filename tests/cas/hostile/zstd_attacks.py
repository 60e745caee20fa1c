# SPDX-License-Identifier: Apache-2.0
"""Hostile zstd: bombs, windows that are too large, streams that are none; in batches and in streams."""

from __future__ import annotations

import functools
import uuid
from typing import TYPE_CHECKING

import grpc

from pytrace_proto import bytestream_pb2 as bytestream
from pytrace_proto import remote_execution_pb2 as reapi
from tests.support import messages
from tests.support.zstd import zstd

if TYPE_CHECKING:
    from random import Random

    from tests.cas.hostile.grpc_attacks import Attack, Target

BOMB = 64 << 20
PIECE = 1 << 20
INVALID = "INVALID_ARGUMENT"


@functools.cache
def _bomb() -> bytes:
    """Zeros in one frame of a small window: a decoder has no reason to refuse it."""
    maker = zstd.ZstdCompressor(level=1)
    return b"".join(maker.compress(bytes(PIECE)) for _ in range(BOMB // PIECE)) + maker.flush()


@functools.cache
def _of_a_large_window() -> bytes:
    """Zeros in one frame that wants all of them in memory."""
    return zstd.compress(bytes(BOMB), level=1)


@functools.cache
def _of_nothing() -> bytes:
    return zstd.compress(b"") * 30_000


def bad_stream(chance: Random) -> bytes:
    """A stream that no blob of up to 5 MB has."""
    whole = zstd.compress(chance.randbytes(5000))
    return chance.choice(
        (
            _bomb(),
            _bomb() * chance.randrange(2, 50),
            _of_a_large_window(),
            _of_nothing(),
            whole[:-1],
            whole[:4] + chance.randbytes(200),
            whole + b"\x28\xb5\x2f\xfd",
            whole + chance.randbytes(20),
            b"\x50\x2a\x4d\x18\xff\xff\xff\xff" + whole,  # a frame to be skipped that is longer than what comes
            chance.randbytes(300),
        )
    )


def _in_a_batch(target: Target, chance: Random) -> object:
    """Refused for itself, with what stands beside it taken."""
    good = chance.randbytes(50)
    Request = reapi.BatchUpdateBlobsRequest.Request
    digest = reapi.Digest(hash=chance.randbytes(32).hex(), size_bytes=chance.choice((1, 100, 100_000)))
    bad = Request(digest=digest, data=bad_stream(chance), compressor=reapi.Compressor.ZSTD)
    requests = [bad, Request(digest=messages.digest(good), data=good)]
    answer = target.cas.BatchUpdateBlobs(reapi.BatchUpdateBlobsRequest(requests=requests), timeout=60)
    invalid = grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert [entry.status.code for entry in answer.responses] == [invalid, 0]
    return answer


def _in_a_stream(target: Target, chance: Random) -> object:
    """Said to be small, or now and then as large as it is, with another digest."""
    data, size = bad_stream(chance), chance.choice((1, 100, 100_000, 5_000_000))
    if not chance.randrange(8):
        data, size = _bomb(), BOMB
    name = f"uploads/{uuid.UUID(int=chance.getrandbits(128), version=4)}/compressed-blobs/zstd/"
    return target.write(messages.write_requests(data, f"{name}{chance.randbytes(32).hex()}/{size}"))


def _from_a_wrong_offset(target: Target, chance: Random) -> object:
    name = f"uploads/{uuid.UUID(int=chance.getrandbits(128), version=4)}/compressed-blobs/zstd/"
    request = bytestream.WriteRequest(
        resource_name=f"{name}{chance.randbytes(32).hex()}/1000",
        write_offset=chance.choice((-1, 1, 999, 1 << 62)),
        data=bad_stream(chance),
    )
    return target.write(iter([request]))


def _read(target: Target, chance: Random) -> object:
    """A compressed read has no limit, and no offset outside the blob."""
    fields = chance.choice(({"read_limit": 5}, {"read_limit": -5}, {"read_offset": -1}, {"read_offset": 1 << 40}))
    return target.read(messages.read_name(target.held, "compressed-blobs/zstd"), **fields)


ATTACKS: dict[Attack, frozenset[str]] = {
    _in_a_batch: frozenset({"OK"}),
    _in_a_stream: frozenset({INVALID}),
    _from_a_wrong_offset: frozenset({INVALID}),
    _read: frozenset({INVALID, "OUT_OF_RANGE"}),
}
