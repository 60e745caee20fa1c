# SPDX-License-Identifier: Apache-2.0
"""WIRE 3.3 and 3.4: FindMissingBlobs, BatchUpdateBlobs, BatchReadBlobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytrace_cas.services import Services
from pytrace_cas.services.errors import InvalidRequest
from pytrace_cas.store import ReadOnlyStore, Store
from pytrace_proto import bytestream_pb2 as bytestream
from pytrace_proto import remote_execution_pb2 as reapi
from tests.support import messages

if TYPE_CHECKING:
    from pathlib import Path

OK, INVALID, NOT_FOUND, EXHAUSTED = 0, 3, 5, 8


def missing(services: Services, *blobs: bytes) -> set[str]:
    response = services.content_addressable_storage.find_missing(messages.missing_request(*blobs))
    return {digest.hash for digest in response.missing_blob_digests}


def hashes(*blobs: bytes) -> set[str]:
    return {messages.digest(blob).hash for blob in blobs}


def put(services: Services, *blobs: bytes) -> list[int]:
    response = services.content_addressable_storage.batch_update(messages.update_request(*blobs))
    return [entry.status.code for entry in response.responses]


def test_rule_22_names_what_is_missing_and_nothing_else(services: Services) -> None:
    put(services, b"a", b"b")
    assert missing(services, b"a", b"x", b"b", b"y", b"x") == hashes(b"x", b"y")
    assert missing(services) == set()


def test_rule_23_asking_keeps_a_blob_alive(tmp_path: Path) -> None:
    with (
        Store.open(bytes(tmp_path / "small"), max_size=200 * (10_000 + 256)) as store,
        Services(store) as services,
    ):
        blobs = [bytes([number]) * 10_000 for number in range(150)]
        put(services, *blobs[:2])
        for blob in blobs[2:]:
            put(services, blob)
        assert missing(services, blobs[0]) == set()
        for number in range(150):
            put(services, b"more%d" % number + bytes(10_000))
        store.evict()
        assert missing(services, blobs[0]) == set()
        assert missing(services, blobs[1]) == hashes(blobs[1])


def test_rule_24_large_lists_work_and_leave_nothing_behind(services: Services) -> None:
    digests = [reapi.Digest(hash=f"{number:064x}", size_bytes=1 + number) for number in range(100_000)]
    request = reapi.FindMissingBlobsRequest(blob_digests=digests)
    for _ in range(2):
        response = services.content_addressable_storage.find_missing(request)
        assert len(response.missing_blob_digests) == len(digests)


def test_rule_24_a_blob_under_upload_is_missing(services: Services) -> None:
    data = b"half" * 100
    upload = services.byte_stream.write()
    upload.feed(bytestream.WriteRequest(resource_name=messages.upload_name(data), data=data[:200]))
    assert missing(services, data) == hashes(data)
    upload.feed(bytestream.WriteRequest(write_offset=200, data=data[200:], finish_write=True))
    assert missing(services, data) == set()


def test_rule_26_one_answer_for_each_request_in_order(services: Services) -> None:
    request = messages.update_request(b"good", b"bad", b"also good")
    request.requests[1].data = b"BAD"
    request.requests.add(digest=reapi.Digest(hash="nonsense", size_bytes=1), data=b"x")
    response = services.content_addressable_storage.batch_update(request)
    assert [entry.status.code for entry in response.responses] == [OK, INVALID, OK, INVALID]
    assert [entry.digest for entry in response.responses] == [entry.digest for entry in request.requests]
    assert missing(services, b"good", b"also good") == set()


@pytest.mark.parametrize("data", [b"other", b"longer than said", b""])
def test_rule_27_bytes_that_are_not_the_digests_are_not_stored(services: Services, data: bytes) -> None:
    request = messages.update_request(b"right")
    request.requests[0].data = data
    response = services.content_addressable_storage.batch_update(request)
    assert response.responses[0].status.code == INVALID
    assert missing(services, b"right") == hashes(b"right")
    if data:
        assert missing(services, data) == hashes(data)


def test_rule_27_no_space_is_said_for_each_blob(tmp_path: Path) -> None:
    with Store.open(bytes(tmp_path / "tiny"), max_size=1000) as store, Services(store) as services:
        assert put(services, b"x" * 5000, b"y" * 6000) == [EXHAUSTED, EXHAUSTED]


def test_rule_28_compressors_that_are_not_offered_are_refused_one_by_one(services: Services) -> None:
    request = messages.update_request(b"plain", b"compressed")
    request.requests[1].compressor = reapi.Compressor.BROTLI
    response = services.content_addressable_storage.batch_update(request)
    assert [entry.status.code for entry in response.responses] == [OK, INVALID]


def test_rule_29_reads_what_is_there_and_says_what_is_not(services: Services) -> None:
    put(services, b"here")
    request = messages.read_request(b"here", b"gone", b"")
    request.acceptable_compressors.append(reapi.Compressor.ZSTD)
    request.digests.add(hash="nonsense", size_bytes=3)
    response = services.content_addressable_storage.batch_read(request)
    found = [(entry.status.code, entry.data, entry.compressor) for entry in response.responses]
    assert found == [(OK, b"here", 0), (NOT_FOUND, b"", 0), (OK, b"", 0), (INVALID, b"", 0)]
    assert [entry.digest for entry in response.responses] == list(request.digests)
    assert all(entry.HasField("status") for entry in response.responses)


def test_rules_25_and_30_the_limit_counts_missing_blobs_too(services: Services) -> None:
    large = reapi.Digest(hash="ab" * 32, size_bytes=5 << 20)
    with pytest.raises(InvalidRequest):
        services.content_addressable_storage.batch_read(reapi.BatchReadBlobsRequest(digests=[large]))
    with pytest.raises(InvalidRequest):
        put(services, b"x" * (5 << 20))


def test_rule_31_again_and_twice_and_none_at_all(services: Services) -> None:
    assert put(services, b"same", b"same") == [OK, OK]
    assert put(services, b"same") == [OK]
    assert put(services) == []
    assert not services.content_addressable_storage.batch_read(messages.read_request()).responses


def test_rule_31_a_bad_twin_does_not_spoil_a_good_one(services: Services) -> None:
    request = messages.update_request(b"twin", b"twin")
    request.requests[0].data = b"evil"
    response = services.content_addressable_storage.batch_update(request)
    assert [entry.status.code for entry in response.responses] == [INVALID, OK]
    assert missing(services, b"twin") == set()


def test_rule_41_who_may_only_read_is_told_so(reading: Services) -> None:
    with pytest.raises(ReadOnlyStore):
        put(reading, b"x")
