# SPDX-License-Identifier: Apache-2.0
"""Lifetimes are promises: what is young stays, what has no room beside it is refused. Uploads have their room."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from pytrace_cas.digest import BLAKE3, Digest
from pytrace_cas.store import OutOfSpace, Store
from tests.support.old_stores import take_packed_away

LIMIT = 1 << 20
FILE = 60_000
FITS = LIMIT // (256 + 61_440)
HOURS = 3 * 3600


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where the store is."""
    return tmp_path / "store"


def _open(place: Path, min_lifetime: int | None = HOURS) -> Store:
    return Store.open(str(place), max_size=LIMIT, min_lifetime=min_lifetime)


def _fill(store: Store, count: int) -> list[Digest]:
    return [store.put(BLAKE3, os.urandom(FILE)) for _ in range(count)]


def _age(place: Path, seconds: int, digests: list[Digest]) -> None:
    """Let blobs have been used that much earlier."""
    with sqlite3.connect(place / "index.sqlite") as db:
        rows = [(seconds, bytes.fromhex(digest.hash)) for digest in digests]
        db.executemany("UPDATE blobs SET used = used - ? WHERE hash = ?", rows)
    db.close()


def test_what_is_young_stays_and_what_has_no_room_is_refused(place: Path) -> None:
    with _open(place) as store:
        blobs = _fill(store, FITS)
        with pytest.raises(OutOfSpace) as refused:
            store.put(BLAKE3, os.urandom(FILE))
        assert refused.value.min_lifetime == HOURS
        assert not store.evict(down_to=0)
        assert not store.evict(down_to=0, dry_run=True)
        assert not store.evict(older_than=0)
        assert store.missing(BLAKE3, blobs) == []


def test_what_is_old_goes_and_no_more_than_that(place: Path) -> None:
    with _open(place) as store:
        blobs = _fill(store, FITS)
        _age(place, 2 * HOURS, blobs[:2])
        new = _fill(store, 2)
        assert store.missing(BLAKE3, blobs + new) == blobs[:2]
        with pytest.raises(OutOfSpace):
            store.put(BLAKE3, os.urandom(FILE))


def test_the_old_ones_among_equals_go_first(place: Path) -> None:
    """Nothing was added meanwhile, so that all have the same turn."""
    with _open(place) as store:
        blobs = _fill(store, FITS)
        with sqlite3.connect(place / "index.sqlite") as db:
            db.execute("UPDATE blobs SET turn = 0")
        db.close()
        _age(place, 2 * HOURS, blobs[-1:])
        new = _fill(store, 1)
        assert store.missing(BLAKE3, blobs + new) == blobs[-1:]


def test_a_look_and_a_hit_begin_the_lifetime_anew(place: Path) -> None:
    action = BLAKE3.of(b"action")
    with _open(place) as store:
        found, needed, *others = blobs = _fill(store, FITS)
        store.put_action_result(BLAKE3, "", action, b"message", [needed])
        _age(place, 2 * HOURS, blobs)
        assert store.contains(BLAKE3, found)
        assert store.get_action_result(BLAKE3, "", action) == b"message"
        store.evict(down_to=0)
        assert store.missing(BLAKE3, blobs) == others
        assert store.get_action_result(BLAKE3, "", action) == b"message"


def test_a_use_that_was_not_written_down_counts_too(place: Path) -> None:
    """Ages are coarse: what was found a moment before its age would have been renewed stays as long."""
    with _open(place) as store:
        (blob,) = _fill(store, 1)
        with sqlite3.connect(place / "index.sqlite") as db:
            db.execute("UPDATE blobs SET turn = (SELECT added FROM store)")
        db.close()
        _age(place, HOURS // 8 - 60, [blob])
        assert store.contains(BLAKE3, blob)
        _age(place, HOURS, [blob])
        assert not store.evict(down_to=0)
        _age(place, 120, [blob])
        assert store.evict(down_to=0)


def test_the_promise_is_kept_in_the_store(place: Path) -> None:
    with _open(place) as store:
        _fill(store, 1)
    with _open(place, None) as store:
        assert not store.evict(down_to=0)
    with _open(place, 0) as store:
        assert store.evict(down_to=0)


def test_a_damaged_blob_goes_however_young(place: Path) -> None:
    with _open(place) as store:
        (blob,) = _fill(store, 1)
        (file,) = place.glob("cas/*/*/*")
        file.write_bytes(b"x" * FILE)
        assert store.check(read_data=True, repair=True).problems
        assert store.missing(BLAKE3, [blob]) == [blob]


def test_uploads_have_their_room_before_their_bytes(place: Path) -> None:
    with _open(place, 0) as store:
        old = _fill(store, FITS)
        blobs = [os.urandom(3 * FILE) for _ in range(4)]
        writers = [store.writer(BLAKE3, BLAKE3.of(data)) for data in blobs]
        assert len(store.missing(BLAKE3, old)) >= 11
        with pytest.raises(OutOfSpace):
            store.writer(BLAKE3, BLAKE3.of(os.urandom(LIMIT // 2)))
        for writer, data in zip(writers, blobs, strict=True):
            writer.write(data)
            writer.commit()
            writer.discard()
        assert store.missing(BLAKE3, map(BLAKE3.of, blobs)) == []
        assert store.size()[0] <= LIMIT
        _fill(store, 1)


def test_room_comes_back_from_uploads_that_are_given_up_or_killed(place: Path) -> None:
    big = os.urandom(LIMIT * 3 // 4)
    with _open(place, 0) as store:
        store.writer(BLAKE3, BLAKE3.of(big)).discard()
        store.writer(BLAKE3, BLAKE3.of(big[1:])).discard()
        child = os.fork()
        if not child:
            with Store.open(str(place)) as other:
                other.writer(BLAKE3, BLAKE3.of(big[2:])).write(b"begun")
                os._exit(0)
        os.waitpid(child, 0)
        with store.writer(BLAKE3, BLAKE3.of(big)) as writer:
            writer.write(big)
            writer.commit()
        assert store.contains(BLAKE3, BLAKE3.of(big))
        with store._index.read() as db:
            assert db.execute("SELECT * FROM reservations").fetchall() == []


def test_an_older_store_learns_of_lifetimes(place: Path) -> None:
    with _open(place, 0) as store:
        blobs = _fill(store, 3)
    with sqlite3.connect(place / "index.sqlite") as db:
        take_packed_away(db)
        db.execute("ALTER TABLE store DROP COLUMN min_lifetime")
        db.execute("DROP TABLE reservations")
        for table in ("blobs", "results"):
            db.execute(f"DROP INDEX {table}_by_age")
            db.execute(f"CREATE INDEX {table}_by_turn ON {table} (turn)")
        db.execute("PRAGMA user_version = 1")
    db.close()
    with _open(place) as store:
        assert not store.evict(down_to=0)
        assert store.missing(BLAKE3, blobs) == []
        assert store.check(read_data=True).problems == ()
