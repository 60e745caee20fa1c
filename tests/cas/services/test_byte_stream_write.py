# SPDX-License-Identifier: Apache-2.0
"""WIRE 3.5: ByteStream.Write and QueryWriteStatus, over several servers of one store too."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from pytrace_cas.digest import SHA256
from pytrace_cas.services import Services
from pytrace_cas.services.byte_stream import LOOK_EVERY
from pytrace_cas.services.errors import InvalidRequest
from pytrace_cas.store import DigestMismatch, OutOfSpace, ReadOnlyStore, Store, UploadTakenOver
from pytrace_cas.store.reservations import drop_abandoned
from pytrace_cas.store.staging import files_in, sweep
from pytrace_cas.store.uploads import MOST_KEPT
from pytrace_proto import bytestream_pb2 as bytestream
from tests.support import messages
from tests.support.services import plain_store

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


def test_rule_40_another_server_goes_on(services: Services, tmp_path: Path) -> None:
    """A resumed write may land at another worker, over the same store: the bytes and the hash are there."""
    for data in (DATA, DATA[:5000]):
        name = messages.upload_name(data)
        begin(services, name, data[:1000]).abandon()
        with Store.open(bytes(tmp_path / "store")) as same, Services(same) as other:
            assert status(other, name) == (1000, False)
            assert send(other, messages.write_requests(data, name, offset=1000)) == len(data)
        assert stored(services, data)
        assert plain_store(services).check(read_data=True).uploads == 0


def test_rule_40_another_server_takes_a_stream_over(services: Services, tmp_path: Path) -> None:
    """The old stream, whose end nobody has noticed, neither writes nor commits any more."""
    name = messages.upload_name(DATA)
    old, stuck = begin(services, name, DATA[:1000]), begin(services, name, DATA)
    with Store.open(bytes(tmp_path / "store")) as same, Services(same) as other:
        new = begin(other, name, DATA[1000:2000], 1000)
        with pytest.raises(UploadTakenOver):
            old.feed(Write(write_offset=1000, data=DATA[1000:], finish_write=True))
        stuck.abandon()
        assert status(services, name) == (2000, False)
        new.feed(Write(write_offset=2000, data=DATA[2000:], finish_write=True))
    assert stored(services, DATA)
    assert _reservations(services) == []


def _reservations(services: Services) -> list[tuple[str, int]]:
    with plain_store(services)._index.read() as db:
        return db.execute("SELECT file, charge FROM reservations").fetchall()


def test_rule_40_a_takeover_after_all_bytes_have_come(services: Services) -> None:
    """The old stream's end comes after another one owns the upload: it must not publish the other's file."""
    name = messages.upload_name(DATA)
    old = begin(services, name, DATA)
    new = begin(services, name, b"", len(DATA))
    with pytest.raises(UploadTakenOver):
        old.feed(Write(write_offset=len(DATA), finish_write=True))
    assert status(services, name) == (len(DATA), False)
    new.feed(Write(write_offset=len(DATA), finish_write=True))
    assert stored(services, DATA)


def test_rule_40_unfinished_uploads_keep_their_room(services: Services) -> None:
    name = messages.upload_name(DATA)
    begin(services, name, DATA[:1000]).abandon()
    ((file, charge),) = _reservations(services)
    assert file.startswith("uploads/")
    assert charge > len(DATA)
    with plain_store(services)._index.write() as db:
        assert drop_abandoned(db, plain_store(services)._layout) == 0
    _age(services, 3600)
    with plain_store(services)._index.write() as db:
        assert drop_abandoned(db, plain_store(services)._layout) == charge
    assert status(services, name) == (0, False)


def _age(services: Services, seconds: int) -> None:
    for path in files_in(plain_store(services)._layout.uploads):
        then = os.stat(path).st_mtime - seconds
        os.utime(path, (then, then))


def test_rule_40_abandoned_uploads_expire(services: Services) -> None:
    names = [messages.upload_name(b"%d" % number * 10) for number in range(MOST_KEPT + 2)]
    for name in names:
        begin(services, name, b"?").abandon()
        _age(services, 10 if name is not names[-1] else 1)
    services.store.expire_uploads()
    assert [status(services, name)[0] for name in (names[0], names[1], names[2], names[-1])] == [0, 0, 1, 1]
    assert plain_store(services).check().uploads == MOST_KEPT == len(_reservations(services))
    active = begin(services, messages.upload_name(DATA), b"?")
    _age(services, 3600)
    assert plain_store(services).check().leftovers == MOST_KEPT + 1
    services.store.expire_uploads()
    assert [len(files_in(plain_store(services)._layout.uploads)), len(_reservations(services))] == [1, 1]
    active.abandon()


def test_rule_40_what_is_kept_is_bounded_in_bytes(tmp_path: Path) -> None:
    with Store.open(bytes(tmp_path / "tiny"), max_size=1_000_000) as store, Services(store) as services:
        blobs = [bytes([number]) * 100_000 for number in range(5)]
        names = [messages.upload_name(data) for data in blobs]
        for name, data in zip(names, blobs, strict=True):
            begin(services, name, data[:10]).abandon()
            _age(services, 10)
        services.store.expire_uploads()
        assert [status(services, name)[0] for name in names] == [0, 0, 0, 10, 10]


def test_rule_40_the_sweeper_and_a_lost_index_know_of_uploads(services: Services) -> None:
    name = messages.upload_name(DATA)
    begin(services, name, DATA[:1000]).abandon()
    assert sweep(plain_store(services)._layout) == 0
    with plain_store(services)._index.write() as db:
        db.execute("DELETE FROM reservations")
    again = begin(services, name, DATA[1000:2000], 1000)
    assert len(_reservations(services)) == 1
    again.abandon()
    _age(services, 3600)
    assert sweep(plain_store(services)._layout) == 1
    assert send(services, messages.write_requests(DATA, name)) == len(DATA)
    assert _reservations(services) == []


def test_rule_41_no_space_and_no_rights(tmp_path: Path, reading: Services) -> None:
    with pytest.raises(ReadOnlyStore):
        begin(reading, messages.upload_name(DATA), b"x")
    with (
        Store.open(bytes(tmp_path / "tiny"), max_size=1000) as store,
        Services(store) as services,
        pytest.raises(OutOfSpace),
    ):
        send(services, messages.write_requests(DATA, messages.upload_name(DATA)))
