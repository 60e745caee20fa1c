# SPDX-License-Identifier: Apache-2.0
"""WIRE 28, 29, 34-38, 44, 46: blobs as zstd streams, in batches and in ByteStream."""

from __future__ import annotations

import os
import random
import struct
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytrace_cas.compression import FRAME, CorruptStream, Inflater
from pytrace_cas.digest import SHA256
from pytrace_cas.services.errors import EXPECTED, InvalidRequest, OffsetOutOfRange, grpc_code
from pytrace_cas.store import DigestMismatch, Store
from pytrace_proto import bytestream_pb2 as bytestream
from pytrace_proto import remote_execution_pb2 as reapi
from tests.support import messages
from tests.support.services import plain_store
from tests.support.zstd import zstd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytrace_cas.services import Services

ZSTD = "compressed-blobs/zstd"
INVALID = 3
Write = bytestream.WriteRequest
TEXT = b"".join(b"line %d of a text that shrinks\n" % number for number in range(100_000))
SKIPPABLE = struct.pack("<II", 0x184D2A50, 5) + b"a map"


@pytest.fixture(params=[False, True], ids=["plain at rest", "compressed at rest"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty store of either kind."""
    with Store.open(bytes(tmp_path / "store"), compress=request.param) as store:
        yield store


def write_messages(name: str, stream: bytes, piece: int, offset: int = 0, finish: bool = True) -> Iterator[Write]:
    """Send a compressed stream; the first offset counts the blob's bytes, the later ones what was sent."""
    for start in range(0, len(stream) or 1, piece):
        yield Write(
            resource_name="" if start else name,
            write_offset=offset + start,
            data=stream[start : start + piece],
            finish_write=finish and start + piece >= len(stream),
        )


def send(services: Services, requests: Iterator[Write]) -> int:
    upload = services.byte_stream.write()
    try:
        for request in requests:
            if (response := upload.feed(request)) is not None:
                return response.committed_size
        return upload.finish().committed_size
    finally:
        upload.abandon()


def write(services: Services, data: bytes, stream: bytes, piece: int = 1 << 20) -> int:
    return send(services, write_messages(messages.upload_name(data, blobs=ZSTD), stream, piece))


def committed(services: Services, name: str) -> tuple[int, bool]:
    answer = services.byte_stream.query_write_status(bytestream.QueryWriteStatusRequest(resource_name=name))
    return answer.committed_size, answer.complete


def read(services: Services, data: bytes, offset: int = 0, limit: int = 0) -> list[bytes]:
    request = bytestream.ReadRequest(resource_name=messages.read_name(data, ZSTD), read_offset=offset, read_limit=limit)
    with services.byte_stream.read(request) as download:
        return list(download)


def update(services: Services, *items: tuple[bytes, bytes]) -> list[int]:
    """Store blobs by a batch, each given with its stream; return the codes."""
    request = messages.update_request(*(data for data, _ in items))
    for entry, (_, stream) in zip(request.requests, items, strict=True):
        entry.compressor, entry.data = reapi.Compressor.ZSTD, stream
    response = services.content_addressable_storage.batch_update(request)
    return [entry.status.code for entry in response.responses]


def missing(services: Services, data: bytes) -> bool:
    return not services.store.contains(SHA256, SHA256.of(data))


@pytest.mark.parametrize("piece", [7, 1000, 1 << 20])
@pytest.mark.parametrize("data", [b"x", b"small" * 10, TEXT[:16_385], TEXT, os.urandom(70_000)])
def test_rule_34_what_comes_compressed_is_stored(services: Services, data: bytes, piece: int) -> None:
    stream = zstd.compress(data)
    if len(stream) // piece > 5000:
        piece = 100
    assert write(services, data, stream, piece) == len(stream)
    assert services.store.get(SHA256, SHA256.of(data)) == data


@pytest.mark.parametrize(
    "make",
    [
        lambda data: zstd.compress(data, level=19),
        lambda data: zstd.compress(data[:1000]) + zstd.compress(b"") + zstd.compress(data[1000:]),
        lambda data: SKIPPABLE + zstd.compress(data) + SKIPPABLE,
        lambda data: b"".join(zstd.compress(data[at : at + 5000]) for at in range(0, len(data), 5000)),
        lambda data: zstd.compress(data, options={zstd.CompressionParameter.content_size_flag: 0}),
        lambda data: zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1}),
    ],
    ids=["level 19", "three frames", "skippable", "many frames", "no size", "checksum"],
)
def test_rule_34_any_stream_of_the_format_will_do(services: Services, make: object) -> None:
    data = TEXT[:200_000]
    stream = make(data)  # type: ignore[operator]
    assert write(services, data, stream, 999) == len(stream)
    other = data + b"other"
    assert update(services, (other, make(other))) == [0]  # type: ignore[operator]
    assert services.store.get(SHA256, SHA256.of(other)) == other


def bomb(size: int) -> bytes:
    """Little that is much, and that does not say so at its beginning."""
    packer = zstd.ZstdCompressor(level=19)
    return packer.compress(bytes(size)) + packer.flush()


def with_dictionary(data: bytes) -> bytes:
    known = zstd.train_dict([os.urandom(50) + TEXT[at : at + 100] for at in range(0, 50_000, 100)], 4000)
    return zstd.compress(data, zstd_dict=known)


def with_window(data: bytes) -> bytes:
    """A frame whose decoder must keep 16 MiB; it does not say how large its content is."""
    packer = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 24})
    return packer.compress(data) + packer.flush()


GOOD = zstd.compress(TEXT, options={zstd.CompressionParameter.checksum_flag: 1})
BAD = {
    "not zstd": b"no stream at all" * 100,
    "trailing garbage": GOOD + b"garbage",
    "truncated": GOOD[: len(GOOD) // 2],
    "without its checksum": GOOD[:-4],
    "a truncated frame behind it": GOOD + zstd.compress(b"more")[:-2],
    "a flipped bit": GOOD[:5000] + bytes([GOOD[5000] ^ 1]) + GOOD[5001:],
    "nothing": b"",
    "another blob": zstd.compress(TEXT[:-1] + b"x"),
    "too short": zstd.compress(TEXT[:-1]),
    "too long": zstd.compress(TEXT + b"x"),
    "a dictionary": with_dictionary(TEXT),
    "a window of 16 MiB": with_window(TEXT),
    "endless empty frames": zstd.compress(b"") * 5000 + GOOD,
}


@pytest.mark.parametrize("stream", BAD.values(), ids=BAD.keys())
def test_rules_28_and_36_what_is_wrong_is_refused_and_leaves_nothing(services: Services, stream: bytes) -> None:
    name = messages.upload_name(TEXT, blobs=ZSTD)
    with pytest.raises(EXPECTED) as caught:
        send(services, write_messages(name, stream, 50_000))
    assert grpc_code(caught.value) == INVALID
    assert committed(services, name) == (0, False)
    assert update(services, (TEXT, stream), (b"fine", zstd.compress(b"fine"))) == [INVALID, 0]
    assert missing(services, TEXT)
    assert send(services, write_messages(name, GOOD, 50_000)) == len(GOOD)


def test_rule_28_bombs_stop_at_once(services: Services) -> None:
    """A gigabyte in 30 kilobytes, for a blob of a few bytes and for one of some megabytes."""
    stream = bomb(1 << 30)
    assert len(stream) < 40_000
    for data in (b"tiny", TEXT):
        tracemalloc.start()
        try:
            with pytest.raises(InvalidRequest):
                write(services, data, stream)
            assert update(services, (data, stream)) == [INVALID]
            assert tracemalloc.get_traced_memory()[1] < 4 * len(TEXT)
        finally:
            tracemalloc.stop()
        assert missing(services, data)


def test_rules_25_and_28_a_batch_counts_what_blobs_will_be(services: Services) -> None:
    large = bytes(5 << 20)
    with pytest.raises(InvalidRequest):
        update(services, (large, zstd.compress(large)))


@pytest.mark.parametrize("at", [1, 1000, FRAME, 2_000_000])
def test_rules_34_and_40_a_broken_stream_goes_on_with_a_new_one(services: Services, at: int) -> None:
    name = messages.upload_name(TEXT, blobs=ZSTD)
    first = zstd.compress(TEXT[:at])
    assert send(services, write_messages(name, first, 1 << 20, finish=False)) == at
    assert committed(services, name) == (at, False)
    with pytest.raises(InvalidRequest):
        send(services, write_messages(name, b"", 1, at + 1))
    rest = zstd.compress(TEXT[at:])
    assert send(services, write_messages(name, rest, 10_000, at)) == len(rest)
    assert committed(services, name) == (len(TEXT), True)
    assert services.store.get(SHA256, SHA256.of(TEXT)) == TEXT


def test_rule_34_later_offsets_follow_what_was_sent(services: Services) -> None:
    name = messages.upload_name(TEXT, blobs=ZSTD)
    upload = services.byte_stream.write()
    upload.feed(Write(resource_name=name, data=GOOD[:100]))
    with pytest.raises(InvalidRequest):
        upload.feed(Write(data=GOOD[100:], write_offset=99))


def test_rule_35_empty_messages_and_no_more_after_the_end(services: Services) -> None:
    upload = services.byte_stream.write()
    upload.feed(Write(resource_name=messages.upload_name(TEXT, blobs=ZSTD)))
    upload.feed(Write(data=GOOD))
    upload.feed(Write(write_offset=len(GOOD)))
    upload.feed(Write(write_offset=len(GOOD), finish_write=True))
    with pytest.raises(InvalidRequest):
        upload.feed(Write(write_offset=len(GOOD), data=b"x"))


def test_rule_37_what_is_here_is_minus_one(services: Services) -> None:
    services.store.put(SHA256, TEXT)
    first = Write(resource_name=messages.upload_name(TEXT, blobs=ZSTD), data=b"whatever")
    assert services.byte_stream.write().feed(first) == bytestream.WriteResponse(committed_size=-1)
    assert write(services, b"", b"") == -1


def test_rule_38_one_blob_in_all_forms_at_once(services: Services) -> None:
    data = random.Random(38).randbytes(100_000) + TEXT[:400_000]
    stream = zstd.compress(data)
    shared = messages.upload_name(data, blobs=ZSTD)

    def bring(number: int) -> bool:
        match number % 5:
            case 0:
                return write(services, data, stream, 20_000) in (len(stream), -1)
            case 1:
                requests = messages.write_requests(data, messages.upload_name(data), piece=20_000)
                return send(services, requests) == len(data)
            case 2:
                return update(services, (data, stream)) == [0]
            case 3:
                return send(services, write_messages(shared, stream, 10_000)) in (len(stream), -1)
        try:
            return write(services, data, zstd.compress(data[:-1] + b"?"), 20_000) == -1
        except DigestMismatch:
            return True

    with ThreadPoolExecutor(10) as pool:
        assert all(pool.map(bring, range(20)))
    assert services.store.get(SHA256, SHA256.of(data)) == data
    report = plain_store(services).check(read_data=True)
    assert (report.problems, report.uploads, report.leftovers) == ((), 0, 0)


@pytest.mark.parametrize("size", [0, 1, 1000, FRAME - 1, FRAME, FRAME + 1, len(TEXT)])
def test_rules_44_and_46_reads_decode_to_the_rest(services: Services, size: int) -> None:
    data = TEXT[:size]
    services.store.put(SHA256, data)
    for offset in {0, size // 2, max(0, size - 1), size, min(size, FRAME), min(size, FRAME + 1)}:
        stream = read(services, data, offset)
        assert zstd.decompress(b"".join(stream)) == data[offset:]
        assert max(map(len, stream)) < 4 << 20
    for offset in (-1, size + 1):
        with pytest.raises(OffsetOutOfRange):
            read(services, data, offset)
    for limit in (1, -1, size + 1):
        with pytest.raises(InvalidRequest):
            read(services, data, 0, limit)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_rule_44_any_offset(services: Services, draw: st.DataObject) -> None:
    services.store.put(SHA256, TEXT)
    offset = draw.draw(st.integers(0, len(TEXT)))
    assert zstd.decompress(b"".join(read(services, TEXT, offset))) == TEXT[offset:]


def test_rule_29_reads_are_compressed_for_who_accepts_it(services: Services) -> None:
    noise = os.urandom(5000)
    blobs = (b"tiny", TEXT[:100_000], noise, b"")
    services.content_addressable_storage.batch_update(messages.update_request(*blobs))
    request = messages.read_request(*blobs, b"gone")
    plain = services.content_addressable_storage.batch_read(request).responses
    assert [entry.data for entry in plain] == [*blobs, b""]
    request.acceptable_compressors.extend([reapi.Compressor.DEFLATE, reapi.Compressor.ZSTD])
    answers = services.content_addressable_storage.batch_read(request).responses
    assert [entry.compressor for entry in answers] == [0, reapi.Compressor.ZSTD, 0, 0, 0]
    assert zstd.decompress(answers[1].data) == blobs[1]
    assert [entry.status.code for entry in answers] == [0, 0, 0, 0, 5]
    request.acceptable_compressors[:] = [reapi.Compressor.DEFLATE]
    assert services.content_addressable_storage.batch_read(request).responses[1].compressor == 0


@given(st.binary(max_size=200))
def test_any_bytes_are_inflated_or_refused(data: bytes) -> None:
    inflater = Inflater()
    try:
        held = b"".join(inflater.feed(data))
    except CorruptStream:
        return
    if inflater.at_end and data:
        assert zstd.decompress(data) == held


@given(st.lists(st.binary(max_size=5000), min_size=1, max_size=5), st.integers(1, 300))
def test_frames_may_be_cut_anywhere(parts: list[bytes], piece: int) -> None:
    stream = b"".join(map(zstd.compress, parts))
    inflater = Inflater()
    held = [piece_of for at in range(0, len(stream), piece) for piece_of in inflater.feed(stream[at : at + piece])]
    assert b"".join(held) == b"".join(parts)
    assert inflater.at_end
