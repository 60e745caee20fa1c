# SPDX-License-Identifier: Apache-2.0
"""`pytrace-cas check|prune|version` as a user runs them."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from pytrace_cas import __version__
from pytrace_cas.digest import BLAKE3
from pytrace_cas.store import Store


def _run(*arguments: str | bytes, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from pytrace_cas.cli import main; main()", *arguments]
    environment = {**os.environ, **variables}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


@pytest.fixture
def root(tmp_path: Path) -> str:
    """The directory of a store with three blobs, one of them a file."""
    path = str(tmp_path / "s")
    with Store.open(path) as store:
        for data in (b"a", b"b", bytes(50_000)):
            store.put(BLAKE3, data)
    return path


def test_version() -> None:
    assert json.loads(_run("version", "--json").stdout)["version"] == __version__
    assert __version__ in _run("version").stdout


@pytest.mark.parametrize(
    "words", ["check", "nosuch", "serve --bogus", "serve --dir s --grpc-address foo", "serve --dir s --max-size x"]
)
def test_a_wrong_call_is_told_in_one_line(words: str) -> None:
    run = _run(*words.split())
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("pytrace-cas: ")
    assert run.stderr.endswith(" --help)\n")
    assert run.stderr.count("\n") == 1


def test_check_of_a_sound_store(root: str) -> None:
    run = _run("check", "--dir", root, "--read-data", "--json")
    assert run.returncode == 0
    answer = json.loads(run.stdout)
    assert (answer["schema"], answer["blobs"], answer["files"], answer["problems"]) == (1, 3, 1, [])


def test_check_finds_and_repairs(root: str) -> None:
    digest = BLAKE3.of(bytes(50_000))
    place = f"cas/blake3/{digest.hash[:2]}/{digest.hash}"
    os.truncate(f"{root}/{place}", 1)
    found = _run("check", "--dir", root, "--json")
    assert found.returncode == 1
    (problem,) = json.loads(found.stdout)["problems"]
    assert (problem["code"], problem["digest"], problem["path"], problem["repaired"]) == (
        "file-size",
        str(digest),
        place,
        False,
    )
    assert _run("check", "--repair", PYTRACE_CAS_DIR=root).returncode == 0
    assert _run("check", "--dir", root, "--read-data").returncode == 0


def test_check_of_a_damaged_index(root: str) -> None:
    Path(root, "index.sqlite").write_bytes(b"garbage" * 9999)
    assert _run("check", "--dir", root).returncode == 1
    assert _run("check", "--dir", root, "--repair").returncode == 0
    assert _run("check", "--dir", root).returncode == 0


def test_exit_statuses(tmp_path: Path, root: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    for verb in ("check", "prune"):
        assert _run(verb, "--dir", str(tmp_path / "nowhere")).returncode == 10
        assert _run(verb, "--dir", str(tmp_path / "empty")).returncode == 10
        assert _run(verb, "--dir", str(tmp_path / "file")).returncode == 2
        assert _run(verb).returncode == 2
    assert _run("no-such-verb").returncode == 2
    assert os.listdir(tmp_path / "empty") == []
    db = sqlite3.connect(f"{root}/index.sqlite")
    db.execute("PRAGMA user_version = 99")
    db.close()
    newer = _run("check", "--dir", root)
    assert newer.returncode == 2
    assert len(newer.stderr.splitlines()) == 1


@pytest.mark.parametrize("verb", [("prune", "--max-size", "1"), ("check",), ("check", "--repair"), ("serve",)])
def test_folder_of_the_users_is_left_as_it_is(tmp_path: Path, verb: tuple[str, ...]) -> None:
    files = {"trash/user.txt": b"precious", "pending": b"precious", "cas/u": b"precious"}
    for name, data in files.items():
        (tmp_path / "used" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "used" / name).write_bytes(data)
    done = _run(*verb, "--dir", str(tmp_path / "used"))
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (10, "", 1)
    assert str(tmp_path / "used") in done.stderr
    left = [path for path in (tmp_path / "used").rglob("*") if path.is_file()]
    assert {str(path.relative_to(tmp_path / "used")): path.read_bytes() for path in left} == files


def test_directory_that_is_not_utf8(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff?#%41"
    with Store.open(path) as store:
        store.put(BLAKE3, b"x")
    run = _run("check", "--dir", path, "--json")
    assert run.returncode == 0
    assert json.loads(run.stdout)["blobs"] == 1


def test_prune(root: str) -> None:
    dry = json.loads(_run("prune", "--dir", root, "--max-size", "1K", "--dry-run", "--json").stdout)
    assert (dry["dry_run"], dry["blobs"]) == (True, 3)
    gone = json.loads(_run("prune", "--dir", root, "--max-size", "1K", "--json").stdout)
    assert (gone["blobs"], gone["size"], gone["max_size"]) == (dry["blobs"], 0, 10 << 30)


def test_prune_by_age(root: str) -> None:
    assert json.loads(_run("prune", "--dir", root, "--older-than", "1h", "--json").stdout)["blobs"] == 0
    db = sqlite3.connect(f"{root}/index.sqlite")
    db.execute("UPDATE blobs SET used = used - 7200 WHERE size = 50000")
    db.commit()
    db.close()
    assert json.loads(_run("prune", "--dir", root, "--older-than", "1h", "--json").stdout)["blobs"] == 1
    assert _run("prune", "--dir", root, "--older-than", "soon").returncode == 2


def test_backup_and_restore(root: str, tmp_path: Path) -> None:
    copy = str(tmp_path / "copy")
    done = json.loads(_run("backup", "--dir", root, "--json", copy).stdout)
    assert (done["blobs"], done["results"], done["bytes"]) == (3, 0, os.path.getsize(copy))
    assert _run("backup", "--dir", root, f"{root}/index.sqlite").returncode == 1
    os.unlink(f"{root}/index.sqlite")
    assert json.loads(_run("restore", "--dir", root, "--json", copy).stdout)["blobs"] == 3
    assert _run("check", "--dir", root, "--read-data").returncode == 0
    assert _run("restore", "--dir", root, f"{root}/pending").returncode == 2
    with Store.open(root):
        assert _run("restore", "--dir", root, copy).returncode == 11


def test_help_ends_with_the_exit_statuses() -> None:
    for arguments in (("--help",), ("check", "--help"), ("prune", "--help"), ("version", "--help")):
        assert "Exit status" in _run(*arguments).stdout.strip().split("\n\n")[-1]
