# SPDX-License-Identifier: Apache-2.0
"""Chunks and wholes: no byte is stored twice, nothing outlives what it depends on, every way of reading agrees."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytrace_cas.digest import BLAKE3, Digest
from pytrace_cas.store import BlobNotFound, BlobReader, DigestMismatch, Store, parts
from pytrace_cas.store.layout import Layout
from pytrace_cas.store.rebuild import rebuild
from tests.support.old_stores import take_parts_away
from tests.support.zstd import zstd

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SIZE = 40_000  # of a chunk: a file


def cut(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Cut every 40 000 bytes."""
    data = b"".join(blocks)
    for start in range(0, len(data), SIZE):
        yield data[start : start + SIZE]


def made(seed: int, chunks: int) -> list[bytes]:
    """Chunks of which a compressing store saves half."""
    choice = random.Random(seed)
    return [2 * choice.randbytes(SIZE // 2) for _ in range(chunks)]


@pytest.fixture(params=[False, True], ids=["plain", "zstd"])
def compress(request: pytest.FixtureRequest) -> bool:
    """Whether the store compresses what it keeps in files."""
    return bool(request.param)


@pytest.fixture
def store(tmp_path: Path, compress: bool) -> Iterator[Store]:
    """An empty store of its own, of either kind."""
    with Store.open(bytes(tmp_path / "store"), compress=compress) as opened:
        yield opened


def put_list(store: Store, chunks: list[bytes]) -> Digest:
    whole = BLAKE3.of(b"".join(chunks))
    store.splice(BLAKE3, whole, [store.put(BLAKE3, chunk) for chunk in chunks], 1)
    return whole


def files(store: Store) -> list[Path]:
    return [path for path in Path(os.fsdecode(store.path), "cas").rglob("*") if path.is_file()]


def file_of(store: Store, digest: Digest) -> Path:
    """The file of a blob, of either form."""
    (path,) = [path for path in files(store) if path.name.removesuffix(".zst") == digest.hash]
    return path


def reads_as(store: Store, digest: Digest, data: bytes, target: Path) -> None:
    """By every way of reading."""
    assert store.get(BLAKE3, digest) == data
    for offset in (0, 1, SIZE - 1, SIZE, len(data) - 1, len(data)):
        if offset <= len(data):
            with store.open_blob(BLAKE3, digest, offset) as blob:
                assert b"".join(blob) == data[offset:]
            with store.open_compressed(BLAKE3, digest, offset) as frames:
                assert zstd.decompress(b"".join(frames)) == data[offset:]
    with store.open_blob(BLAKE3, digest, verify=True) as blob:
        assert b"".join(blob) == data
    with open(target, "w+b") as file:
        store.copy_to(BLAKE3, digest, file.fileno())
    assert target.read_bytes() == data
    assert store.missing(BLAKE3, [digest]) == []
    assert store.find(BLAKE3, digest.hash) == digest


def test_a_spliced_blob_is_a_list_of_its_chunks(store: Store, tmp_path: Path) -> None:
    chunks = made(1, 5)
    chunks.append(chunks[0])
    whole = put_list(store, chunks)
    used = store.size()[0]
    assert used < 5 * 42_000
    assert len(files(store)) == 5
    reads_as(store, whole, b"".join(chunks), tmp_path / "out")
    for chunk in chunks:
        reads_as(store, BLAKE3.of(chunk), chunk, tmp_path / "out")
    assert store.split(BLAKE3, whole, 2, cut) == (1, [BLAKE3.of(chunk) for chunk in chunks])
    assert store.put(BLAKE3, b"".join(chunks)) == whole
    assert store.size()[0] == used
    assert store.check(read_data=True).problems == ()


def test_a_split_file_keeps_its_bytes_and_its_chunks_are_ranges(store: Store, tmp_path: Path) -> None:
    chunks = made(2, 5)
    whole = store.put(BLAKE3, b"".join(chunks))
    before = store.size()[0]
    assert store.split(BLAKE3, whole, 1, cut) == (1, [BLAKE3.of(chunk) for chunk in chunks])
    assert len(files(store)) == 1
    assert store.size()[0] - before < 5 * 400
    for chunk in chunks:
        reads_as(store, BLAKE3.of(chunk), chunk, tmp_path / "out")
        store.put(BLAKE3, chunk)
    reads_as(store, whole, b"".join(chunks), tmp_path / "out")
    assert len(files(store)) == 1
    assert store.check(read_data=True).problems == ()


@pytest.mark.parametrize("by_splicing", [False, True])
def test_chunks_that_were_there_are_not_counted_twice(store: Store, tmp_path: Path, by_splicing: bool) -> None:
    chunks = made(3, 150)
    digests = [store.put(BLAKE3, chunk) for chunk in chunks]
    alone = store.size()[0]
    whole = store.put(BLAKE3, b"".join(chunks))
    assert store.size()[0] > 1.7 * alone
    if by_splicing:
        store.splice(BLAKE3, whole, digests, 2)
    assert store.split(BLAKE3, whole, 1, cut) == (2 if by_splicing else 1, digests)
    assert store.size()[0] < 1.1 * alone
    assert len(files(store)) == 1
    assert os.listdir(store.path + b"/trash") == []
    reads_as(store, BLAKE3.of(chunks[7]), chunks[7], tmp_path / "out")
    assert store.check(read_data=True).problems == ()


def test_a_list_over_ranges_of_another_blob(store: Store, tmp_path: Path) -> None:
    old, new = made(4, 4), made(5, 1)
    first = store.put(BLAKE3, b"".join(old))
    store.split(BLAKE3, first, 1, cut)
    second = put_list(store, [old[0], new[0], old[2], old[3]])
    reads_as(store, second, old[0] + new[0] + old[2] + old[3], tmp_path / "out")
    assert len(files(store)) == 2
    action = BLAKE3.of(b"action")
    store.put_action_result(BLAKE3, "", action, b"message", [second])
    _drop(store, first)
    for gone in (first, second, BLAKE3.of(old[0])):
        with pytest.raises(BlobNotFound):
            store.get(BLAKE3, gone)
    assert store.get_action_result(BLAKE3, "", action) is None
    assert store.get(BLAKE3, BLAKE3.of(new[0])) == new[0]
    assert store.check(read_data=True).problems == ()


def _drop(store: Store, digest: Digest) -> None:
    """As an eviction of this blob alone does."""
    with store._index.write() as db:
        store._pending.settle(db)
        store._pending.announce([str(file_of(store, digest).relative_to(Path(os.fsdecode(store.path), "cas")))])
        db.execute("DELETE FROM blobs WHERE hash = ?", (bytes.fromhex(digest.hash),))
    with store._index.write() as db:
        store._pending.settle(db)


def test_a_chunk_that_goes_takes_the_lists_and_their_results_along(store: Store) -> None:
    chunks = made(6, 3)
    whole, other = put_list(store, chunks), put_list(store, chunks[1:])
    action = BLAKE3.of(b"action")
    store.put_action_result(BLAKE3, "", action, b"message", [whole])
    _drop(store, BLAKE3.of(chunks[0]))
    assert store.missing(BLAKE3, [whole, other]) == [whole]
    assert store.get_action_result(BLAKE3, "", action) is None
    assert store.check(read_data=True).problems == ()


def test_using_a_list_keeps_its_chunks_and_their_file(tmp_path: Path, compress: bool) -> None:
    """What was added before and not used since goes first; what the list hangs on does not."""
    with Store.open(bytes(tmp_path / "s"), max_size=(1 if compress else 2) << 20, compress=compress) as store:
        old = made(7, 4)
        first = store.put(BLAKE3, b"".join(old))
        store.split(BLAKE3, first, 1, cut)
        data = [old[1], *made(8, 2)]
        listed = put_list(store, data)
        for number in range(60):
            store.put(BLAKE3, made(100 + number, 1)[0])
            assert store.get(BLAKE3, listed) == b"".join(data)
        assert store.get(BLAKE3, first) == b"".join(old)
        assert store.missing(BLAKE3, [BLAKE3.of(made(100, 1)[0])])
        for number in range(60):
            store.put(BLAKE3, made(200 + number, 1)[0])
        assert store.missing(BLAKE3, [listed]) == [listed]
        assert store.check(read_data=True).problems == ()


def test_refusals(store: Store) -> None:
    chunks = made(9, 3)
    digests = [store.put(BLAKE3, chunk) for chunk in chunks]
    whole = BLAKE3.of(b"".join(chunks))
    before = store.size()
    with pytest.raises(DigestMismatch):
        store.splice(BLAKE3, whole, digests[::-1], 1)
    with pytest.raises(DigestMismatch):
        store.splice(BLAKE3, whole, digests[:2], 1)
    absent = BLAKE3.of(made(10, 1)[0])
    with pytest.raises(BlobNotFound) as caught:
        store.splice(BLAKE3, whole, [*digests[:2], absent], 1)
    assert caught.value.digest == absent
    with pytest.raises(BlobNotFound):
        store.split(BLAKE3, whole, 1, cut)
    assert store.size() == before


def test_what_is_too_fine_is_copied(store: Store, tmp_path: Path) -> None:
    """Tiny chunks, and lists of lists, become blobs of their own."""
    small = [bytes([number]) * 100 for number in range(200)]
    reads_as(store, put_list(store, small), b"".join(small), tmp_path / "out")
    lists = [b"".join(made(seed, 2)) for seed in (11, 12)]
    for seed in (11, 12):
        put_list(store, made(seed, 2))
    whole = BLAKE3.of(b"".join(lists))
    store.splice(BLAKE3, whole, [BLAKE3.of(part) for part in lists], 1)
    reads_as(store, whole, b"".join(lists), tmp_path / "out")
    with store._index.read() as db:
        assert db.execute("SELECT count(*) FROM blobs WHERE form = 2").fetchone() == (2,)
    assert store.check(read_data=True).problems == ()


def test_one_chunk_and_none(store: Store) -> None:
    small = store.put(BLAKE3, bytes(100))
    assert store.split(BLAKE3, small, 1, cut) == (1, [small])
    assert store.split(BLAKE3, BLAKE3.empty_digest(), 1, cut) == (1, [])
    store.splice(BLAKE3, small, [small, BLAKE3.empty_digest()], 1)
    store.splice(BLAKE3, BLAKE3.empty_digest(), [], 1)


@pytest.mark.parametrize("form", ["list", "range"])
def test_damage_is_found_and_everything_that_hangs_on_it_goes(store: Store, form: str, tmp_path: Path) -> None:
    chunks = made(13, 3)
    if form == "list":
        whole, damaged = put_list(store, chunks), BLAKE3.of(chunks[1])
    else:
        whole = damaged = store.put(BLAKE3, b"".join(chunks))
        store.split(BLAKE3, whole, 1, cut)
    path = file_of(store, damaged)
    with open(path, "r+b") as file:
        file.seek(SIZE + 5 if form == "range" else 5)
        file.write(b"damage")
    assert {problem.code for problem in store.check(read_data=True).problems} == {"data-corrupt"}
    asked = whole if form == "list" else BLAKE3.of(chunks[1])
    with open(tmp_path / "out", "w+b") as file, pytest.raises(BlobNotFound):
        store.copy_to(BLAKE3, asked, file.fileno())
    assert (tmp_path / "out").read_bytes() == b""
    assert store.missing(BLAKE3, [whole, BLAKE3.of(chunks[1])]) == [whole, BLAKE3.of(chunks[1])]
    assert store.check(read_data=True).problems == ()


def test_an_index_of_format_3_gets_its_parts(tmp_path: Path) -> None:
    root = bytes(tmp_path / "s")
    chunks = made(14, 3)
    with Store.open(root) as store:
        whole = store.put(BLAKE3, b"".join(chunks))
        with store._index.write() as db:
            take_parts_away(db)
    with Store.open(root) as store:
        assert store.split(BLAKE3, whole, 1, cut) == (1, [BLAKE3.of(chunk) for chunk in chunks])
        assert store.get(BLAKE3, BLAKE3.of(chunks[1])) == chunks[1]
        assert store.check(read_data=True).problems == ()


def test_a_rebuilt_index_has_its_parts_again(tmp_path: Path, compress: bool) -> None:
    root = tmp_path / "s"
    chunks, fresh = made(15, 4), made(16, 1)
    with Store.open(bytes(root), compress=compress) as store:
        first = store.put(BLAKE3, b"".join(chunks))
        store.split(BLAKE3, first, 1, cut)
        second = put_list(store, [*fresh, *chunks])
    rebuild(Layout(bytes(root)))
    with Store.open(bytes(root), compress=compress) as store:
        assert store.get(BLAKE3, second) == b"".join([*fresh, *chunks])
        assert store.get(BLAKE3, BLAKE3.of(chunks[3])) == chunks[3]
        assert len(files(store)) == 2
        assert store.check(read_data=True).problems == ()


def test_check_finds_and_mends_wrong_parts(store: Store) -> None:
    chunks = made(17, 3)
    whole = put_list(store, chunks)
    split = store.put(BLAKE3, b"".join(made(18, 3)))
    store.split(BLAKE3, split, 1, cut)
    with store._index.write() as db:
        db.execute("DELETE FROM parts WHERE whole = (SELECT id FROM blobs WHERE form = 2) AND start > 0")
        db.execute("UPDATE blobs SET start = 100000 WHERE form = 1 AND start = 0")
        db.execute("INSERT INTO parts VALUES (9999, 0, 9998)")
    assert sorted(problem.code for problem in store.check().problems) == [
        "parts-dangling",
        "parts-wrong",
        "parts-wrong",
    ]
    assert store.check(repair=True).sound
    assert store.check(read_data=True).problems == ()
    assert store.missing(BLAKE3, [whole, split]) == [whole]


@pytest.mark.parametrize("point", ["before-commit", "after-commit", "split", "announced", "doubles-dropped"])
@pytest.mark.parametrize("count", [1, 2])
def test_killed_while_splitting(tmp_path: Path, compress: bool, point: str, count: int) -> None:
    """Whatever was acknowledged before is there afterwards, in whichever form."""
    root = tmp_path / "s"
    chunks = made(19, 80)
    with Store.open(bytes(root), compress=compress) as store:
        digests = [store.put(BLAKE3, chunk) for chunk in chunks[:70]]
        whole = store.put(BLAKE3, b"".join(chunks))
    program = (
        "import sys\nsys.path[:0] = sys.argv[1:3]\nimport victim\nfrom tests.cas.store.test_store_chunks import cut\n"
        "from pytrace_cas.digest import BLAKE3, Digest\nfrom pytrace_cas.store import Store\n"
        "victim._die_at(sys.argv[4], int(sys.argv[5]))\n"
        "with Store.open(sys.argv[3]) as s: s.split(BLAKE3, Digest.parse(sys.argv[6]), 1, cut)"
    )
    here = Path(__file__).parent
    arguments = [str(here), str(here.parents[2]), str(root), point, str(count), str(whole)]
    died = subprocess.run([sys.executable, "-c", program, *arguments]).returncode == -signal.SIGKILL
    assert died or (point, count) == ("split", 2)
    with Store.open(bytes(root), read_only=True) as store:
        assert store.check(read_data=True).problems == ()
    with Store.open(bytes(root), compress=compress) as store:
        assert store.get(BLAKE3, whole) == b"".join(chunks)
        for digest, chunk in zip(digests, chunks, strict=False):
            assert store.get(BLAKE3, digest) == chunk
        store.put(BLAKE3, os.urandom(30_000))
        with store._index.read() as db:
            expected = db.execute("SELECT count(*) FROM blobs WHERE data IS NULL").fetchone()[0]
        assert len(files(store)) == expected
        assert store.split(BLAKE3, whole, 1, cut)[1] == [BLAKE3.of(chunk) for chunk in chunks]
        assert store.check(read_data=True).problems == ()


@pytest.mark.parametrize("point", ["before-commit", "after-commit"])
def test_killed_while_splicing(tmp_path: Path, compress: bool, point: str) -> None:
    root = tmp_path / "s"
    chunks = made(20, 4)
    with Store.open(bytes(root), compress=compress) as store:
        for chunk in chunks:
            store.put(BLAKE3, chunk)
    program = (
        "import sys\nsys.path[:0] = sys.argv[1:3]\nimport victim\n"
        "from tests.cas.store.test_store_chunks import made, put_list\nfrom pytrace_cas.store import Store\n"
        "s = Store.open(sys.argv[3], compress=sys.argv[5] == 'zstd')\nvictim._die_at(sys.argv[4], 1)\n"
        "put_list(s, made(20, 4))"
    )
    here = Path(__file__).parent
    arguments = [str(here), str(here.parents[2]), str(root), point, "zstd" if compress else "plain"]
    assert subprocess.run([sys.executable, "-c", program, *arguments]).returncode == -signal.SIGKILL
    with Store.open(bytes(root), compress=compress) as store:
        whole = BLAKE3.of(b"".join(chunks))
        assert (store.missing(BLAKE3, [whole]) == []) == (point == "after-commit")
        assert store.check(read_data=True).problems == ()
        assert put_list(store, chunks) == whole
        assert store.get(BLAKE3, whole) == b"".join(chunks)


def test_a_row_that_was_written_anew_while_the_old_one_was_judged_stays(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers of rows are used again: the good blob has that of the bad one."""
    chunks, others = made(31, 3), made(32, 3)
    for chunk in (*chunks, *others):
        store.put(BLAKE3, chunk)
    bad, good = put_list(store, chunks), BLAKE3.of(b"".join(others))
    with store._index.write() as db:
        (id,) = db.execute("SELECT id FROM blobs WHERE hash = ?", (bytes.fromhex(bad.hash),)).fetchone()
        first = db.execute("SELECT chunk FROM parts WHERE whole = ? AND start = 0", (id,)).fetchone()
        db.execute("UPDATE parts SET chunk = ? WHERE whole = ? AND start = ?", (*first, id, SIZE))  # now it is bad

    class Later(BlobReader):
        """Opens a chunk after another process has dropped the list and stored another one."""

        def __init__(self, *arguments: Any) -> None:
            monkeypatch.undo()
            with Store.open(store.path) as other:
                with other._index.write() as db:
                    db.execute("DELETE FROM blobs WHERE id = ?", (id,))
                assert put_list(other, others) == good
            super().__init__(*arguments)

    monkeypatch.setattr(parts, "BlobReader", Later)
    parts.drop_damaged(store._reader, store._index, BLAKE3, bad)
    with store._index.read() as db:
        assert db.execute("SELECT id FROM blobs WHERE hash = ?", (bytes.fromhex(good.hash),)).fetchone() == (id,)
    assert store.get(BLAKE3, good) == b"".join(others)
    assert not store.contains(BLAKE3, bad)


def test_a_list_that_is_wrong_while_its_chunks_are_good_goes(store: Store) -> None:
    chunks = made(33, 3)
    whole = put_list(store, chunks)
    with store._index.write() as db:
        (id,) = db.execute("SELECT id FROM blobs WHERE hash = ?", (bytes.fromhex(whole.hash),)).fetchone()
        first = db.execute("SELECT chunk FROM parts WHERE whole = ? AND start = 0", (id,)).fetchone()
        db.execute("UPDATE parts SET chunk = ? WHERE whole = ? AND start = ?", (*first, id, SIZE))
    with pytest.raises(BlobNotFound):
        store.get(BLAKE3, whole)
    assert not store.contains(BLAKE3, whole)
    assert all(store.get(BLAKE3, BLAKE3.of(chunk)) == chunk for chunk in chunks)
    assert store.get(BLAKE3, put_list(store, chunks)) == b"".join(chunks)
