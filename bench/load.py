# SPDX-License-Identifier: Apache-2.0
"""The load on a server, made in processes of its own; requests and answers stay bytes, so that it costs little."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
import uuid
from typing import TYPE_CHECKING

import attrs
import grpc

from pytrace_cas.allocation import keep_freed_memory
from pytrace_cas.compression import deflate
from pytrace_proto import bytestream_pb2 as bytestream
from pytrace_proto import remote_execution_pb2 as reapi

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

REAPI = "/build.bazel.remote.execution.v2"
GET_RESULT = f"{REAPI}.ActionCache/GetActionResult"
FIND_MISSING = f"{REAPI}.ContentAddressableStorage/FindMissingBlobs"
READ = "/google.bytestream.ByteStream/Read"
WRITE = "/google.bytestream.ByteStream/Write"
BATCH_READ = f"{REAPI}.ContentAddressableStorage/BatchReadBlobs"
BATCH_UPDATE = f"{REAPI}.ContentAddressableStorage/BatchUpdateBlobs"
CHUNK = 1 << 20
BATCHED = 4 << 10


class UnknownUrl(Exception):
    """The URL is none of a gRPC server; the message says what is."""


class WrongAnswer(Exception):
    """A server answered a timed call otherwise than it must."""

    def __init__(self, method: str, answer: str) -> None:
        self.method = method
        self.answer = answer
        super().__init__(method, answer)  # so that it can come from another process

    def __str__(self) -> str:
        return f"{self.method} answered {self.answer}"


@attrs.frozen
class Load:
    """What each process does: `requests` in turn, over and over, for `seconds`, so many at once.

    `answer` is the gRPC status that they must get; `answer_bytes` what the data of a Read must come to. For a Write,
    `requests` are the names before `uploads/`, and each process sends `uploads` new blobs of `upload_bytes`; with
    `compressed`, as zstd, and what can be made of them. For a BatchUpdateBlobs, `requests` are instances, and `uploads`
    new batches come to `upload_bytes` each, in blobs of `BATCHED`. Bytes are those of blobs, however they travel.
    """

    method: str
    requests: tuple[bytes, ...]
    seconds: float
    at_once: int = 8
    answer: str = "OK"
    answer_bytes: int = 0
    uploads: int = 0
    upload_bytes: int = 0
    compressed: bool = False


@attrs.frozen
class Tally:
    """What a process did; `began` and `ended` are on the monotonic clock, which all processes share."""

    calls: int
    bytes: int
    began: float
    ended: float


def open_channel(url: str) -> tuple[str, grpc.ChannelCredentials | None]:
    """Split a URL into gRPC's target and credentials. Raises `UnknownUrl`."""
    scheme, _, rest = url.partition("://")
    if scheme == "grpcs" and rest:
        return rest, grpc.ssl_channel_credentials()
    if scheme == "grpc" and rest:
        return rest, None
    if url.startswith("unix:"):
        return url, None
    raise UnknownUrl(f"{url}: write grpc://HOST:PORT, grpcs://HOST:PORT or unix:PATH")


def play(url: str, load: Load, start: float) -> Tally:
    """Load a server from `start` on; to be called in a process of its own. Raises `WrongAnswer`."""
    keep_freed_memory()  # what loads should not be what is measured
    return asyncio.run(_play(url, load, start))


async def _play(url: str, load: Load, start: float) -> Tally:
    target, credentials = open_channel(url)
    opened = grpc.aio.secure_channel(target, credentials) if credentials else grpc.aio.insecure_channel(target)
    async with opened as channel:
        await channel.channel_ready()
        work = _work(channel, load)
        await asyncio.sleep(max(0.0, start - time.monotonic()))
        began = time.monotonic()
        end = began + load.seconds
        done = await asyncio.gather(*(_loop(work, end) for _ in range(load.at_once)), return_exceptions=True)
        # Only now that none is under way: gRPC does not bear a loop that is closed over calls.
        for one in done:
            if isinstance(one, BaseException):
                raise one
        counts = [one for one in done if not isinstance(one, BaseException)]
        return Tally(sum(calls for calls, _ in counts), sum(size for _, size in counts), began, time.monotonic())


async def _loop(work: Iterator[Callable[[], Awaitable[int]]], end: float) -> tuple[int, int]:
    """Take calls, one after another, until the time or the work is over; count calls and bytes."""
    calls = size = 0
    for call in work:
        size += await call()
        calls += 1
        if time.monotonic() >= end:
            break
    return calls, size


def _work(channel: grpc.aio.Channel, load: Load) -> Iterator[Callable[[], Awaitable[int]]]:
    """Give the calls, for all loops of a process together. What a Write sends is made before anything is timed."""
    if load.method == WRITE:
        prefix = load.requests[0].decode()
        ready = [_upload(prefix, load) for _ in range(load.uploads)]
        return iter([lambda messages=one: _write(channel, messages, load.upload_bytes) for one in ready])
    if load.method == BATCH_UPDATE:
        instance = load.requests[0].decode()
        batches = [_batch(instance, load.upload_bytes) for _ in range(load.uploads)]
        return iter([lambda request=one: _update(channel, load, request) for one in batches])
    one = _read if load.method == READ else _ask
    return _in_turn(lambda request: lambda: one(channel, load, request), load.requests)


def _in_turn(
    make: Callable[[bytes], Callable[[], Awaitable[int]]], requests: tuple[bytes, ...]
) -> Iterator[Callable[[], Awaitable[int]]]:
    while True:
        for request in requests:
            yield make(request)


def _as_is(message: bytes) -> bytes:
    return message


async def _ask(channel: grpc.aio.Channel, load: Load, request: bytes) -> int:
    answer = await _answer(channel, load, request)
    if len(answer) < load.answer_bytes:
        raise WrongAnswer(load.method, f"{len(answer)} of {load.answer_bytes} bytes")
    return load.answer_bytes


async def _answer(channel: grpc.aio.Channel, load: Load, request: bytes) -> bytes:
    try:
        method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(load.method, _as_is, _as_is)
        answer = await method(request)
        code = "OK"
    except grpc.aio.AioRpcError as error:
        answer, code = b"", error.code().name
    if code != load.answer:
        raise WrongAnswer(load.method, code)
    return answer


def _batch(instance: str, size: int) -> bytes:
    """A request that stores new blobs."""
    request = reapi.BatchUpdateBlobsRequest(instance_name=instance)
    for _ in range(size // BATCHED):
        data = os.urandom(BATCHED)
        digest = reapi.Digest(hash=hashlib.sha256(data).hexdigest(), size_bytes=len(data))
        request.requests.add(digest=digest, data=data)
    return request.SerializeToString()


async def _update(channel: grpc.aio.Channel, load: Load, request: bytes) -> int:
    response = reapi.BatchUpdateBlobsResponse.FromString(await _answer(channel, load, request))
    refused = [one.status.message for one in response.responses if one.status.code]
    if refused:
        raise WrongAnswer(load.method, refused[0])
    return load.upload_bytes


async def _read(channel: grpc.aio.Channel, load: Load, request: bytes) -> int:
    size = 0
    method: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(READ, _as_is, _as_is)
    try:
        async for answer in method(request):
            size += len(answer)
    except grpc.aio.AioRpcError as error:
        raise WrongAnswer(READ, error.code().name) from None
    if size < (1 if load.compressed else load.answer_bytes):
        raise WrongAnswer(READ, f"{size} of {load.answer_bytes} bytes")
    return load.answer_bytes


def compressible(size: int) -> bytes:
    """New bytes that zstd makes about half of, as it does of programs."""
    words = [os.urandom(8) for _ in range(2048)]
    picks = os.urandom(size // 4 + 2)
    return b"".join(words[picks[at] << 3 | picks[at + 1] >> 5] for at in range(0, size // 4, 2))[:size].ljust(size)


def _upload(prefix: str, load: Load) -> list[bytes]:
    """The messages that write a new blob."""
    size = load.upload_bytes
    blob = compressible(size) if load.compressed else os.urandom(size)
    kind = "compressed-blobs/zstd" if load.compressed else "blobs"
    name = f"{prefix}uploads/{uuid.uuid4()}/{kind}/{hashlib.sha256(blob).hexdigest()}/{size}"
    sent = deflate(blob) if load.compressed else blob
    return [
        bytestream.WriteRequest(
            resource_name="" if start else name,
            write_offset=start,
            data=sent[start : start + CHUNK],
            finish_write=start + CHUNK >= len(sent),
        ).SerializeToString()
        for start in range(0, len(sent), CHUNK)
    ]


async def _write(channel: grpc.aio.Channel, messages: list[bytes], size: int) -> int:
    method: grpc.aio.StreamUnaryMultiCallable[bytes, bytes] = channel.stream_unary(WRITE, _as_is, _as_is)
    try:
        await method(iter(messages))
    except grpc.aio.AioRpcError as error:
        raise WrongAnswer(WRITE, error.code().name) from None
    return size
