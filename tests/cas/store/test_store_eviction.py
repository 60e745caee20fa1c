# SPDX-License-Identifier: Apache-2.0
"""Eviction: what goes first, what goes together, and that the limit holds."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from pytrace_cas.digest import BLAKE3, Digest
from pytrace_cas.store import BlobNotFound, DigestMismatch, MissingBlobs, OutOfSpace, Store, room
from pytrace_cas.store.spooling import SpoolWriter

LIMIT = 4 << 20
FILE = 60_000


def _fill(store: Store, count: int) -> list[Digest]:
    return [store.put(BLAKE3, os.urandom(FILE)) for _ in range(count)]


@pytest.fixture
def small(tmp_path: Path) -> Store:
    """A store of 4 MiB; it holds some sixty files."""
    return Store.open(str(tmp_path / "small"), max_size=LIMIT)


def test_least_recently_used_goes_first(small: Store) -> None:
    with small:
        old, touched, read, found = _fill(small, 4)
        filler = _fill(small, 40)
        assert small.contains(BLAKE3, touched)
        small.get(BLAKE3, read)
        small.open_blob(BLAKE3, found).close()
        small.evict(down_to=small.size()[0] - 20 * (FILE + 4096))
        assert small.missing(BLAKE3, [old, touched, read, found]) == [old]
        assert small.missing(BLAKE3, filler)[0] == filler[0]
        assert filler[-1] not in small.missing(BLAKE3, filler)


def test_limit_is_never_crossed(small: Store) -> None:
    with small:
        for _ in range(3):
            last = _fill(small, 50)[-1]
            used, limit = small.size()
            assert used <= limit
            assert small.contains(BLAKE3, last)
    files = [path for path in Path(os.fsdecode(small.path)).glob("cas/*/*/*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= LIMIT


def test_background_eviction_ends_at_the_low_water_mark(small: Store) -> None:
    _fill(small, 65)
    evictor = small._room.evictor()
    assert evictor._thread is not None
    evictor._thread.join()
    assert small.size()[0] <= LIMIT * room.LOW_WATER // 100
    assert small.counters()["evicted_blobs"] > 0
    small.close()


def test_result_goes_with_a_blob_it_needs(small: Store) -> None:
    action = BLAKE3.of(b"action")
    with small:
        first, second = _fill(small, 2)
        small.put_action_result(BLAKE3, "", action, b"", [first, second])
        with small._index.write() as db:
            db.execute("UPDATE blobs SET turn = -1 WHERE hash = ?", (bytes.fromhex(second.hash),))
        gone = small.evict(down_to=small.size()[0] - 1)
        assert (gone.blobs, gone.results) == (1, 1)
        assert small.get_action_result(BLAKE3, "", action) is None
        assert small.contains(BLAKE3, first)
        with pytest.raises(MissingBlobs):
            small.put_action_result(BLAKE3, "", action, b"", [first, second])


def test_hit_renews_the_result_and_its_blobs(small: Store) -> None:
    action = BLAKE3.of(b"action")
    with small:
        needs = _fill(small, 3)
        small.put_action_result(BLAKE3, "", action, b"", needs)
        _fill(small, 30)
        assert small.get_action_result(BLAKE3, "", action) == b""
        small.evict(down_to=small.size()[0] // 2)
        assert small.missing(BLAKE3, needs) == []
        assert small.get_action_result(BLAKE3, "", action) == b""


def test_opaque_bodies_age_too(small: Store) -> None:
    with small:
        small.put_opaque("", "old", b"1")
        small.put_opaque("", "used", b"2")
        _fill(small, 10)
        assert small.get_opaque("", "used") == b"2"
        _fill(small, 1)
        small.evict(down_to=5 * (FILE + 4096))
        assert small.get_opaque("", "old") is None
        assert small.get_opaque("", "used") == b"2"


def test_older_than(small: Store) -> None:
    with small:
        old, new = _fill(small, 2)
        with small._index.write() as db:
            db.execute("UPDATE blobs SET used = used - 100000 WHERE hash = ?", (bytes.fromhex(old.hash),))
        assert small.evict(older_than=86400, dry_run=True).blobs == 1
        assert small.missing(BLAKE3, [new]) == []
        assert small.evict(older_than=86400).blobs == 1
        assert small.missing(BLAKE3, [old, new]) == [old]


def test_dry_run_changes_nothing_and_says_the_same(small: Store) -> None:
    with small:
        _fill(small, 20)
        before = small.size()
        foretold = small.evict(down_to=LIMIT // 8, dry_run=True)
        assert small.size() == before
        gone = small.evict(down_to=LIMIT // 8)
        assert (gone.blobs, gone.results, gone.bytes) == (foretold.blobs, foretold.results, foretold.bytes)


def test_writers_race_an_evictor(small: Store) -> None:
    """Blobs that are stored again and again while they are evicted: a row never lacks its file."""
    data = [os.urandom(20_000 + number) for number in range(8)]
    failures: list[BaseException] = []
    stop = threading.Event()

    def write() -> None:
        try:
            while not stop.is_set():
                for item in data:
                    digest = small.put(BLAKE3, item)
                    try:
                        assert small.get(BLAKE3, digest) == item
                    except BlobNotFound:
                        continue  # evicted
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(60):
        small.evict(down_to=0)
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert small.counters().get("blobs_corrupt", 0) == 0
    assert small.check(read_data=True).problems == ()
    small.close()


def test_index_shrinks_when_it_has_emptied(tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "s")) as store:
        store.put_many(BLAKE3, ((BLAKE3.of(data), data) for data in (os.urandom(12_000) for _ in range(800))))
        store.evict(down_to=0)
    assert (tmp_path / "s" / "index.sqlite").stat().st_size < 5 << 20


def test_lower_limit_is_reached_in_the_background(small: Store) -> None:
    with small:
        _fill(small, 50)
    with Store.open(small.path, max_size=LIMIT // 4) as store:
        evictor = store._room.evictor()
        assert evictor._thread is not None
        evictor._thread.join()
        assert store.size()[0] <= LIMIT // 4


def test_batch_of_evictions_costs_the_same_in_a_full_store(small: Store) -> None:
    """A dropped blob looks up the results that need it, and does not go through all of them."""
    with small._index.read() as db:
        (trigger,) = db.execute("SELECT sql FROM sqlite_master WHERE name = 'blob_dropped'").fetchone()
        statement = trigger.partition("bytes - OLD.charge;")[2].partition(";")[0]
        for column, value in (("OLD.hash", "x'00'"), ("OLD.function", "9")):
            statement = statement.replace(column, value)
        steps = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {statement}")]
    small.close()
    assert steps[0] == "SEARCH results USING INTEGER PRIMARY KEY (rowid=?)"


def test_room_is_kept_for_blobs_of_unknown_size_as_they_grow(tmp_path: Path) -> None:
    piece = os.urandom(1 << 20)

    def grow(writer: SpoolWriter) -> None:
        for _ in range(20):
            writer.write(piece)

    with Store.open(bytes(tmp_path / "store"), max_size=40 << 20) as store:
        old = store.put(BLAKE3, os.urandom(9 << 20))
        first, second = store.spool(BLAKE3, None), store.spool(BLAKE3, None)
        grow(first)
        with pytest.raises(OutOfSpace):
            grow(second)
        assert not store.contains(BLAKE3, old)
        assert second.written < 20 << 20
        second.discard()
        assert store.get(BLAKE3, first.commit()) == 20 * piece
        assert store.size()[0] < 21 << 20
        store.put(BLAKE3, os.urandom(18 << 20))  # nothing is kept any more
        third = store.spool(BLAKE3, "ab" * 32)
        third.write(b"other")
        with pytest.raises(DigestMismatch):
            third.commit()
        third.discard()
        assert os.listdir(store.path + b"/tmp") == []
        assert store.check(read_data=True).problems == ()
