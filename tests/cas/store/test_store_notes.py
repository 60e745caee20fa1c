# SPDX-License-Identifier: Apache-2.0
"""Settings, generations, notes and statistics."""

from __future__ import annotations

import os
import threading

import pytest

from pytrace_cas.digest import BLAKE3
from pytrace_cas.store import Store, counters, notes
from pytrace_cas.store.ages import HIT_PATIENCE


def test_settings_last(store: Store) -> None:
    assert store.setting("digest-function") is None
    store.set_setting("digest-function", "sha256")
    store.set_setting("digest-function", "blake3")
    with Store.open(store.path) as again:
        assert again.setting("digest-function") == "blake3"


def test_generations_outlive_eviction(store: Store) -> None:
    assert store.generation("path:/a") is None
    store.set_generation("path:/a", "1")
    store.set_generation("all", "9")
    store.set_generation("path:/a", "2")
    store.evict(down_to=0)
    assert store.generation("path:/a") == "2"
    assert store.generations() == {"path:/a": "2", "all": "9"}


def test_notes(store: Store) -> None:
    store.remember("kind", b"key", b"1")
    store.remember("other", b"key", b"2")
    store.remember("kind", b"key", b"3")
    assert store.recall("kind", b"key") == b"3"
    store.forget("kind", b"key")
    store.forget("kind", b"key")
    assert store.recall("kind", b"key") is None
    assert store.recall("other", b"key") == b"2"
    with pytest.raises(ValueError, match="at most"):
        store.remember("kind", b"key", bytes(notes.LONGEST_NOTE + 1))


def test_notes_are_bounded_by_kind(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notes, "NOTES_KEPT", 10)
    store.remember("other", b"old", b"")
    for number in range(25):
        store.remember("kind", str(number).encode(), b"")
    assert [number for number in range(25) if store.recall("kind", str(number).encode()) is not None] == [
        *range(15, 25)
    ]
    assert store.recall("other", b"old") == b""


def test_counters(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counters, "_FOLD", 100)
    for _ in range(30):
        store.count("hits")
        store.count("saved ms", 7)
    assert store.counters() == {"hits": 30, "saved ms": 210}
    assert os.stat(store.path + b"/counters").st_size <= 100
    store.reset_counters()
    assert store.counters() == {}


def test_counting_in_many_threads_loses_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counters, "_FOLD", 50)
    # A count is given up when folding takes longer than a hit may wait, as on a busy disk: here it may take a minute.
    monkeypatch.setattr(counters, "_ATTEMPTS", counters._ATTEMPTS * round(60 / HIT_PATIENCE))
    monkeypatch.setattr(counters, "HIT_PATIENCE", 60.0)

    def count() -> None:
        for _ in range(50):
            store.count("hits")

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.counters() == {"hits": 400}


def test_counting_does_not_wait_for_a_writer(store: Store) -> None:
    with store._index.write():
        store.count("hits")
    assert store.counters() == {"hits": 1}


def test_torn_line_counts_nothing(store: Store) -> None:
    store.count("hits")
    with open(store.path + b"/counters", "ab") as file:
        file.write(b"hits 1\nhi\n\xff\xfe 3x\n")
    assert store.counters() == {"hits": 2}


def test_hit_renews_only_what_is_old(store: Store) -> None:
    """A hit in a store that does not grow writes nothing."""
    need = store.put(BLAKE3, b"need")
    action = BLAKE3.of(b"action")
    store.put_action_result(BLAKE3, "", action, b"", [need])
    with store._index.read() as db:
        (before,) = db.execute("PRAGMA data_version").fetchone()
        with Store.open(store.path) as other:
            assert other.get_action_result(BLAKE3, "", action) == b""
            assert other.get(BLAKE3, need) == b"need"
            assert other.missing(BLAKE3, [need]) == []
        assert db.execute("PRAGMA data_version").fetchone() == (before,)
