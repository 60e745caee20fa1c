# SPDX-License-Identifier: Apache-2.0
"""What cannot be right gets one line and 125; what merely fails never stops the command."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.exec.wrapper.place import Ended, Place

pytestmark = [pytest.mark.strace]


def refused(ended: Ended, place: Place) -> None:
    """Check that there was one line, the exit status of usage errors, and nothing written."""
    assert ended.status == 125
    assert ended.stdout == b""
    assert ended.stderr.startswith(b"pytrace-exec: ")
    assert ended.stderr.count(b"\n") == 1
    assert os.listdir(place.root) == ["WORKSPACE"]
    assert ended.record is None


@pytest.mark.parametrize(
    "words",
    [
        ("--no-such-option", "--", "touch", "x"),
        ("--units", "--", "touch", "x"),
        (),
        ("--",),
        ("--root", "/no/such/folder", "--", "touch", "x"),
        ("--root", "WORKSPACE", "--", "touch", "x"),
        ("--root", "/usr", "--", "touch", "x"),
        ("--remote", "ftp://host", "--", "touch", "x"),
        ("--remote", "grpc://host:port", "--", "touch", "x"),
        ("--remote", "http://", "--", "touch", "x"),
        ("--mode", "fast", "--", "touch", "x"),
        ("--timeout", "soon", "--", "touch", "x"),
        ("--dir", "WORKSPACE", "--", "touch", "x"),
        ("--dir", "WORKSPACE/below", "--", "touch", "x"),
    ],
)
def test_mistakes_on_the_command_line(place: Place, words: tuple[str, ...]) -> None:
    refused(place.run(*words), place)
    assert not place.store.exists()


def test_a_malformed_file_of_the_project(place: Place) -> None:
    place.put("pytrace.toml", "mtime = 3\n")
    ended = place.run("--", "touch", "x")
    assert (ended.status, ended.stderr.count(b"\n")) == (125, 1)
    assert not (place.root / "x").exists()


def test_a_store_of_a_newer_version(place: Place) -> None:
    assert place.run("--", "true").outcome == "miss"
    with sqlite3.connect(place.store / "index.sqlite") as index:
        index.execute("PRAGMA user_version = 99")
    index.close()
    refused(place.run("--", "touch", "x"), place)
    default = place.run(
        "-v", "--", "true", variables={"PYTRACE_DIR": None, "XDG_CACHE_HOME": str(_as_cache(place.store))}
    )
    assert (default.status, default.outcome, default.stderr.count(b"\n")) == (0, "bypass", 1)


def _as_cache(store: Path) -> Path:
    """Make a store the default one."""
    folder = store.parent / "cache"
    folder.mkdir()
    store.rename(folder / "pytrace")
    return folder


def test_a_folder_with_another_index(place: Place) -> None:
    place.store.mkdir()
    with sqlite3.connect(place.store / "index.sqlite") as index:
        index.execute("CREATE TABLE other(one)")
    index.close()
    before = sorted(os.listdir(place.store))
    refused(place.run("--", "touch", "x"), place)
    assert sorted(os.listdir(place.store)) == before


def test_a_folder_with_files_of_the_users(place: Place) -> None:
    (place.store / "trash").mkdir(parents=True)
    for name in ("trash/user.txt", "pending"):
        (place.store / name).write_text("precious")
    refused(place.run("--", "touch", "x"), place)
    default = {"PYTRACE_DIR": None, "XDG_CACHE_HOME": str(_as_cache(place.store))}
    ended = place.run("-v", "--", "true", variables=default)
    assert (ended.status, ended.outcome, ended.stderr.count(b"\n")) == (0, "bypass", 1)
    left = [path for path in (place.store.parent / "cache").rglob("*") if path.is_file()]
    assert sorted(path.name for path in left) == ["pending", "user.txt"]
    assert {path.read_text() for path in left} == {"precious"}


def test_without_a_home_there_is_no_store(place: Place) -> None:
    nowhere = {"HOME": None, "PYTRACE_DIR": None}
    ended = place.run("--explain", "--", "sh", "-c", "echo ran; exit 3", variables=nowhere)
    assert (ended.status, ended.stdout) == (3, b"ran\n")
    assert ended.stderr.splitlines()[0] == b"pytrace: bypass: no store"
    assert place.run("--", "true", variables=nowhere).stderr == b""


@pytest.fixture(params=["nothing there", "a store"])
def before(request: pytest.FixtureRequest) -> str:
    """What there is before the disk fills up or becomes read only."""
    return str(request.param)


def fails_quietly(place: Place, store: Path, outcomes: tuple[str, ...]) -> None:
    """Check that a command runs as it would, silent but for who asks."""
    script = "echo out; echo err >&2; head -c 300000 /dev/zero > big; exit 3"
    for options, lines in (((), 0), (("-v",), 1)):
        for command in (("--cache-failures", "--", "sh", "-c", script),):
            ended = place.run(*options, *command, variables={"PYTRACE_DIR": str(store)})
            assert (ended.status, ended.stdout) == (3, b"out\n")
            said = ended.stderr.splitlines()
            assert said[0] == b"err"
            assert len(said) == 1 + lines
            assert ended.outcome in outcomes
            (place.root / "big").unlink()


def test_a_full_disk(place: Place, before: str) -> None:
    with _small_disk(place, "size=1m") as disk:
        store = disk / "store"
        if before == "a store":
            assert place.run("--", "true", variables={"PYTRACE_DIR": str(store)}).outcome == "miss"
        with open(disk / "filler", "wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(bytes(4096))
            except OSError:
                pass
        fails_quietly(place, store, ("bypass", "not_stored"))
        if before == "a store":
            assert place.run("--", "true", variables={"PYTRACE_DIR": str(store)}).outcome == "hit"


def test_a_read_only_disk(place: Place, before: str) -> None:
    with _small_disk(place, "size=8m") as disk:
        store = disk / "store"
        if before == "a store":
            assert place.run("--", "true", variables={"PYTRACE_DIR": str(store)}).outcome == "miss"
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        fails_quietly(place, store, ("bypass", "not_stored"))
        if before == "a store":
            assert place.run("--", "true", variables={"PYTRACE_DIR": str(store)}).outcome == "hit"


@contextmanager
def _small_disk(place: Place, options: str) -> Iterator[Path]:
    disk = place.base / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", disk], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("mounting a small file system needs CAP_SYS_ADMIN")
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_store_that_fails_midway(place: Place) -> None:
    place.put("in", "one\n")
    script = f"cat in; rm -r {place.store}; echo no > {place.store}"
    ended = place.run("-v", "--", "sh", "-c", script)
    assert (ended.status, ended.stdout) == (0, b"one\n")
    assert ended.outcome in ("not_stored", "error")


def test_a_damaged_index(place: Place) -> None:
    assert place.run("--", "true").outcome == "miss"
    for name in os.listdir(place.store):
        if name.startswith("index.sqlite"):
            (place.store / name).write_bytes(b"SQLite format 3\0" + os.urandom(8192))
    ended = place.run("--", "sh", "-c", "echo ran; exit 3")
    assert (ended.status, ended.stdout, ended.stderr) == (3, b"ran\n", b"")
