# SPDX-License-Identifier: Apache-2.0
"""Blobs: added, verified, read, found damaged."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytrace_cas.digest import BLAKE3, FUNCTIONS, SHA256, Digest, DigestFunction, MalformedDigest
from pytrace_cas.store import BlobCorrupt, BlobNotFound, DigestMismatch, OutOfSpace, RefusedBlobs, Store
from pytrace_cas.store.adding import INLINE

SIZES = (1, 100, INLINE, INLINE + 1, 300_000)


@pytest.fixture(params=list(FUNCTIONS.values()), ids=list(FUNCTIONS))
def function(request: pytest.FixtureRequest) -> DigestFunction:
    """Each digest function."""
    chosen: DigestFunction = request.param
    return chosen


@pytest.fixture(params=SIZES)
def data(request: pytest.FixtureRequest) -> bytes:
    """Bytes of every kind of size: in the index, at its edge, in a file."""
    return os.urandom(request.param)


def test_put_and_get(store: Store, function: DigestFunction, data: bytes) -> None:
    digest = store.put(function, data)
    assert digest == function.of(data)
    assert store.get(function, digest) == data
    assert store.put(function, data, digest) == digest
    assert store.contains(function, digest)
    assert store.check(read_data=True).problems == ()


def test_put_file(store: Store, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    digest = store.put_file(BLAKE3, str(path))
    fd = os.open(path, os.O_RDONLY)
    os.lseek(fd, 1, os.SEEK_SET)
    assert store.put_file(SHA256, fd, SHA256.of(data)) == SHA256.of(data)
    assert os.lseek(fd, 0, os.SEEK_CUR) == 1
    os.close(fd)
    assert store.get(BLAKE3, digest) == store.get(SHA256, SHA256.of(data)) == data
    with pytest.raises(DigestMismatch):
        store.put_file(BLAKE3, os.fsencode(path), BLAKE3.of(b"other"))


def test_writer(store: Store, function: DigestFunction, data: bytes) -> None:
    digest = function.of(data)
    with store.writer(function, digest) as writer:
        for start in range(0, len(data), 70_000):
            writer.write(data[start : start + 70_000])
            assert store.missing(function, [digest]) == [digest]
        assert writer.written == len(data)
        assert writer.commit() == digest
    assert store.get(function, digest) == data
    assert _leftovers(store) == []


def test_abandoned_writer_leaves_nothing(store: Store, data: bytes) -> None:
    digest = BLAKE3.of(data)
    with store.writer(BLAKE3, digest) as writer:
        writer.write(data)
    assert store.missing(BLAKE3, [digest]) == [digest]
    assert _leftovers(store) == []


@pytest.mark.parametrize("short", [False, True])
def test_writer_refuses_other_bytes(store: Store, data: bytes, short: bool) -> None:
    digest = BLAKE3.of(data)
    with store.writer(BLAKE3, digest) as writer:
        writer.write(data[1:] if short else bytes([data[0] ^ 1]) + data[1:])
        with pytest.raises(DigestMismatch) as caught:
            writer.commit()
    assert caught.value.digest == digest
    assert not store.contains(BLAKE3, digest)


def test_writer_refuses_more_bytes_at_once(store: Store, data: bytes) -> None:
    with store.writer(BLAKE3, BLAKE3.of(data)) as writer:
        writer.write(data)
        with pytest.raises(DigestMismatch):
            writer.write(b"x")


def test_put_of_other_bytes_stores_nothing(store: Store, data: bytes) -> None:
    with pytest.raises(DigestMismatch) as caught:
        store.put(BLAKE3, data, BLAKE3.of(b"other"))
    assert caught.value.found == BLAKE3.of(data)
    assert store.size()[0] == 0


def test_put_many_stores_the_good_ones(store: Store) -> None:
    good = {BLAKE3.of(data): data for data in (os.urandom(size) for size in (10, 20, INLINE + 1))}
    bad = BLAKE3.of(b"bad")
    with pytest.raises(RefusedBlobs) as caught:
        store.put_many(BLAKE3, [*good.items(), (bad, b"other"), *good.items()])
    assert caught.value.refused == [bad]
    assert store.missing(BLAKE3, [*good, bad]) == [bad]


def test_put_many_of_more_than_a_batch(store: Store) -> None:
    items = {BLAKE3.of(data): data for data in (str(number).encode() for number in range(3000))}
    store.put_many(BLAKE3, items.items())
    assert store.missing(BLAKE3, items) == []
    assert store.check().blobs == 3000


def test_empty_blob_is_always_there(store: Store, tmp_path: Path, function: DigestFunction) -> None:
    empty = function.empty_digest()
    assert store.missing(function, [empty]) == []
    assert store.get(function, empty) == b""
    assert list(store.open_blob(function, empty)) == []
    assert store.put(function, b"") == empty
    with store.writer(function, empty) as writer:
        assert writer.commit() == empty
    (tmp_path / "none").touch()
    assert store.put_file(function, str(tmp_path / "none")) == empty
    assert store.size()[0] == 0


def test_functions_do_not_alias(store: Store) -> None:
    digest = store.put(SHA256, b"data")
    same_text = Digest(digest.hash, digest.size_bytes)
    assert store.missing(BLAKE3, [same_text]) == [same_text]
    with pytest.raises(BlobNotFound):
        store.get(BLAKE3, same_text)


def test_size_is_part_of_a_digest(store: Store, data: bytes) -> None:
    wrong = Digest(store.put(BLAKE3, data).hash, len(data) + 1)
    assert store.missing(BLAKE3, [wrong]) == [wrong]
    with pytest.raises(BlobNotFound):
        store.open_blob(BLAKE3, wrong)


@pytest.mark.parametrize("text", ["../../etc/passwd", "AB" * 32, "ab" * 31])
def test_what_is_no_digest_is_refused(store: Store, text: str) -> None:
    for call in (store.get, store.contains, store.open_blob, store.writer):
        with pytest.raises(MalformedDigest):
            call(BLAKE3, Digest(text, 5))


def test_missing_answers_each_once_and_in_order(store: Store) -> None:
    here = store.put(BLAKE3, b"here")
    gone = [BLAKE3.of(str(number).encode()) for number in range(1000)]
    assert store.missing(BLAKE3, [*gone, here, *gone]) == gone


def test_reader(store: Store, data: bytes) -> None:
    digest = store.put(BLAKE3, data)
    with store.open_blob(BLAKE3, digest, verify=True) as blob:
        assert blob.size == len(data)
        assert b"".join(blob) == data
    middle = len(data) // 2
    with store.open_blob(BLAKE3, digest, middle) as blob:
        assert blob.read(10) == data[middle : middle + 10]
        assert blob.read(10) == data[middle + 10 : middle + 20]
    with pytest.raises(ValueError, match="offset"):
        store.open_blob(BLAKE3, digest, len(data) + 1)


def test_reader_outlives_eviction(store: Store, data: bytes) -> None:
    digest = store.put(BLAKE3, data)
    with store.open_blob(BLAKE3, digest) as blob:
        store.evict(down_to=0)
        assert store.missing(BLAKE3, [digest]) == [digest]
        assert b"".join(blob) == data


@pytest.mark.parametrize("flags", [os.O_RDWR, os.O_WRONLY])
def test_copy_to(store: Store, tmp_path: Path, data: bytes, flags: int) -> None:
    digest = store.put(BLAKE3, data)
    fd = os.open(tmp_path / "copy", flags | os.O_CREAT)
    store.copy_to(BLAKE3, digest, fd)
    os.close(fd)
    assert (tmp_path / "copy").read_bytes() == data


@pytest.fixture
def damaged(store: Store, data: bytes) -> Iterator[Digest]:
    """A blob with one bit changed, needed by an action result."""
    digest = store.put(BLAKE3, data)
    store.put_action_result(BLAKE3, "", digest, b"message", [digest])
    _damage(store, digest, bytes([data[0] ^ 1]) + data[1:])
    yield digest
    assert store.missing(BLAKE3, [digest]) == [digest]
    assert store.get_action_result(BLAKE3, "", digest) is None
    assert store.counters()["blobs_corrupt"] == 1
    assert store.check(read_data=True).problems == ()
    assert len(os.listdir(store.path + b"/quarantine")) == 1
    store.put(BLAKE3, data)
    assert store.get(BLAKE3, digest) == data


def test_corrupt_blob_is_missing_when_got(store: Store, damaged: Digest) -> None:
    with pytest.raises(BlobNotFound):
        store.get(BLAKE3, damaged)


def test_corrupt_blob_is_missing_when_copied(store: Store, tmp_path: Path, damaged: Digest) -> None:
    fd = os.open(tmp_path / "copy", os.O_RDWR | os.O_CREAT)
    with pytest.raises(BlobNotFound):
        store.copy_to(BLAKE3, damaged, fd)
    assert os.fstat(fd).st_size == os.lseek(fd, 0, os.SEEK_CUR) == 0
    os.close(fd)


def test_corrupt_blob_is_found_at_its_end(store: Store, damaged: Digest) -> None:
    with store.open_blob(BLAKE3, damaged, verify=True) as blob, pytest.raises(BlobCorrupt):
        list(blob)


def test_what_was_verified_lately_is_hashed_again_once_it_was_written(store: Store) -> None:
    data = os.urandom(40000)
    digest = store.put(BLAKE3, data)
    for _ in range(3):
        with store.open_blob(BLAKE3, digest, verify=True) as blob:
            assert b"".join(blob) == data
    _damage(store, digest, bytes([data[0] ^ 1]) + data[1:])
    with store.open_blob(BLAKE3, digest, verify=True) as blob, pytest.raises(BlobCorrupt):
        list(blob)
    assert store.missing(BLAKE3, [digest]) == [digest]


def test_what_was_verified_lately_is_not_hashed_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = store.put(BLAKE3, os.urandom(40000))
    hashed: list[str] = []
    new = BLAKE3.new

    def counted(function: DigestFunction) -> Any:
        hashed.append(function.name)
        return new()

    monkeypatch.setattr(DigestFunction, "new", counted)
    for _ in range(3):
        with store.open_blob(BLAKE3, digest, verify=True) as blob:
            list(blob)
    assert hashed == ["blake3"]
    monkeypatch.setattr("pytrace_cas.store.verified.LASTING_SECONDS", 0.0)
    with store.open_blob(BLAKE3, digest, verify=True) as blob:
        list(blob)
    assert hashed == ["blake3", "blake3"]


def test_truncated_file_is_missing(store: Store) -> None:
    digest = store.put(BLAKE3, bytes(40000))
    os.truncate(_file(store, digest), 39999)
    with pytest.raises(BlobNotFound):
        store.get(BLAKE3, digest)
    assert store.check().problems == ()


def test_put_mends_a_file_that_is_gone(store: Store) -> None:
    digest = store.put(BLAKE3, bytes(40000))
    os.unlink(_file(store, digest))
    store.put(BLAKE3, bytes(40000))
    assert store.get(BLAKE3, digest) == bytes(40000)
    assert store.check(read_data=True).problems == ()


def test_good_file_is_not_condemned_for_a_bad_one(store: Store) -> None:
    digest = store.put(BLAKE3, bytes(40000))
    path = _file(store, digest)
    with store.open_blob(BLAKE3, digest, verify=True) as blob:
        _damage(store, digest, b"x" * 40000)
        os.rename(path, path + b".bad")
        with open(path, "wb") as file:
            file.write(bytes(40000))
        os.unlink(path + b".bad")
        with pytest.raises(BlobCorrupt):
            list(blob)
    assert store.get(BLAKE3, digest) == bytes(40000)


def test_larger_than_the_limit_is_refused_at_once(tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "s"), max_size=100_000) as store:
        small = store.put(BLAKE3, b"small")
        big = Digest("ab" * 32, 100_000)
        with pytest.raises(OutOfSpace) as caught:
            store.writer(BLAKE3, big)
        assert caught.value.limit == 100_000
        with pytest.raises(OutOfSpace):
            store.put(BLAKE3, bytes(100_000))
        assert store.missing(BLAKE3, [small]) == []
        assert _leftovers(store) == []


def test_fsync(tmp_path: Path, data: bytes) -> None:
    with Store.open(str(tmp_path / "s"), fsync=True) as store:
        assert store.get(BLAKE3, store.put(BLAKE3, data)) == data


def _file(store: Store, digest: Digest) -> bytes:
    return store.path + b"/cas/blake3/" + digest.hash[:2].encode() + b"/" + digest.hash.encode()


def _damage(store: Store, digest: Digest, data: bytes) -> None:
    """Change a blob's bytes behind the store's back."""
    if digest.size_bytes > INLINE:
        with open(_file(store, digest), "r+b") as file:
            file.write(data)
    else:
        with store._index.write() as db:
            db.execute("UPDATE blobs SET data = ? WHERE hash = ?", (data, bytes.fromhex(digest.hash)))


def _leftovers(store: Store) -> list[bytes]:
    return os.listdir(store.path + b"/tmp") + os.listdir(store.path + b"/trash")
