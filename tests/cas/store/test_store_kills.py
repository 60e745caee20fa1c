# SPDX-License-Identifier: Apache-2.0
"""`kill -9` at every named point and at random: nothing acknowledged is lost, nothing partial is seen."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pytrace_cas.digest import BLAKE3, Digest
from pytrace_cas.store import BlobNotFound, Store

VICTIM = Path(__file__).with_name("victim.py")
EVICTING = ("rows-evicted", "file-removed", "files-evicted")
ADDING = ("staged", "written", "announced", "file-moved-in", "before-commit", "after-commit")


def _start(
    root: Path, seed: int, rounds: int, *point: str, evicts: float = 0.0, compresses: bool = False
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, str(VICTIM), str(root), str(seed), str(rounds), *point],
        stdout=subprocess.PIPE,
        env={**os.environ, "VICTIM_EVICTS": str(evicts), **({"VICTIM_COMPRESSES": "1"} if compresses else {})},
    )


def _said(victim: subprocess.Popen[bytes]) -> list[tuple[str, str]]:
    text = victim.communicate()[0].decode()
    return [(kind, rest) for kind, _, rest in (line.partition(" ") for line in text.splitlines())]


def _is_sound(root: Path) -> None:
    """Nothing wrong, before and after the next writer has cleared up; no file but the indexed ones."""
    with Store.open(str(root), create=False, read_only=True) as store:
        assert store.check(read_data=True).problems == ()
    with Store.open(str(root), create=False) as store:
        store.put(BLAKE3, os.urandom(30_000))
        report = store.check(read_data=True)
        assert report.problems == ()
        files = [path for path in Path(root, "cas").rglob("*") if path.is_file()]
        with store._index.read() as db:
            assert db.execute("SELECT count(*) FROM blobs WHERE data IS NULL").fetchone() == (len(files),)


def _has_all(root: Path, said: list[tuple[str, str]]) -> None:
    with Store.open(str(root), create=False) as store:
        for kind, text in said:
            digest = Digest.parse(text) if kind in ("blob", "chunk", "result") else None
            if kind in ("blob", "chunk") and digest:
                assert BLAKE3.of(store.get(BLAKE3, digest)) == digest
            elif kind == "result" and digest:
                assert store.get_action_result(BLAKE3, "", digest) == text.encode()


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("point", ADDING)
def test_killed_while_adding(tmp_path: Path, point: str, count: int) -> None:
    root = tmp_path / "s"
    victim = _start(root, count, 50, point, str(count))
    said = _said(victim)
    assert victim.returncode == -signal.SIGKILL
    _has_all(root, said)
    _is_sound(root)


@pytest.mark.parametrize("point", ADDING)
def test_killed_while_adding_compressed(tmp_path: Path, point: str) -> None:
    root = tmp_path / "s"
    victim = _start(root, 3, 50, point, "8", evicts=0.3, compresses=True)
    said = _said(victim)
    assert victim.returncode == -signal.SIGKILL
    assert list(root.glob("cas/*/*/*.zst"))
    _results_are_whole(root, [text for kind, text in said if kind == "result"])
    _is_sound(root)


@pytest.mark.parametrize("point", ["folder-made", "marked", "index-built"])
def test_killed_while_making_the_store(tmp_path: Path, point: str) -> None:
    root = tmp_path / "s"
    victim = _start(root, 1, 1, point, "1")
    assert _said(victim) == []
    assert not (root / "index.sqlite").exists()
    Store.open(str(root)).close()
    _is_sound(root)


@pytest.mark.parametrize("point", [*EVICTING, "announced", "before-commit", "after-commit"])
def test_killed_while_evicting(tmp_path: Path, point: str) -> None:
    """An evictor that dies takes nothing with it that a result still needs."""
    root = tmp_path / "s"
    with Store.open(str(root)) as store:
        actions = []
        for number in range(30):
            need = store.put(BLAKE3, number.to_bytes(4) * 10_000)
            actions.append(BLAKE3.of(str(number).encode()))
            store.put_action_result(BLAKE3, "", actions[-1], b"", [need])
    program = (
        "import sys, os\nsys.path.insert(0, sys.argv[1])\nimport victim\nfrom pytrace_cas.store import Store\n"
        "victim._die_at(sys.argv[3], 1)\nwith Store.open(sys.argv[2]) as s: s.evict(down_to=s.size()[0] // 2)"
    )
    arguments = [sys.executable, "-c", program, str(VICTIM.parent), str(root), point]
    assert subprocess.run(arguments).returncode == -signal.SIGKILL
    with Store.open(str(root), read_only=True) as store:
        for number, action in enumerate(actions):
            if store.get_action_result(BLAKE3, "", action) is not None:
                assert store.get(BLAKE3, BLAKE3.of(number.to_bytes(4) * 10_000))
    _is_sound(root)


def test_file_of_a_killed_evictor_is_not_taken_for_a_new_one(tmp_path: Path) -> None:
    """A blob whose row an evictor has deleted is stored again before its old file is gone."""
    root = tmp_path / "s"
    data = bytes(40_000)
    with Store.open(str(root)) as store:
        store.put(BLAKE3, data)
    program = (
        "import sys\nsys.path.insert(0, sys.argv[1])\nimport victim\nfrom pytrace_cas.store import Store\n"
        "victim._die_at('rows-evicted', 1)\nwith Store.open(sys.argv[2]) as s: s.evict(down_to=0)"
    )
    subprocess.run([sys.executable, "-c", program, str(VICTIM.parent), str(root)])
    with Store.open(str(root)) as store:
        with pytest.raises(BlobNotFound):
            store.get(BLAKE3, BLAKE3.of(data))
        store.put(BLAKE3, data)
        assert store.get(BLAKE3, BLAKE3.of(data)) == data
    _is_sound(root)


@pytest.mark.parametrize("compresses", [False, True], ids=["plain", "zstd"])
def test_killed_at_random(tmp_path: Path, compresses: bool) -> None:
    root, choice = tmp_path / "s", random.Random(7)
    Store.open(str(root)).close()
    seen: list[tuple[str, str]] = []
    for generation in range(4):
        victims = [_start(root, 100 * generation + number, 10_000, compresses=compresses) for number in range(3)]
        for victim in victims:
            assert victim.stdout is not None
            victim.stdout.readline()  # it is writing
        for victim in victims:
            time.sleep(choice.random() / 5)
            victim.kill()
        for victim in victims:
            seen += _said(victim)
            assert victim.returncode == -signal.SIGKILL
    assert any(kind == "result" for kind, _ in seen)
    _has_all(root, seen)
    _is_sound(root)


@pytest.mark.parametrize("compresses", [False, True], ids=["plain", "zstd"])
def test_writers_and_evictors_killed_at_random(tmp_path: Path, compresses: bool) -> None:
    """With eviction under way no one can say what is left: what is left is right, and the last written is there."""
    root, choice = tmp_path / "s", random.Random(8)
    Store.open(str(root), max_size=3 << 20).close()
    for generation in range(4):
        seeds = range(1000 + 100 * generation, 1003 + 100 * generation)
        victims = [_start(root, seed, 10_000, evicts=0.5, compresses=compresses) for seed in seeds]
        for victim in victims:
            assert victim.stdout is not None
            victim.stdout.readline()
        for victim in victims:
            time.sleep(choice.random() / 5)
            victim.kill()
        said = [_said(victim) for victim in victims]
        assert [victim.returncode for victim in victims] == [-signal.SIGKILL] * 3
        _results_are_whole(root, [text for lines in said for kind, text in lines if kind == "result"])
    _is_sound(root)


def _results_are_whole(root: Path, actions: list[str]) -> None:
    with Store.open(str(root), read_only=True) as store:
        for text in actions:
            digest = Digest.parse(text)
            message = store.get_action_result(BLAKE3, "", digest)
            if message is not None:
                assert message == text.encode()
                with store._index.read() as db:
                    query = (
                        "SELECT f.hash, f.size FROM refs f JOIN results r ON r.id = f.result"
                        " WHERE r.hash = ? AND r.size = ?"
                    )
                    needs = db.execute(query, (bytes.fromhex(digest.hash), digest.size_bytes)).fetchall()
                assert len(needs) == 3
                for hash, size in needs:
                    assert len(store.get(BLAKE3, Digest(hash.hex(), size))) == size
