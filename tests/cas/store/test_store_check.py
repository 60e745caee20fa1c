# SPDX-License-Identifier: Apache-2.0
"""`check` finds each kind of damage, and `--repair` mends it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pytrace_cas.digest import BLAKE3, SHA256, Digest
from pytrace_cas.store import Store, StoreBusy
from pytrace_cas.store.rebuild import check_directory

SMALL, LARGE = b"small" * 10, b"large" * 10_000
ACTION = BLAKE3.of(b"action")


@pytest.fixture
def filled(store: Store) -> Store:
    """A store with a small blob, a large one, and a result that needs both."""
    needs = [store.put(BLAKE3, SMALL), store.put(BLAKE3, LARGE)]
    store.put(SHA256, LARGE)
    store.put_action_result(BLAKE3, "i", ACTION, b"message", needs)
    store.put(BLAKE3, LARGE[1:])  # what was moved last is named in `pending`
    store.put_opaque("i", "key", b"body")
    return store


def _file(store: Store) -> str:
    name = BLAKE3.of(LARGE).hash
    return os.fsdecode(store.path) + f"/cas/blake3/{name[:2]}/{name}"


def _execute(store: Store, *statements: str) -> None:
    with store._index.write() as db:
        for statement in statements:
            db.execute(statement)


def _unlink(store: Store) -> None:
    os.unlink(_file(store))


def _truncate(store: Store) -> None:
    os.truncate(_file(store), 3)


def _change_file(store: Store) -> None:
    with open(_file(store), "r+b") as file:
        file.write(b"x")


def _change_row(store: Store) -> None:
    _execute(store, "UPDATE blobs SET data = zeroblob(size) WHERE data IS NOT NULL")


def _forget_file(store: Store) -> None:
    _execute(
        store,
        "DROP TRIGGER blob_dropped",
        "DELETE FROM blobs WHERE function = 1",
        "UPDATE store SET blobs = blobs - 1, bytes = bytes - (SELECT max(charge) FROM blobs)",
    )


def _add_stray(store: Store) -> None:
    with open(store.path + b"/cas/blake3/README", "wb") as file:
        file.write(b"hello")


def _miscount(store: Store) -> None:
    _execute(store, "UPDATE store SET bytes = bytes + 5, results = 0")


def _dangle(store: Store) -> None:
    _execute(store, "INSERT INTO refs VALUES (99, x'00', 1)")


def _lose_blob(store: Store) -> None:
    _execute(
        store, "DROP TRIGGER blob_dropped", "DELETE FROM blobs WHERE data IS NOT NULL", "UPDATE store SET blobs = 3"
    )


def _garble_row(store: Store) -> None:
    _execute(
        store, "INSERT INTO blobs (function, hash, size, charge, used, turn, data) VALUES (9, x'00', 1, 0, 0, 0, 'x')"
    )


@pytest.mark.parametrize(
    ("damage", "found", "hit_after"),
    [
        (_unlink, {"file-missing"}, False),
        (_truncate, {"file-size"}, False),
        (_change_file, {"data-corrupt"}, False),
        (_change_row, {"data-corrupt"}, False),
        (_forget_file, {"file-unindexed"}, True),
        (_add_stray, {"file-stray"}, True),
        (_miscount, {"totals-wrong"}, True),
        (_dangle, {"refs-dangling"}, True),
        (_lose_blob, {"result-incomplete", "totals-wrong"}, False),
        (_garble_row, {"row-malformed"}, True),
    ],
)
def test_damage_is_found_and_mended(
    filled: Store, damage: Callable[[Store], None], found: set[str], hit_after: bool
) -> None:
    assert filled.check(read_data=True).problems == ()
    damage(filled)
    seen = filled.check(read_data=True)
    assert {problem.code for problem in seen.problems} == found
    assert not seen.sound
    mended = filled.check(read_data=True, repair=True)
    assert {problem.code for problem in mended.problems} == found
    assert mended.sound
    assert filled.check(read_data=True).problems == ()
    assert (filled.get_action_result(BLAKE3, "i", ACTION) == b"message") is hit_after


def test_repair_indexes_what_has_its_hash_only(filled: Store) -> None:
    _forget_file(filled)
    name = "ab" * 32
    os.makedirs(filled.path + b"/cas/blake3/ab", exist_ok=True)
    with open(filled.path + f"/cas/blake3/ab/{name}".encode(), "wb") as file:
        file.write(b"other bytes")
    filled.check(repair=True)
    assert filled.missing(SHA256, [SHA256.of(LARGE)]) == []
    assert filled.missing(BLAKE3, [Digest(name, 11)]) == [Digest(name, 11)]
    assert len(os.listdir(filled.path + b"/quarantine")) == 1


def _index_of(store: Store) -> Path:
    return Path(os.fsdecode(store.path)) / "index.sqlite"


def test_index_that_is_no_database_is_rebuilt_from_the_files(filled: Store) -> None:
    filled.close()
    for suffix in ("-wal", "-shm"):
        _index_of(filled).with_name("index.sqlite" + suffix).unlink(missing_ok=True)
    _index_of(filled).write_bytes(b"garbage" * 5000)
    assert [problem.code for problem in check_directory(filled.path).problems] == ["index-damaged"]
    assert check_directory(filled.path, repair=True).sound
    assert check_directory(filled.path, read_data=True).problems == ()
    with Store.open(filled.path) as store:
        for data in (LARGE, LARGE[1:]):
            assert store.get(BLAKE3, BLAKE3.of(data)) == data


def test_readable_rows_are_saved_from_a_damaged_index(filled: Store) -> None:
    filled.set_generation("scope", "3")
    filled.set_setting("name", "value")
    filled.remember("kind", b"key", b"note")
    filled.count("hits", 5)
    filled.close()
    with sqlite3.connect(_index_of(filled)) as db:
        db.execute("PRAGMA writable_schema = 1")
        # An index that holds another's pages: what SQLite's own check finds.
        db.execute(
            "UPDATE sqlite_master SET rootpage = (SELECT rootpage FROM sqlite_master WHERE name = 'refs_by_hash')"
            " WHERE name = 'blobs_by_age'"
        )
    db.close()
    report = check_directory(filled.path, repair=True)
    assert {problem.code for problem in report.problems} == {"index-damaged"}
    assert report.sound
    with Store.open(filled.path) as store:
        assert store.generation("scope") == "3"
        assert store.setting("name") == "value"
        assert store.recall("kind", b"key") == b"note"
        assert store.counters()["hits"] == 5
        assert store.get_action_result(BLAKE3, "i", ACTION) == b"message"
        assert store.get_opaque("i", "key") == b"body"
        assert store.check(read_data=True).problems == ()


def test_rebuilding_needs_the_store_for_itself(filled: Store) -> None:
    program = (
        "import sys\nfrom pytrace_cas.store import Store\n"
        "with Store.open(sys.argv[1]) as store:\n print(store.size(), flush=True)\n sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, filled.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdout.readline()
    filled.close()
    with open(_index_of(filled), "r+b") as file:
        file.write(b"garbage" * 20)
    with pytest.raises(StoreBusy):
        check_directory(filled.path, repair=True)
    child.communicate()
