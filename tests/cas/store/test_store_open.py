# SPDX-License-Identifier: Apache-2.0
"""Opening a store: what is made, what is refused, which formats are read."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytrace_cas.digest import BLAKE3
from pytrace_cas.store import (
    CorruptIndex,
    FolderInUse,
    NetworkFileSystem,
    NewerFormat,
    NoStore,
    ReadOnlyStore,
    Store,
    StoreError,
    StoreIsFile,
    StoreNotWritable,
    UnknownFormat,
    index,
    mounts,
    schema,
)
from pytrace_cas.store import (
    store as store_module,
)
from pytrace_cas.store.rebuild import check_directory


def test_makes_private_directories_and_files(tmp_path: Path) -> None:
    root = tmp_path / "not" / "there" / "yet"
    with Store.open(str(root)) as store:
        store.put(BLAKE3, bytes(20000))
        store.count("hits")
        modes = {stat.S_IMODE(path.stat().st_mode) for path in root.rglob("*") if path.is_file()}
        folders = {stat.S_IMODE(path.stat().st_mode) for path in [root, *root.rglob("*")] if path.is_dir()}
    assert modes == {0o600}
    assert folders == {0o700}


def test_limit_is_kept_in_the_store(tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "s")) as store:
        assert store.max_size == 10 << 30
    with Store.open(str(tmp_path / "s"), max_size=5 << 20) as store:
        assert store.max_size == 5 << 20
    with Store.open(str(tmp_path / "s")) as store:
        assert store.size() == (0, 5 << 20)


def test_no_store_is_made_unless_asked(tmp_path: Path) -> None:
    for options in ({"create": False}, {"read_only": True}):
        with pytest.raises(NoStore):
            Store.open(str(tmp_path / "s"), **options)
    (tmp_path / "empty").mkdir()
    with pytest.raises(NoStore):
        Store.open(str(tmp_path / "empty"), create=False)
    assert os.listdir(tmp_path) == ["empty"]


@pytest.mark.parametrize("path", ["file", "file/below"])
def test_file_is_refused(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises(StoreIsFile):
        Store.open(str(tmp_path / path))
    assert (tmp_path / "file").read_bytes() == b"mine"


def test_network_file_system_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = Path("/proc/self/mountinfo").read_bytes()
    here = mounts.kind_of(os.fsencode(tmp_path), table)
    monkeypatch.setattr(mounts, "SHARED", frozenset([here]))
    with pytest.raises(NetworkFileSystem) as caught:
        Store.open(str(tmp_path / "s"))
    assert caught.value.kind == here
    assert os.listdir(tmp_path) == []


def test_newer_format_is_refused(tmp_path: Path) -> None:
    _with_format(tmp_path / "s", 7)
    with pytest.raises(NewerFormat) as caught:
        Store.open(str(tmp_path / "s"))
    assert (caught.value.found, caught.value.known) == (7, index.FORMAT)


def test_older_format_is_migrated_a_step_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store.open(str(tmp_path / "s")) as store:
        digest = store.put(BLAKE3, b"kept")
    steps = {
        index.FORMAT: lambda db: db.execute("ALTER TABLE blobs ADD COLUMN colour TEXT"),
        index.FORMAT + 1: lambda db: db.execute("UPDATE blobs SET colour = 'blue'"),
    }
    newest = index.FORMAT + 2
    for module in (schema, store_module):
        monkeypatch.setattr(module, "FORMAT", newest)
    monkeypatch.setattr(schema, "MIGRATIONS", steps)
    with pytest.raises(ReadOnlyStore):
        Store.open(str(tmp_path / "s"), read_only=True)
    with Store.open(str(tmp_path / "s")) as store:
        assert store.get(BLAKE3, digest) == b"kept"
    with sqlite3.connect(tmp_path / "s" / "index.sqlite") as db:
        assert db.execute("PRAGMA user_version").fetchone() == (newest,)
        assert db.execute("SELECT colour FROM blobs").fetchall() == [("blue",)]
    db.close()


def test_failed_migration_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Store.open(str(tmp_path / "s")).close()

    def fail(db: sqlite3.Connection) -> None:
        db.execute("DROP TABLE notes")
        raise ZeroDivisionError

    for module in (schema, store_module):
        monkeypatch.setattr(module, "FORMAT", index.FORMAT + 1)
    monkeypatch.setattr(schema, "MIGRATIONS", {index.FORMAT: fail})
    with pytest.raises(ZeroDivisionError):
        Store.open(str(tmp_path / "s"))
    monkeypatch.undo()
    with Store.open(str(tmp_path / "s")) as store:
        store.remember("k", b"key", b"value")


def test_older_format_without_a_way_is_refused(tmp_path: Path) -> None:
    _with_format(tmp_path / "s", 0)
    with pytest.raises(UnknownFormat):
        Store.open(str(tmp_path / "s"))


def test_other_programs_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    with sqlite3.connect(tmp_path / "s" / "index.sqlite") as db:
        db.execute("CREATE TABLE theirs (x)")
    db.close()
    with pytest.raises(UnknownFormat):
        Store.open(str(tmp_path / "s"))


def test_other_programs_database_with_our_format_number_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    with sqlite3.connect(tmp_path / "s" / "index.sqlite") as db:
        db.execute("CREATE TABLE store (max_size)")
        db.execute("INSERT INTO store VALUES (1)")
        db.execute(f"PRAGMA user_version = {index.FORMAT}")
    db.close()
    for options in ({}, {"read_only": True}, {"create": False}):
        with pytest.raises(UnknownFormat):
            Store.open(str(tmp_path / "s"), **options)


@pytest.mark.parametrize("content", [b"no database at all" * 1000, b""])
def test_index_of_a_folder_that_never_was_a_store_is_not_ours_to_rebuild(tmp_path: Path, content: bytes) -> None:
    files = {"index.sqlite": content, "cas/u": b"mine", "quarantine/q": b"mine"}
    _write(tmp_path / "s", files)
    with pytest.raises(UnknownFormat):
        Store.open(str(tmp_path / "s"))
    with pytest.raises(UnknownFormat):
        check_directory(str(tmp_path / "s"), repair=True)
    assert _files(tmp_path / "s") == files


USED = (
    {"user.txt": b"precious"},
    {"trash/user.txt": b"precious", "pending": b"precious"},
    {"cas/u": b"precious"},
    {"tmp/x": b"precious", "counters": b"", "maintenance": b""},
    {"pytrace-cas-store": b"somebody's notes"},
    {"pytrace-cas-store/x": b"somebody's folder"},
    {"lost+found/x": b"", "x": b"precious"},
)


@pytest.mark.parametrize("files", USED, ids=lambda files: "+".join(files))
def test_folder_with_files_is_refused_and_left_as_it_is(tmp_path: Path, files: dict[str, bytes]) -> None:
    root = tmp_path / "s"
    _write(root, files)
    before = root.stat()
    with pytest.raises(FolderInUse) as caught:
        Store.open(str(root))
    assert str(root) in str(caught.value)
    for options in ({"read_only": True}, {"create": False}):
        with pytest.raises(NoStore):
            Store.open(str(root), **options)
    with pytest.raises(NoStore):
        check_directory(str(root), repair=True)
    assert _files(root) == files
    assert (root.stat().st_mtime_ns, root.stat().st_mode) == (before.st_mtime_ns, before.st_mode)


def test_folder_with_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s" / "tmp").mkdir(parents=True)
    with pytest.raises(FolderInUse):
        Store.open(str(tmp_path / "s"))


@pytest.mark.parametrize("names", [(), ("lost+found",)])
def test_empty_folder_becomes_a_store(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in ("s", *(f"s/{name}" for name in names)):
        (tmp_path / name).mkdir()
    with Store.open(str(tmp_path / "s")) as store:
        assert store.check().problems == ()
    assert (tmp_path / "s" / "pytrace-cas-store").read_bytes() == b""


def test_store_without_its_index_is_made_again(tmp_path: Path) -> None:
    root = tmp_path / "s"
    with Store.open(str(root)) as store:
        digest = store.put(BLAKE3, bytes(50_000))
        store.put(BLAKE3, bytes(60_000))  # what was moved last is named in `pending`
    for path in root.glob("index.sqlite*"):
        path.unlink()
    with pytest.raises(NoStore):
        Store.open(str(root), create=False)
    with Store.open(str(root)) as store:
        assert store.check(repair=True).sound
        assert store.get(BLAKE3, digest) == bytes(50_000)


def test_store_from_before_there_was_a_mark_opens_and_is_mended(tmp_path: Path) -> None:
    root = tmp_path / "s"
    with Store.open(str(root)) as store:
        digest = store.put(BLAKE3, bytes(50_000))
    (root / "pytrace-cas-store").unlink()
    with Store.open(str(root)) as store:
        assert store.get(BLAKE3, digest) == bytes(50_000)
    with open(root / "index.sqlite", "r+b") as file:
        file.seek(1024)
        file.write(b"garbage" * 1000)
    assert check_directory(str(root), repair=True).sound
    with Store.open(str(root)) as store:
        assert store.get(BLAKE3, digest) == bytes(50_000)


def test_existing_store_is_opened_without_a_look_at_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Store.open(str(tmp_path / "s")).close()

    def fail(path: bytes) -> list[bytes]:
        raise AssertionError(path)

    monkeypatch.setattr(os, "listdir", fail)
    Store.open(str(tmp_path / "s")).close()


def test_damaged_index_is_named(tmp_path: Path) -> None:
    Store.open(str(tmp_path / "s")).close()
    (tmp_path / "s" / "index.sqlite").write_bytes(b"no database at all" * 1000)
    with pytest.raises(CorruptIndex):
        Store.open(str(tmp_path / "s"))


@pytest.fixture
def sealed(tmp_path: Path) -> Iterator[Path]:
    """A store with one blob of each kind, on a file system that is mounted for reading only."""
    place = tmp_path / "mount"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(place)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a file system needs root")
    try:
        with Store.open(str(place / "s")) as store:
            store.put(BLAKE3, b"small")
            store.put(BLAKE3, bytes(50000))
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        yield place / "s"
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_read_only_file_system(sealed: Path) -> None:
    with pytest.raises(StoreNotWritable):
        Store.open(str(sealed))
    with Store.open(str(sealed), read_only=True) as store:
        assert store.get(BLAKE3, BLAKE3.of(b"small")) == b"small"
        assert store.get(BLAKE3, BLAKE3.of(bytes(50000))) == bytes(50000)
        assert store.missing(BLAKE3, [BLAKE3.of(b"small"), BLAKE3.of(b"x")]) == [BLAKE3.of(b"x")]
        store.count("hits")
        assert store.check(read_data=True).problems == ()
        with pytest.raises(ReadOnlyStore):
            store.put(BLAKE3, b"new")


def test_read_only_beside_a_writer(store: Store) -> None:
    digest = store.put(BLAKE3, b"early")
    with Store.open(store.path, read_only=True) as reader:
        assert reader.get(BLAKE3, digest) == b"early"
        late = store.put(BLAKE3, bytes(30000))
        assert reader.get(BLAKE3, late) == bytes(30000)
        with pytest.raises(ReadOnlyStore):
            reader.set_setting("a", "b")


def test_many_processes_make_one_store(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom pytrace_cas.store import Store\nfrom pytrace_cas.digest import BLAKE3\n"
        "with Store.open(sys.argv[1]) as s: s.put(BLAKE3, sys.argv[2].encode())"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "s"), str(number)]) for number in range(8)
    ]
    assert [child.wait() for child in children] == [0] * 8
    with Store.open(str(tmp_path / "s"), create=False) as store:
        assert store.missing(BLAKE3, [BLAKE3.of(str(number).encode()) for number in range(8)]) == []
        assert store.check(read_data=True).problems == ()


def test_hit_imports_little(tmp_path: Path) -> None:
    program = (
        "import sys\nbefore = set(sys.modules)\n"
        "from pytrace_cas.store import Store\nfrom pytrace_cas.digest import BLAKE3\n"
        "with Store.open(sys.argv[1]) as s: s.get_action_result(BLAKE3, '', BLAKE3.of(b'x')); s.count('misses')\n"
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    )
    Store.open(str(tmp_path / "s")).close()
    run = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "s")], stdout=subprocess.PIPE, text=True, check=True
    )
    heavy = {"attrs", "attr", "typing", "json", "logging", "pathlib", "subprocess", "threading", "hashlib", "sqlite3"}
    assert not heavy & set(run.stdout.split())


def _write(root: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


def _files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def _with_format(root: Path, number: int) -> None:
    Store.open(str(root)).close()
    db = sqlite3.connect(root / "index.sqlite")
    db.execute(f"PRAGMA user_version = {number}")
    db.close()


def test_a_program_of_format_4_that_runs_on_across_the_migration_loses_nothing(tmp_path: Path) -> None:
    """It names no id: one that was used before is refused whole, every other is stored as before."""
    insert = """INSERT INTO results (function, hash, instance, size, complete, charge, used, turn, message)
    VALUES (9, ?, '', 5, 1, 256, 1, 1, x'')"""
    with Store.open(str(tmp_path / "store")) as store:
        first, last = (store.put(BLAKE3, b"%d" % number) for number in range(2))
        for digest in (first, last):
            store.put_action_result(BLAKE3, "", digest, b"", [])
        with store.exclusive() as db:
            db.execute(insert, (b"new",))
        assert len(list(store.action_results(BLAKE3, ""))) == 3

        def replace() -> None:
            with store.exclusive() as db:
                db.execute("DELETE FROM results WHERE hash = ?", (b"new",))
                db.execute(insert, (b"put in its place",))

        with pytest.raises(StoreError):
            replace()
        assert len(list(store.action_results(BLAKE3, ""))) == 3
        assert store.get_action_result(BLAKE3, "", last) == b""
