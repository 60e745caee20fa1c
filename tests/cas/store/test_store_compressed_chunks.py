# SPDX-License-Identifier: Apache-2.0
"""Chunks of compressed files: ranges and lists read the same, whichever of the blobs they depend on is compressed."""

from __future__ import annotations

import itertools
import os
import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytrace_cas.compression import FRAME
from pytrace_cas.digest import BLAKE3, Digest
from pytrace_cas.store import BlobNotFound, Store
from pytrace_cas.store.layout import Layout
from pytrace_cas.store.rebuild import rebuild
from tests.support.zstd import zstd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

SIZES = (700_000, 20_000, FRAME, 400_000, 30_001)  # of chunks, of which some cross frames


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "s"


@pytest.fixture
def plain(place: Path) -> Iterator[Store]:
    """A store that does not compress."""
    with Store.open(bytes(place)) as opened:
        yield opened


@pytest.fixture
def packing(plain: Store) -> Iterator[Store]:
    """The same one, compressing."""
    with Store.open(plain.path, compress=True) as opened:
        yield opened


def text(seed: int, size: int) -> bytes:
    """Bytes that shrink to a half."""
    return random.Random(seed).randbytes(-(-size // 2)).hex().encode()[:size]


def pieces(seed: int, sizes: Iterable[int] = SIZES) -> list[bytes]:
    return [text(1000 * seed + number, size) for number, size in enumerate(sizes)]


def by_sizes(sizes: Iterable[int]) -> Callable[[Iterable[bytes]], Iterator[bytes]]:
    """Cut into given sizes, again and again."""

    def cut(blocks: Iterable[bytes]) -> Iterator[bytes]:
        data, start = b"".join(blocks), 0
        for size in itertools.cycle(sizes):
            if start >= len(data):
                return
            yield data[start : start + size]
            start += size

    return cut


def of(chunks: list[bytes]) -> list[Digest]:
    return [BLAKE3.of(chunk) for chunk in chunks]


def splice(store: Store, chunks: list[bytes]) -> Digest:
    whole = BLAKE3.of(b"".join(chunks))
    store.splice(BLAKE3, whole, of(chunks), 1)
    return whole


def files(place: Path) -> list[Path]:
    return [path for path in (place / "cas").rglob("*") if path.is_file()]


def forms(store: Store) -> list[tuple[int, bool]]:
    """The form of each blob, and whether it is compressed."""
    with store._index.read() as db:
        return sorted((form, bool(packed)) for form, packed in db.execute("SELECT form, packed FROM blobs"))


def read(store: Store, digest: Digest, offset: int = 0, count: int = FRAME) -> bytes:
    parts = []
    with store.open_blob(BLAKE3, digest, offset, verify=not offset) as blob:
        while part := blob.read(count):
            parts.append(part)
    return b"".join(parts)


def inflated(store: Store, digest: Digest, offset: int = 0) -> bytes:
    with store.open_compressed(BLAKE3, digest, offset) as reader:
        return zstd.decompress(b"".join(reader))


def copied(store: Store, digest: Digest, folder: Path) -> bytes:
    target = folder / "copy"
    try:
        with open(target, "w+b") as file:
            store.copy_to(BLAKE3, digest, file.fileno())
    except BlobNotFound:
        assert target.read_bytes() == b""
        raise
    return target.read_bytes()


def reads_as(store: Store, digest: Digest, data: bytes, folder: Path) -> None:
    """By every way of reading, from every edge."""
    assert store.get(BLAKE3, digest) == data
    assert copied(store, digest, folder) == data
    edges = {0, 1, FRAME - 1, FRAME, FRAME + 1, len(data) // 2, len(data) - 1, len(data), *itertools.accumulate(SIZES)}
    for offset in edges:
        if offset <= len(data):
            assert read(store, digest, offset) == data[offset:]
            assert inflated(store, digest, offset) == data[offset:]


@pytest.mark.parametrize("splits", ["plain", "packing"])
def test_ranges_of_a_compressed_file(plain: Store, packing: Store, place: Path, tmp_path: Path, splits: str) -> None:
    chunks = pieces(1)
    whole = packing.put(BLAKE3, b"".join(chunks))
    before = packing.size()[0]
    splitting = plain if splits == "plain" else packing
    assert splitting.split(BLAKE3, whole, 1, by_sizes(SIZES)) == (1, of(chunks))
    assert [path.suffix for path in files(place)] == [".zst"]
    assert packing.size()[0] - before == (256 + 64) * len(chunks)
    assert forms(plain) == [(0, True), *[(1, False)] * len(chunks)]
    for store in (plain, packing):
        for chunk in (chunks[0], chunks[2], chunks[4], b"".join(chunks)):
            reads_as(store, BLAKE3.of(chunk), chunk, tmp_path)
    for chunk in chunks:
        packing.put(BLAKE3, chunk)
    assert len(files(place)) == 1
    assert plain.check(read_data=True).problems == ()


def test_a_list_of_every_form(plain: Store, packing: Store, tmp_path: Path) -> None:
    """Rows, plain files, compressed files, and ranges of either."""
    first, second = pieces(2), pieces(3)
    packing.put(BLAKE3, b"".join(first))
    packing.split(BLAKE3, BLAKE3.of(b"".join(first)), 1, by_sizes(SIZES))
    plain.put(BLAKE3, b"".join(second))
    plain.split(BLAKE3, BLAKE3.of(b"".join(second)), 1, by_sizes(SIZES))
    own = pieces(4, (300_000, 1_500_000, 500))
    plain.put(BLAKE3, own[0])
    packing.put(BLAKE3, own[1])
    packing.put(BLAKE3, own[2])
    chunks = [first[2], own[0], second[2], own[1], first[0], own[2], second[3]]
    whole = splice(packing, chunks)
    assert (2, False) in forms(plain)
    for store in (plain, packing):
        reads_as(store, whole, b"".join(chunks), tmp_path)
    assert plain.check(read_data=True).problems == ()


@pytest.mark.parametrize("whole_packed", [False, True])
@pytest.mark.parametrize("chunks_packed", [False, True])
def test_no_chunk_is_kept_twice(
    plain: Store, packing: Store, place: Path, tmp_path: Path, chunks_packed: bool, whole_packed: bool
) -> None:
    chunks = pieces(5)
    for chunk in chunks:
        (packing if chunks_packed else plain).put(BLAKE3, chunk)
    whole = (packing if whole_packed else plain).put(BLAKE3, b"".join(chunks))
    assert plain.split(BLAKE3, whole, 1, by_sizes(SIZES)) == (1, of(chunks))
    assert [path.name for path in files(place)] == [whole.hash + ".zst" * whole_packed]
    assert forms(plain) == [(0, whole_packed), *[(1, False)] * len(chunks)]
    assert os.listdir(place / "trash") == []
    for chunk in chunks:
        reads_as(packing, BLAKE3.of(chunk), chunk, tmp_path)
    assert plain.check(read_data=True).problems == ()
    assert not plain.missing(BLAKE3, [whole, *of(chunks)])
    plain.evict(down_to=0)
    assert (files(place), plain.size()[0]) == ([], 0)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.integers(16_385, 1_200_000), min_size=2, max_size=4),
    st.booleans(),
    st.booleans(),
    st.floats(0, 1),
    st.integers(10_000, 2 * FRAME),
)
def test_any_sizes_and_offsets(
    plain: Store, packing: Store, sizes: list[int], pack: bool, listed: bool, where: float, count: int
) -> None:
    store = packing if pack else plain
    store.evict(down_to=0)
    chunks = pieces(sum(sizes), sizes)
    data = b"".join(chunks)
    if listed:
        for chunk in chunks:
            store.put(BLAKE3, chunk)
        whole = splice(store, chunks)
    else:
        whole = store.put(BLAKE3, data)
        assert store.split(BLAKE3, whole, 1, by_sizes(sizes))[1] == of(chunks)
    for digest, expected in ((whole, data), (BLAKE3.of(chunks[1]), chunks[1])):
        offset = int(where * len(expected))
        assert read(store, digest, offset, count) == expected[offset:]
        assert inflated(store, digest, offset) == expected[offset:]
    assert store.check(read_data=True).problems == ()


@pytest.mark.parametrize("way", ["get", "copy", "read", "offset", "compressed", "check"])
@pytest.mark.parametrize("asked", ["range", "list", "list of ranges"])
def test_a_damaged_frame_takes_along_what_hangs_on_it(
    packing: Store, place: Path, tmp_path: Path, asked: str, way: str
) -> None:
    chunks = pieces(6)
    if asked == "list":
        for chunk in chunks:
            packing.put(BLAKE3, chunk)
        digest = splice(packing, chunks)
        (file,) = [path for path in files(place) if path.name.startswith(BLAKE3.of(chunks[2]).hash)]
    else:
        packing.put(BLAKE3, b"".join(chunks))
        packing.split(BLAKE3, BLAKE3.of(b"".join(chunks)), 1, by_sizes(SIZES))
        (file,) = files(place)
        digest = BLAKE3.of(chunks[2]) if asked == "range" else splice(packing, chunks[1:4])
    with open(file, "r+b") as opened:
        opened.seek(file.stat().st_size // 2)
        opened.write(b"damage")
    ways: dict[str, Callable[[], bytes]] = {
        "get": lambda: packing.get(BLAKE3, digest),
        "copy": lambda: copied(packing, digest, tmp_path),
        "read": lambda: read(packing, digest),
        "offset": lambda: read(packing, digest, 1),
        "compressed": lambda: inflated(packing, digest),
    }
    if way == "check":
        assert packing.check().problems == ()
        assert {problem.code for problem in packing.check(read_data=True).problems} == {"data-corrupt"}
        assert packing.check(read_data=True, repair=True).sound
    else:
        with pytest.raises(BlobNotFound) as raised:
            ways[way]()
        assert raised.value.digest == digest
    assert packing.missing(BLAKE3, [digest])
    assert len(os.listdir(place / "quarantine")) == 1
    assert packing.check(read_data=True).problems == ()


@pytest.mark.parametrize("asked", ["range", "list"])
def test_what_is_read_stays_readable_or_ends_with_an_error(packing: Store, asked: str) -> None:
    """After an eviction: a range has its file open, a list opens chunks as it goes."""
    chunks = pieces(7)
    if asked == "range":
        packing.put(BLAKE3, b"".join(chunks))
        packing.split(BLAKE3, BLAKE3.of(b"".join(chunks)), 1, by_sizes(SIZES))
        digest = BLAKE3.of(chunks[2])
    else:
        for chunk in chunks:
            packing.put(BLAKE3, chunk)
        digest = splice(packing, chunks)
    with packing.open_blob(BLAKE3, digest, verify=True) as blob:
        first = blob.read(1000)
        packing.evict(down_to=0)
        if asked == "range":
            assert first + b"".join(blob) == chunks[2]
        else:
            with pytest.raises(BlobNotFound) as raised:
                list(blob)
            assert raised.value.digest == digest
    assert packing.missing(BLAKE3, [digest])
    assert packing.check(read_data=True).problems == ()


def test_what_cannot_be_a_list_is_compressed(packing: Store, place: Path, tmp_path: Path) -> None:
    chunks = pieces(8, [5000] * 50)
    packing.put_many(BLAKE3, zip(of(chunks), chunks, strict=True))
    whole = splice(packing, chunks)
    assert [path.name for path in files(place)] == [f"{whole.hash}.zst"]
    reads_as(packing, whole, b"".join(chunks), tmp_path)
    assert packing.check(read_data=True).problems == ()


def test_a_rebuilt_index_has_parts_of_compressed_files_again(place: Path, tmp_path: Path) -> None:
    old, new = pieces(9), pieces(10, (200_000,))
    with Store.open(bytes(place), compress=True) as store:
        first = store.put(BLAKE3, b"".join(old))
        store.split(BLAKE3, first, 1, by_sizes(SIZES))
        store.put(BLAKE3, new[0])
        second = splice(store, [*new, *old[1:4]])
        before = forms(store)
    rebuild(Layout(bytes(place)))
    with Store.open(bytes(place)) as store:
        assert forms(store) == before
        assert len(files(place)) == 2
        reads_as(store, first, b"".join(old), tmp_path)
        reads_as(store, second, b"".join([*new, *old[1:4]]), tmp_path)
        assert store.check(read_data=True).problems == ()


def test_a_file_whose_blob_is_a_range_by_now_is_put_aside(packing: Store, place: Path) -> None:
    """As a repair of an older index may find it."""
    chunks = pieces(11)
    packing.put(BLAKE3, chunks[0])
    (file,) = files(place)
    kept = file.read_bytes()
    whole = packing.put(BLAKE3, b"".join(chunks))
    packing.split(BLAKE3, whole, 1, by_sizes(SIZES))
    file.write_bytes(kept)
    assert [problem.code for problem in packing.check().problems] == ["file-unindexed"]
    assert packing.check(repair=True).sound
    assert packing.get(BLAKE3, BLAKE3.of(chunks[0])) == chunks[0]
    assert [path.name for path in files(place)] == [f"{whole.hash}.zst"]
    assert packing.check(read_data=True).problems == ()
