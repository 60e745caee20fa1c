# SPDX-License-Identifier: Apache-2.0
"""Blobs that are compressed at rest: the same blobs, from any offset, in a store that also holds plain ones."""

from __future__ import annotations

import os
import sqlite3
import struct
import subprocess
import tracemalloc
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytrace_cas.compression import FRAME
from pytrace_cas.digest import BLAKE3, SHA256
from pytrace_cas.store import BlobCorrupt, BlobNotFound, Store
from pytrace_cas.store.rebuild import check_directory
from tests.support.old_stores import take_packed_away
from tests.support.zstd import zstd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TEXT = b"".join(b"line %d of a text that shrinks\n" % number for number in range(100_000))
SIZES = (16_385, FRAME - 1, FRAME, FRAME + 1, len(TEXT))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "s"


@pytest.fixture
def packing(place: Path) -> Iterator[Store]:
    """A store that compresses."""
    with Store.open(str(place), compress=True) as store:
        yield store


def files(place: Path) -> list[Path]:
    return [path for path in (place / "cas").rglob("*") if path.is_file()]


def compressed(store: Store, data: bytes, offset: int = 0) -> bytes:
    with store.open_compressed(BLAKE3, BLAKE3.of(data), offset) as reader:
        return b"".join(reader)


def plain(store: Store, data: bytes, offset: int = 0, piece: int = 100_000) -> bytes:
    parts = []
    with store.open_blob(BLAKE3, BLAKE3.of(data), offset, verify=not offset) as reader:
        while part := reader.read(piece):
            parts.append(part)
    return b"".join(parts)


def copied(store: Store, data: bytes, tmp: Path) -> bytes:
    with open(tmp / "copy", "w+b") as file:
        store.copy_to(BLAKE3, BLAKE3.of(data), file.fileno())
    return (tmp / "copy").read_bytes()


@pytest.mark.parametrize("size", SIZES)
def test_a_blob_is_the_same_however_it_is_read(packing: Store, place: Path, tmp_path: Path, size: int) -> None:
    data = TEXT[:size]
    packing.put(BLAKE3, data)
    (file,) = files(place)
    assert file.suffix == ".zst"
    assert file.stat().st_size < size / 2
    assert packing.size()[0] == 256 + -(-file.stat().st_size // 4096) * 4096
    assert packing.get(BLAKE3, BLAKE3.of(data)) == data
    assert copied(packing, data, tmp_path) == data
    for offset in {0, 1, size // 2, size - 1, size, min(size, FRAME)}:
        assert plain(packing, data, offset) == data[offset:]
        assert zstd.decompress(compressed(packing, data, offset)) == data[offset:]
    with Store.open(str(place)) as other:
        assert other.get(BLAKE3, BLAKE3.of(data)) == data
    assert packing.check(read_data=True).problems == ()


def test_a_file_is_a_zstd_stream_and_is_sent_as_it_lies(packing: Store, place: Path) -> None:
    packing.put(BLAKE3, TEXT)
    (file,) = files(place)
    stored = file.read_bytes()
    assert zstd.decompress(stored) == TEXT
    sent = compressed(packing, TEXT)
    assert stored.startswith(sent)
    assert stored.endswith(compressed(packing, TEXT, 2 * FRAME)[-1000:] + stored[len(sent) :])


@pytest.mark.zstd
def test_other_programs_read_it(packing: Store, place: Path) -> None:
    packing.put(BLAKE3, TEXT)
    stored = files(place)[0].read_bytes()
    for stream in (stored, compressed(packing, TEXT)):
        assert subprocess.run(["zstd", "-dc"], input=stream, capture_output=True, check=True).stdout == TEXT
    rest = compressed(packing, TEXT, 12_345)
    assert subprocess.run(["zstd", "-dc"], input=rest, capture_output=True, check=True).stdout == TEXT[12_345:]


def test_the_page_is_exact_about_frames(packing: Store, place: Path) -> None:
    """By the letter of docs/store-format.md."""
    packing.put(BLAKE3, TEXT)
    stored = files(place)[0].read_bytes()
    size, frame, count, check, mark = struct.unpack("<QIII8s", stored[-28:])
    assert (size, frame, count, mark) == (len(TEXT), 1048576, -(-len(TEXT) // 1048576), b"PTRFRAM1")
    length = 8 * count + 28
    assert struct.unpack("<II", stored[-length - 8 : -length]) == (0x184D2A5B, length)
    assert zlib.crc32(stored[-length:-12]) == check
    at = 0
    for number, (packed, crc) in enumerate(struct.iter_unpack("<II", stored[-length:-28])):
        assert zlib.crc32(stored[at : at + packed]) == crc
        assert zstd.decompress(stored[at : at + packed]) == TEXT[number * frame : (number + 1) * frame]
        at += packed
    assert at == len(stored) - length - 8


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(TEXT)), st.integers(1, 2 * FRAME))
def test_any_offset(packing: Store, offset: int, piece: int) -> None:
    packing.put(BLAKE3, TEXT)
    assert plain(packing, TEXT, offset, max(piece, 10_000)) == TEXT[offset:]
    assert zstd.decompress(compressed(packing, TEXT, offset)) == TEXT[offset:]


def test_what_does_not_shrink_stays_as_it_is(packing: Store, place: Path) -> None:
    for data in (os.urandom(20_000), os.urandom(6 * FRAME), os.urandom(FRAME) + TEXT[:50_000], TEXT[:1000]):
        packing.put(BLAKE3, data)
        assert packing.get(BLAKE3, BLAKE3.of(data)) == data
    assert len(files(place)) == 3
    assert not [path for path in files(place) if path.suffix]
    assert packing.check(read_data=True).leftovers == 0


def test_every_way_in_compresses(packing: Store, place: Path, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(TEXT)
    packing.put_file(BLAKE3, bytes(tmp_path / "f"))
    with packing.writer(BLAKE3, BLAKE3.of(TEXT[1:])) as writer:
        writer.write(TEXT[1:])
        writer.commit()
    upload = packing.upload("name", BLAKE3, BLAKE3.of(TEXT[2:]), 0)
    upload.write(TEXT[2:])
    upload.commit()
    packing.put_many(BLAKE3, [(BLAKE3.of(TEXT[3:]), TEXT[3:])])
    assert [path.suffix for path in files(place)] == [".zst"] * 4
    report = packing.check(read_data=True)
    assert (report.problems, report.blobs, report.leftovers, report.uploads) == ((), 4, 0, 0)
    with packing._index.read() as db:
        assert db.execute("SELECT * FROM reservations").fetchall() == []


def test_one_blob_has_one_form(packing: Store, place: Path) -> None:
    with Store.open(str(place)) as other:
        for first, second in ((packing, other), (other, packing)):
            first.put(BLAKE3, TEXT)
            (before,) = files(place)
            assert second.put(BLAKE3, TEXT)
            assert files(place) == [before]
            assert second.get(BLAKE3, BLAKE3.of(TEXT)) == TEXT
            second.evict(down_to=0)
            assert files(place) == []
            assert first.missing(BLAKE3, [BLAKE3.of(TEXT)])


def test_a_reader_survives_that_a_blob_changes_its_form(packing: Store, place: Path) -> None:
    packing.put(BLAKE3, TEXT)
    with Store.open(str(place)) as other, packing.open_blob(BLAKE3, BLAKE3.of(TEXT), verify=True) as reader:
        first = reader.read(10)
        packing.evict(down_to=0)
        other.put(BLAKE3, TEXT)
        assert first + b"".join(reader) == TEXT
        assert packing.get(BLAKE3, BLAKE3.of(TEXT)) == TEXT


def _flip(at: int) -> Callable[[bytes], bytes]:
    def flip(data: bytes) -> bytes:
        changed = bytearray(data)
        changed[at] ^= 1
        return bytes(changed)

    return flip


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "first frame": _flip(1000),
    "frame's head": _flip(0),
    "table": _flip(-30),
    "tail": _flip(-10),
    "mark": _flip(-1),
    "cut": lambda data: data[:-100],
    "longer": lambda data: data + b"?",
    "empty": lambda data: b"",
    "other": lambda data: os.urandom(len(data)),
}


@pytest.mark.parametrize("way", ["get", "copy", "plain", "offset", "compressed", "check"])
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_damage_is_found_quarantined_and_missing(
    packing: Store, place: Path, tmp_path: Path, damage: Callable[[bytes], bytes], way: str
) -> None:
    packing.put(BLAKE3, TEXT)
    (file,) = files(place)
    file.write_bytes(damage(file.read_bytes()))
    ways = {
        "get": lambda: packing.get(BLAKE3, BLAKE3.of(TEXT)),
        "copy": lambda: copied(packing, TEXT, tmp_path),
        "plain": lambda: plain(packing, TEXT),
        "offset": lambda: plain(packing, TEXT, 500),
        "compressed": lambda: compressed(packing, TEXT),
    }
    if way == "check":
        assert packing.check(read_data=True).problems
        assert packing.check(read_data=True, repair=True).sound
    else:
        with pytest.raises((BlobNotFound, BlobCorrupt)):
            ways[way]()
    assert packing.missing(BLAKE3, [BLAKE3.of(TEXT)])
    assert files(place) == []
    assert len(os.listdir(place / "quarantine")) == 1
    packing.put(BLAKE3, TEXT)
    assert packing.get(BLAKE3, BLAKE3.of(TEXT)) == TEXT


def test_frames_that_are_sound_and_another_blobs(packing: Store, place: Path) -> None:
    """Only the digest tells: a file of the same size with right checksums."""
    other = TEXT[:-1] + b"?"
    packing.put(BLAKE3, other)
    (file,) = files(place)
    wrong = file.read_bytes()
    packing.evict(down_to=0)
    packing.put(BLAKE3, TEXT)
    files(place)[0].write_bytes(wrong)
    with sqlite3.connect(place / "index.sqlite") as db:
        db.execute("UPDATE blobs SET packed = ?", (len(wrong),))
    db.close()
    with pytest.raises(BlobCorrupt):
        plain(packing, TEXT)
    assert packing.missing(BLAKE3, [BLAKE3.of(TEXT)])


def test_check_finds_files_without_rows(packing: Store, place: Path) -> None:
    packing.put(BLAKE3, TEXT)
    with packing._index.write() as db:
        packing._pending.forget()
        db.execute("DELETE FROM blobs")
    (file,) = files(place)
    (problem,) = packing.check().problems
    assert problem.code == "file-unindexed"
    assert packing.check(repair=True).sound
    assert packing.get(BLAKE3, BLAKE3.of(TEXT)) == TEXT
    file.with_suffix("").write_bytes(TEXT)
    assert [problem.code for problem in packing.check(repair=True).problems] == ["file-unindexed"]
    assert files(place) == [file]
    assert packing.check(read_data=True).problems == ()


def test_a_lost_index_is_rebuilt_from_both_forms(place: Path) -> None:
    noise = os.urandom(20_000)
    with Store.open(str(place), compress=True) as store:
        store.put(BLAKE3, TEXT)
        store.put(SHA256, TEXT)
        store.put(BLAKE3, noise)
    (place / "index.sqlite").write_bytes(b"damage" * 1000)
    assert check_directory(str(place), repair=True).sound
    with Store.open(str(place)) as store:
        assert store.get(BLAKE3, BLAKE3.of(TEXT)) == TEXT
        assert store.get(SHA256, SHA256.of(TEXT)) == TEXT
        assert store.get(BLAKE3, BLAKE3.of(noise)) == noise
        assert store.check(read_data=True).problems == ()


def test_a_store_of_format_2_is_brought_up(place: Path) -> None:
    with Store.open(str(place)) as store:
        store.put(BLAKE3, TEXT)
    with sqlite3.connect(place / "index.sqlite") as db:
        take_packed_away(db)
    db.close()
    with Store.open(str(place), compress=True) as store:
        assert store.get(BLAKE3, BLAKE3.of(TEXT)) == TEXT
        store.put(BLAKE3, TEXT[1:])
        assert sorted(path.suffix for path in files(place)) == ["", ".zst"]
        assert store.check(read_data=True).problems == ()


def test_memory_does_not_grow_with_the_blob(packing: Store, tmp_path: Path) -> None:
    data = TEXT * 12
    digest = BLAKE3.of(data)
    (tmp_path / "f").write_bytes(data)
    with open(tmp_path / "f", "rb") as file, open(tmp_path / "g", "w+b") as target:
        tracemalloc.start()
        try:
            packing.put_file(BLAKE3, file.fileno(), digest)
            packing.copy_to(BLAKE3, digest, target.fileno())
            with packing.open_compressed(BLAKE3, digest) as reader:
                size = sum(map(len, reader))
            assert tracemalloc.get_traced_memory()[1] < 6 * FRAME
        finally:
            tracemalloc.stop()
    assert size < len(data) / 3
