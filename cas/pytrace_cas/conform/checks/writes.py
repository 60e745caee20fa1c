# SPDX-License-Identifier: Apache-2.0
"""ByteStream.Write: what its messages may look like, and what becomes of wrong ones."""

from __future__ import annotations

import contextlib
import queue
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import grpc

from pytrace_cas.conform.cache import DENIED, Blob
from pytrace_cas.conform.checks.digests import INVALID
from pytrace_cas.conform.compression import compress
from pytrace_cas.conform.registry import Broken, NotOffered, expect, rule
from pytrace_cas.conform.wire import CallFailed, Code
from pytrace_proto import bytestream_pb2 as bytestream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytrace_cas.conform.cache import Cache

Write = bytestream.WriteRequest
SIZE = 1000
# Seconds in which an answer comes at once, if it does.
AT_ONCE = 3.0


@rule("32")
def names(cache: Cache) -> str:
    """Name an upload in no message, in all, and differently."""
    blob = cache.fresh(SIZE)
    cache.refused(INVALID, "no name at all", "Write", [Write(data=blob.data, finish_write=True)])
    name = cache.upload_name(blob)
    halves = [Write(resource_name=name, data=blob.data[:500]), Write(write_offset=500, data=blob.data[500:])]
    halves[1].finish_write = True
    halves[1].resource_name = cache.upload_name(cache.fresh())
    cache.refused(INVALID, "another name in the second message", "Write", halves)
    expect(not cache.has(blob), "stored under two names", "missing")
    halves[1].resource_name = name
    answer = cache.wire.write(halves)
    expect(answer.committed_size == SIZE, f"committed_size {answer.committed_size}", str(SIZE))
    return "INVALID_ARGUMENT without a name or with two; the same name in every message is taken"


@rule("33")
def offsets(cache: Cache) -> str:
    """Begin at wrong offsets, and leave gaps."""
    for what, first, second in (
        ("a new upload from 10", 10, 510),
        ("a negative offset", -1, 499),
        ("a gap", 0, 600),
        ("an overlap", 0, 400),
    ):
        blob = cache.fresh(SIZE)
        requests = [
            Write(resource_name=cache.upload_name(blob), write_offset=first, data=blob.data[:500]),
            Write(write_offset=second, data=blob.data[500:], finish_write=True),
        ]
        cache.refused(INVALID, what, "Write", requests)
        expect(not cache.has(blob), f"stored in spite of {what}", "missing")
    return "INVALID_ARGUMENT for a new upload from 10, a negative offset, a gap, an overlap"


@rule("34")
def compressed_offsets(cache: Cache) -> str:
    """Write compressed in two messages; begin at an offset."""
    cache.need_zstd()
    blob = cache.fresh(2 * SIZE)
    data = compress(blob.data)
    name = _compressed_name(cache, blob)
    half = len(data) // 2
    cache.wire.write(
        [
            Write(resource_name=name, data=data[:half]),
            Write(write_offset=half, data=data[half:], finish_write=True),
        ]
    )
    expect(cache.has(blob), "missing after a write in two messages", "stored")
    other = cache.fresh(2 * SIZE)
    begun = [Write(resource_name=_compressed_name(cache, other), write_offset=7, data=compress(other.data))]
    code = cache.refused(INVALID, "a new compressed upload from 7", "Write", begun)
    return f"compressed bytes are counted; from 7 of a new one: {code}"


def _compressed_name(cache: Cache, blob: Blob) -> str:
    return cache.named(f"uploads/{uuid.uuid4()}/compressed-blobs/zstd/{blob.segments}")


@rule("35")
def unfinished(cache: Cache) -> str:
    """Send empty messages, end without finishing, and go on after finishing."""
    blob = cache.fresh(SIZE)
    name = cache.upload_name(blob)
    empty = [Write(resource_name=name), *cache.pieces(blob, name, piece=500)]
    empty.insert(2, Write(write_offset=500))
    answer = cache.wire.write(empty)
    expect(answer.committed_size == SIZE, f"committed_size {answer.committed_size} with empty messages", str(SIZE))
    half = cache.fresh(SIZE)
    left = cache.wire.write([Write(resource_name=cache.upload_name(half), data=half.data[:500])])
    expect(not cache.has(half), "stored without finish_write", "missing")
    expect(left.committed_size <= 500, f"committed_size {left.committed_size} after 500 bytes", "at most 500")
    last = cache.fresh(SIZE)
    name = cache.upload_name(last)
    more = [Write(resource_name=name, data=last.data, finish_write=True), Write(write_offset=SIZE, data=b"more")]
    try:
        cache.wire.write(more)
    except CallFailed as error:
        expect(error.code is not Code.UNKNOWN, str(error), "an error with a code of its own")
        after = error.code.name
    else:
        after = "never read, the write had been answered"
    return f"empty messages are taken; {left.committed_size} of 500 bytes are kept; a message after the last: {after}"


@rule("36")
def wrong_content(cache: Cache) -> str:
    """Write too much, too little and other bytes; then the right ones under the same name."""
    blob = cache.fresh(SIZE)
    name = cache.upload_name(blob)
    wrong = {
        "too much": blob.data + b"more",
        "too little": blob.data[:-1],
        "other bytes": cache.fresh(SIZE).data,
    }
    codes = {}
    for what, data in wrong.items():
        allowed = (*INVALID, Code.OUT_OF_RANGE) if what == "too much" else INVALID
        request = [Write(resource_name=name, data=data, finish_write=True)]
        codes[what] = cache.refused(allowed, what, "Write", request)
        expect(not cache.has(blob), f"stored after {what}", "missing")
    cache.wire.write(cache.pieces(blob, name))
    expect(cache.has(blob), "missing after the right bytes came from 0", "stored")
    return f"{', '.join(f'{what}: {code}' for what, code in codes.items())}; a retry from 0 is taken"


@rule("37")
def already_there(cache: Cache) -> str:
    """Write a blob that is there, holding most of it back."""
    blob = cache.large
    requests: queue.Queue[bytestream.WriteRequest | None] = queue.Queue()
    requests.put(Write(resource_name=cache.upload_name(blob), data=blob.data[:100]))
    call = cache.wire.begin_write(iter(requests.get, None))
    try:
        answer = call.result(AT_ONCE)
        how = "at once"
    except grpc.FutureTimeoutError:
        for piece in cache.pieces(blob, offset=100):
            piece.resource_name = ""
            requests.put(piece)
        requests.put(None)
        answer = _result(cache, call)
        how = "when it had come again (drained)"
    except grpc.RpcError as error:
        raise cache.wire.failure("Write", error) from None
    finally:
        requests.put(None)
        call.cancel()
    size = answer.committed_size
    expect(size == blob.digest.size_bytes, f"committed_size {size}", str(blob.digest.size_bytes))
    return f"answered {how} with the full size{_compressed_again(cache)}"


def _result(cache: Cache, call: grpc.Future[bytestream.WriteResponse]) -> bytestream.WriteResponse:
    try:
        answer: bytestream.WriteResponse = call.result(cache.wire.timeout)
    except grpc.FutureTimeoutError:
        raise Broken(f"no answer in {cache.wire.timeout:.0f} s", "an answer") from None
    except grpc.RpcError as error:
        raise cache.wire.failure("Write", error) from None
    return answer


def _compressed_again(cache: Cache) -> str:
    try:
        cache.need_zstd()
    except NotOffered:
        return ""
    blob = cache.stored(SIZE)
    data = compress(blob.data)
    sizes = {-1: "-1", len(data): "the compressed bytes", SIZE: "the full size"}
    answer = cache.wire.write([Write(resource_name=_compressed_name(cache, blob), data=data, finish_write=True)])
    expect(answer.committed_size == -1, f"compressed: {sizes.get(answer.committed_size, answer)}", "-1")
    return ", -1 where it is compressed"


@rule("38")
def concurrent(cache: Cache) -> str:
    """Write one blob by several streams and batches at once, one of them wrongly."""
    blob = cache.fresh(1 << 20)
    wrong = Blob(cache.fresh(1 << 20).data, blob.digest, blob.function)

    def upload(number: int) -> str:
        try:
            if number == 0:
                cache.wire.write(cache.pieces(wrong))
                # The blob may have come before the wrong bytes were looked at.
                return ""
            if number == 1 and 0 < cache.batch_limit >= len(blob.data):
                return "" if not cache.batch_update(blob).responses[0].status.code else "a batch was refused"
            size = cache.wire.write(cache.pieces(blob, piece=10_000)).committed_size
            return "" if size == len(blob.data) else f"committed_size {size}"
        except CallFailed as error:
            return "" if number == 0 and error.code is Code.INVALID_ARGUMENT else str(error)

    with ThreadPoolExecutor(6) as pool:
        said = list(pool.map(upload, range(6)))
    expect(not any(said), "; ".join(filter(None, said)), "every sound upload succeeds")
    expect(cache.read(cache.read_name(blob)) == blob.data, "other bytes are read afterwards", "the blob")
    return "five sound uploads succeed beside a wrong one, and the blob is right"


def _status(cache: Cache, name: str) -> bytestream.QueryWriteStatusResponse:
    request = bytestream.QueryWriteStatusRequest(resource_name=name)
    try:
        answer: bytestream.QueryWriteStatusResponse = cache.wire.call("QueryWriteStatus", request)
    except CallFailed as error:
        if error.code is Code.UNIMPLEMENTED:
            raise NotOffered("QueryWriteStatus is UNIMPLEMENTED, as with some caches") from None
        raise
    return answer


@rule("39")
def write_status(cache: Cache) -> str:
    """Ask how far an upload is: before, half-way and at its end."""
    blob = cache.fresh(SIZE)
    name = cache.upload_name(blob)
    try:
        answer = _status(cache, name)
        expect(answer.committed_size == 0 and not answer.complete, "an unknown upload has bytes", "none")
        unknown = "0, not complete"
    except CallFailed as error:
        expect(error.code is Code.NOT_FOUND, str(error), "NOT_FOUND, or 0 and not complete")
        unknown = "NOT_FOUND"
    written = cache.wire.write([Write(resource_name=name, data=blob.data[:500])]).committed_size
    half = _status(cache, name)
    expect(not half.complete, "complete after half", "not complete")
    expect(half.committed_size >= written, f"{half.committed_size} after {written} were committed", "not fewer")
    cache.wire.write(cache.pieces(blob, name, offset=half.committed_size))
    end = _status(cache, name)
    told = f"{end.committed_size}, {'complete' if end.complete else 'not complete'}"
    expect(end.complete and end.committed_size == SIZE, f"at the end {told}", f"{SIZE}, complete")
    return f"unknown: {unknown}; half-way {half.committed_size}; at the end {told}"


@rule("40")
def resuming(cache: Cache) -> str:
    """Break a write off in the middle, and go on where the cache says."""
    blob = cache.fresh(2 << 20)
    name = cache.upload_name(blob)
    try:
        _status(cache, name)
    except CallFailed as error:
        expect(error.code is Code.NOT_FOUND, str(error), "NOT_FOUND, or 0")
    _break_off(cache, blob, name)
    committed = _status(cache, name).committed_size
    expect(0 <= committed <= 1 << 20, f"committed_size {committed} of {1 << 20} sent", "at most what was sent")
    cache.wire.write(cache.pieces(blob, name, offset=committed))
    expect(cache.read(cache.read_name(blob)) == blob.data, "other bytes after resuming", "the blob")
    return f"{committed} of {1 << 20} bytes were kept, and the rest was taken"


def _break_off(cache: Cache, blob: Blob, name: str) -> None:
    """Send the first half, and cancel when it must have come."""
    sent: queue.Queue[bool] = queue.Queue()
    hold: queue.Queue[bool] = queue.Queue()

    def requests() -> Iterator[bytestream.WriteRequest]:
        yield from cache.pieces(blob, name, end=1 << 20)
        # It is asked for the next message once the last one was taken by the transport.
        sent.put(True)
        hold.get(timeout=cache.wire.timeout)

    call = cache.wire.begin_write(requests())
    try:
        sent.get(timeout=cache.wire.timeout)
        with contextlib.suppress(grpc.FutureTimeoutError, grpc.RpcError):
            call.result(0.5)
    except queue.Empty:
        raise Broken(f"{1 << 20} bytes were not taken in {cache.wire.timeout:.0f} s", "taken") from None
    finally:
        call.cancel()
        hold.put(True)


@rule("41")
def refusals(cache: Cache) -> str:
    """Begin what has no room anywhere, and write as somebody who may only read."""
    huge = cache.fresh()
    huge.digest.size_bytes = 1 << 62
    try:
        with cache.begun(huge, b"begin", AT_ONCE) as answer:
            expect(answer is None, f"a blob of 2^62 bytes: {answer}", "RESOURCE_EXHAUSTED")
        room = "begun, as if there were room"
    except CallFailed as error:
        allowed = (Code.RESOURCE_EXHAUSTED, *(INVALID if cache.offered.max_cas_blob_size_bytes else ()))
        expect(error.code in allowed, f"a blob of 2^62 bytes: {error}", "RESOURCE_EXHAUSTED")
        room = error.code.name
    told = f"a blob of 2^62 bytes: {room}"
    if cache.reader is None:
        return f"{told}; one caller only (--read-only-header tells another)"
    try:
        cache.reader.write(cache.pieces(cache.fresh()))
    except CallFailed as error:
        expect(error.code in DENIED, str(error), "PERMISSION_DENIED or UNAUTHENTICATED")
        return f"{told}; who may only read: {error.code.name}"
    raise Broken("a write of somebody who may only read is OK", "PERMISSION_DENIED")
