# SPDX-License-Identifier: Apache-2.0
"""WIRE 3.5: ByteStream.Write and QueryWriteStatus, in one life of the server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from pytrace_cas.digest import SHA256
from pytrace_cas.services import Services
from pytrace_cas.services.byte_stream import LOOK_EVERY
from pytrace_cas.services.errors import InvalidRequest, UploadTakenOver
from pytrace_cas.services.resource_names import parse_upload
from pytrace_cas.services.uploads import KEPT_SECONDS, MOST_KEPT, Uploads
from pytrace_cas.store import DigestMismatch, OutOfSpace, ReadOnlyStore, Store
from pytrace_proto import bytestream_pb2 as bytestream
from tests.support import messages

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pytrace_cas.services.byte_stream import Upload

DATA = bytes(range(256)) * 100
Write = bytestream.WriteRequest


def send(services: Services, requests: Iterable[bytestream.WriteRequest]) -> int:
    """Write as a client does; return the committed size."""
    upload = services.byte_stream.write()
    try:
        for request in requests:
            if (response := upload.feed(request)) is not None:
                return response.committed_size
        return upload.finish().committed_size
    finally:
        upload.abandon()


def begin(services: Services, name: str, data: bytes, offset: int = 0) -> Upload:
    upload = services.byte_stream.write()
    assert upload.feed(Write(resource_name=name, data=data, write_offset=offset)) is None
    return upload


def status(services: Services, name: str) -> tuple[int, bool]:
    response = services.byte_stream.query_write_status(bytestream.QueryWriteStatusRequest(resource_name=name))
    return response.committed_size, response.complete


def stored(services: Services, data: bytes) -> bool:
    return services.store.contains(SHA256, SHA256.of(data))


@pytest.mark.parametrize("piece", [1, 7, 1000, 1 << 20])
@pytest.mark.parametrize("size", [1, 1000, 16_384, 16_385])
def test_rule_32_the_first_message_names_it(services: Services, size: int, piece: int) -> None:
    if piece == 1 and size > 1000:
        piece = 3
    name = messages.upload_name(DATA[:size])
    assert send(services, messages.write_requests(DATA[:size], name, piece=piece)) == size
    assert services.store.get(SHA256, SHA256.of(DATA[:size])) == DATA[:size]


def test_rule_32_later_names_are_empty_or_the_same(services: Services) -> None:
    name = messages.upload_name(DATA)
    upload = begin(services, name, DATA[:10])
    assert upload.feed(Write(resource_name=name, write_offset=10, data=DATA[10:20])) is None
    with pytest.raises(InvalidRequest):
        upload.feed(Write(resource_name=messages.upload_name(DATA), write_offset=20, data=DATA[20:30]))
    with pytest.raises(InvalidRequest):
        services.byte_stream.write().feed(Write(data=DATA))


def test_rule_32_a_stream_without_any_message_is_refused(services: Services) -> None:
    with pytest.raises(InvalidRequest):
        services.byte_stream.write().finish()


@pytest.mark.parametrize("offset", [1, 10, len(DATA), -1])
def test_rule_33_a_new_upload_begins_at_0(services: Services, offset: int) -> None:
    with pytest.raises(InvalidRequest):
        begin(services, messages.upload_name(DATA), b"x", offset)


@pytest.mark.parametrize("offset", [0, 9, 11, -1])
def test_rule_33_later_offsets_follow_the_bytes(services: Services, offset: int) -> None:
    upload = begin(services, messages.upload_name(DATA), DATA[:10])
    with pytest.raises(InvalidRequest):
        upload.feed(Write(write_offset=offset, data=DATA[10:20]))


def test_rule_33_a_broken_upload_goes_on_where_it_stands(services: Services) -> None:
    name = messages.upload_name(DATA)
    begin(services, name, DATA[:1000]).abandon()
    assert status(services, name) == (1000, False)
    for wrong in (999, 1001):
        with pytest.raises(InvalidRequest):
            begin(services, name, b"x", wrong)
    assert send(services, messages.write_requests(DATA, name, offset=1000)) == len(DATA)
    assert stored(services, DATA)


def test_rule_33_a_client_that_never_asks_may_begin_again(services: Services) -> None:
    name = messages.upload_name(DATA)
    begin(services, name, DATA[:1000]).abandon()
    assert send(services, messages.write_requests(DATA, name, piece=300)) == len(DATA)
    assert stored(services, DATA)


def test_rule_35_empty_messages_are_allowed_anywhere(services: Services) -> None:
    name = messages.upload_name(DATA)
    upload = begin(services, name, b"")
    upload.feed(Write(data=DATA[:10]))
    upload.feed(Write(write_offset=10))
    upload.feed(Write(write_offset=10, data=DATA[10:]))
    upload.feed(Write(write_offset=len(DATA), finish_write=True))
    assert upload.finish().committed_size == len(DATA)
    assert stored(services, DATA)


def test_rule_35_nothing_follows_the_end(services: Services) -> None:
    name = messages.upload_name(DATA)
    upload = services.byte_stream.write()
    upload.feed(Write(resource_name=name, data=DATA, finish_write=True))
    with pytest.raises(InvalidRequest):
        upload.feed(Write(write_offset=len(DATA), data=b"x"))


def test_rule_35_a_stream_that_is_not_finished_is_kept_and_not_seen(services: Services) -> None:
    name = messages.upload_name(DATA)
    assert send(services, messages.write_requests(DATA, name, finish=False)) == len(DATA)
    assert not stored(services, DATA)
    assert status(services, name) == (len(DATA), False)
    assert send(services, messages.write_requests(DATA, name, offset=len(DATA))) == len(DATA)
    assert status(services, name) == (len(DATA), True)


def test_rule_36_too_much_too_little_and_wrong_bytes(services: Services) -> None:
    for data in (DATA + b"x", DATA[:-1], DATA[:-1] + b"x"):
        name = messages.upload_name(DATA)
        with pytest.raises((InvalidRequest, DigestMismatch)):
            send(services, messages.write_requests(data, name, piece=1000))
        assert not stored(services, DATA)
        assert status(services, name) == (0, False)
        assert send(services, messages.write_requests(DATA, name, piece=1000)) == len(DATA)
        services.store.evict(down_to=0)


def test_rule_37_what_is_here_is_acknowledged_at_once(services: Services) -> None:
    send(services, messages.write_requests(DATA, messages.upload_name(DATA)))
    first = Write(resource_name=messages.upload_name(DATA), data=b"whatever")
    assert services.byte_stream.write().feed(first) == bytestream.WriteResponse(committed_size=len(DATA))


def test_rule_37_what_comes_by_another_way_ends_the_upload(services: Services) -> None:
    data = bytes(3 * LOOK_EVERY)
    name = messages.upload_name(data)
    upload = begin(services, name, data[:LOOK_EVERY])
    services.store.put(SHA256, data)
    response = upload.feed(Write(write_offset=LOOK_EVERY, data=b"x"))
    assert response == bytestream.WriteResponse(committed_size=len(data))
    assert status(services, name) == (len(data), True)


def test_rule_38_many_clients_bring_one_blob(services: Services) -> None:
    data = DATA * 40
    names = [messages.upload_name(data) for _ in range(4)]

    def bring(number: int) -> int:
        # Every second one uses a name that another stream writes under at the same time.
        name = names[number // 2]
        return send(services, messages.write_requests(data, name, piece=10_000))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(bring, range(8))) == [len(data)] * 8
    assert services.store.get(SHA256, SHA256.of(data)) == data


def test_rule_38_a_failing_upload_does_not_damage_another(services: Services) -> None:
    name, other = messages.upload_name(DATA), messages.upload_name(DATA)
    good = begin(services, name, DATA[:5000])
    for bad_name in (name, other):
        with pytest.raises(DigestMismatch):
            send(services, messages.write_requests(DATA[:-1] + b"x", bad_name))
    good.feed(Write(write_offset=5000, data=DATA[5000:], finish_write=True))
    assert good.finish().committed_size == len(DATA)


def test_rule_13_one_uuid_may_name_several_uploads(services: Services) -> None:
    other = DATA[:5000]
    uuid = "6fa459ea-ee8a-4ca4-894e-db77e160355e"
    one = begin(services, f"uploads/{uuid}/blobs/{SHA256.of(DATA)}", DATA[:10])
    two = begin(services, f"uploads/{uuid}/blobs/{SHA256.of(other)}", other[:20])
    one.feed(Write(write_offset=10, data=DATA[10:], finish_write=True))
    two.feed(Write(write_offset=20, data=other[20:], finish_write=True))
    assert stored(services, DATA)
    assert stored(services, other)


def test_rule_39_status_never_goes_back_and_tells_the_end(services: Services) -> None:
    name = messages.upload_name(DATA)
    assert status(services, name) == (0, False)
    upload, seen = services.byte_stream.write(), []
    for request in messages.write_requests(DATA, name, piece=1000, finish=False):
        upload.feed(request)
        seen.append(status(services, name))
    assert seen == [(min(len(DATA), 1000 * count), False) for count in range(1, len(seen) + 1)]
    upload.feed(Write(write_offset=len(DATA), finish_write=True))
    assert status(services, name) == (len(DATA), True)


def test_rule_40_another_stream_may_take_over_in_one_life(services: Services) -> None:
    name = messages.upload_name(DATA)
    old = begin(services, name, DATA[:1000])
    new = begin(services, name, DATA[1000:2000], 1000)
    with pytest.raises(UploadTakenOver):
        old.feed(Write(write_offset=1000, data=DATA[1000:]))
    old.abandon()
    new.feed(Write(write_offset=2000, data=DATA[2000:], finish_write=True))
    assert stored(services, DATA)


def test_rule_40_abandoned_uploads_expire(store: Store) -> None:
    now = 0.0
    uploads = Uploads(store, clock=lambda: now)
    names = [messages.upload_name(b"%d" % number) for number in range(MOST_KEPT + 2)]
    for name in names:
        owner = object()
        partial = uploads.take(name, parse_upload(name), 0, owner)
        partial.write(owner, b"?")
        uploads.leave(partial, owner)
        now += 1
    uploads.take(messages.upload_name(DATA), parse_upload(messages.upload_name(DATA)), 0, object())
    assert [uploads.committed(name) for name in (names[0], names[1], names[2], names[-1])] == [0, 0, 1, 1]
    now += KEPT_SECONDS
    uploads.take(messages.upload_name(DATA), parse_upload(messages.upload_name(DATA)), 0, object())
    assert uploads.committed(names[-1]) == 0
    uploads.close()


def test_rule_41_no_space_and_no_rights(tmp_path: Path, reading: Services) -> None:
    with pytest.raises(ReadOnlyStore):
        begin(reading, messages.upload_name(DATA), b"x")
    with (
        Store.open(bytes(tmp_path / "tiny"), max_size=1000) as store,
        Services(store) as services,
        pytest.raises(OutOfSpace),
    ):
        send(services, messages.write_requests(DATA, messages.upload_name(DATA)))
