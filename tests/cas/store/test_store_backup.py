# SPDX-License-Identifier: Apache-2.0
"""A backup of the index: of one moment, beside writers; what it takes to go back to it."""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path

import pytest

from pytrace_cas.digest import SHA256
from pytrace_cas.store import BlobNotFound, FolderInUse, Store, StoreBusy
from pytrace_cas.store.backup import BackupFailed, NotABackup, restore
from pytrace_cas.store.rebuild import check_directory

LARGE = 50_000


def result_of(store: Store, action: bytes, *blobs: bytes) -> None:
    """Store blobs, and a result that needs them."""
    digests = [store.put(SHA256, blob) for blob in blobs]
    store.put_action_result(SHA256, "", SHA256.of(action), b"result of " + action, digests)


def test_restoring_brings_results_back_and_keeps_files_that_came_since(tmp_path: Path) -> None:
    root, copy = tmp_path / "s", tmp_path / "copy"
    early, late, gone = b"early" * LARGE, b"late" * LARGE, b"gone" * LARGE
    with Store.open(bytes(root)) as store:
        result_of(store, b"kept", early, b"small")
        result_of(store, b"lost", gone)
        done = store.back_up(bytes(copy))
        assert (done.blobs, done.results) == (3, 2)
        store.put(SHA256, late)
    digest = SHA256.of(gone)
    (root / "cas" / "sha256" / digest.hash[:2] / digest.hash).unlink()
    (root / "index.sqlite").write_bytes(b"a disk that failed")
    report = restore(bytes(root), bytes(copy))
    assert report.sound
    assert {problem.code for problem in report.problems} >= {"file-missing", "file-unindexed"}
    assert check_directory(bytes(root), read_data=True).problems == ()
    with Store.open(bytes(root)) as store:
        assert store.get_action_result(SHA256, "", SHA256.of(b"kept")) == b"result of kept"
        assert store.get(SHA256, SHA256.of(early)) == early
        assert store.get(SHA256, SHA256.of(b"small")) == b"small"
        assert store.get(SHA256, SHA256.of(late)) == late
        assert store.get_action_result(SHA256, "", SHA256.of(b"lost")) is None
        with pytest.raises(BlobNotFound):
            store.get(SHA256, digest)
        store.put(SHA256, gone)


def test_a_restored_index_is_one_that_many_can_use(tmp_path: Path) -> None:
    root, copy = tmp_path / "s", tmp_path / "copy"
    with Store.open(bytes(root)) as store:
        store.put(SHA256, b"x")
        store.back_up(bytes(copy))
    assert [path.name for path in tmp_path.iterdir() if path != root] == ["copy"]
    assert copy.stat().st_mode & 0o777 == 0o600
    restore(bytes(root), bytes(copy))
    db = sqlite3.connect(root / "index.sqlite")
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert db.execute("PRAGMA auto_vacuum").fetchone() == (2,)
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()


def test_each_backup_beside_writers_is_sound(tmp_path: Path) -> None:
    root, stop = tmp_path / "s", threading.Event()

    def write(number: int) -> None:
        with Store.open(bytes(root)) as store:
            count = 0
            while not stop.is_set():
                result_of(store, b"%d %d" % (number, count), os.urandom(100), os.urandom(20_000))
                count += 1

    with Store.open(bytes(root)) as store:
        writers = [threading.Thread(target=write, args=(number,)) for number in range(2)]
        for writer in writers:
            writer.start()
        seen = []
        for number in range(5):
            copy = tmp_path / f"copy{number}"
            seen.append(store.back_up(bytes(copy)).results)
            db = sqlite3.connect(copy)
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            counted = db.execute("SELECT (SELECT count(*) FROM blobs), (SELECT count(*) FROM results)").fetchone()
            assert db.execute("SELECT blobs, results FROM store").fetchone() == counted
            # A writer may have been between its blobs and their result; never the other way round.
            assert 0 <= counted[0] - 2 * counted[1] <= 4
            db.close()
        stop.set()
        for writer in writers:
            writer.join()
    assert seen == sorted(seen)


def test_it_goes_to_no_place_where_it_would_do_harm(tmp_path: Path) -> None:
    root = tmp_path / "s"
    with Store.open(bytes(root)) as store:
        (tmp_path / "link").symlink_to(root)
        for target in (root / "index.sqlite", root / "cas" / "x", tmp_path / "link" / "x", tmp_path / "none" / "x"):
            with pytest.raises(BackupFailed):
                store.back_up(bytes(target))
        (tmp_path / "folder").mkdir()
        with pytest.raises(BackupFailed):
            store.back_up(bytes(tmp_path / "folder"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "link", "s"]
    assert check_directory(bytes(root)).problems == ()


def test_a_lost_folder_comes_back_as_far_as_the_index_goes(tmp_path: Path) -> None:
    root, copy = tmp_path / "s", tmp_path / "copy"
    with Store.open(bytes(root)) as store:
        result_of(store, b"small", b"in the index")
        result_of(store, b"large", bytes(LARGE))
        store.back_up(bytes(copy))
    restore(bytes(tmp_path / "new"), bytes(copy))
    with Store.open(bytes(tmp_path / "new")) as store:
        assert store.get_action_result(SHA256, "", SHA256.of(b"small")) is not None
        assert store.get_action_result(SHA256, "", SHA256.of(b"large")) is None
        assert store.check(read_data=True).problems == ()


def test_nothing_is_restored_over_what_is_in_use_or_somebodys(tmp_path: Path) -> None:
    root, copy = tmp_path / "s", tmp_path / "copy"
    used = tmp_path / "used"
    used.mkdir()
    (used / "file").write_text("precious")
    with Store.open(bytes(root)) as store:
        store.put(SHA256, b"x")
        store.back_up(bytes(copy))
        pid = os.fork()
        if not pid:
            try:
                restore(bytes(root), bytes(copy))
            except StoreBusy:
                os._exit(42)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 42
        assert store.get(SHA256, SHA256.of(b"x")) == b"x"
    with pytest.raises(FolderInUse):
        restore(bytes(used), bytes(copy))
    (tmp_path / "other").write_bytes(b"no index" * 100)
    for source in (tmp_path / "other", tmp_path / "none"):
        with pytest.raises(NotABackup):
            restore(bytes(root), bytes(source))
    assert check_directory(bytes(root)).problems == ()
