# SPDX-License-Identifier: Apache-2.0
"""A disk without room: an error that says so, nothing half-done, and eviction still works."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytrace_cas.digest import BLAKE3, Digest
from pytrace_cas.store import OutOfSpace, Store


@pytest.fixture
def tight(tmp_path: Path) -> Iterator[Path]:
    """A directory on a file system of 8 MiB."""
    place = tmp_path / "mount"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a file system needs root")
    try:
        yield place / "s"
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("size", [9_000, 100_000, 3_000_000])
def test_full_disk(tight: Path, size: int) -> None:
    spare = tight.parent / "spare"
    spare.write_bytes(bytes(1 << 20))
    with Store.open(str(tight)) as store:
        kept = _fill(store, size)
        assert kept
        for digest in kept:
            assert BLAKE3.of(store.get(BLAKE3, digest)) == digest
        assert store.check(read_data=True).problems == ()
        assert os.listdir(store.path + b"/tmp") == []
        store.count("hits")
        if size < 16384:
            spare.unlink()  # SQLite's log has to grow before rows can go
        assert store.evict(down_to=0).blobs == len(kept)
        assert store.size()[0] == 0
        assert store.put(BLAKE3, os.urandom(size))


def test_a_disk_that_is_full_of_rows_can_be_emptied_by_itself(tight: Path) -> None:
    """The log would have to grow for rows to go, and the index for the log: the spare room is for that."""
    subprocess.run(["mount", "-o", "remount,size=48m", str(tight.parent)], check=True)
    room = Path(f"{tight}/spare")
    with Store.open(str(tight)) as store:
        store.keep_spare()
        assert room.stat().st_blocks * 512 >= 8 << 20
        kept = _fill(store, 16_000)
        _take_the_rest(tight.parent / "other")
        assert store.evict(down_to=0).blobs == len(kept)
        assert store.put(BLAKE3, os.urandom(16_000))
        assert room.stat().st_blocks * 512 >= 8 << 20
        assert store.check(read_data=True).problems == ()


def test_full_disk_found_while_streaming(tight: Path) -> None:
    with Store.open(str(tight)) as store:
        data = os.urandom(6 << 20)
        with store.writer(BLAKE3, BLAKE3.of(data)) as writer:
            writer.write(data[: 3 << 20])
            _take_the_rest(tight.parent / "other")
            with pytest.raises(OutOfSpace):
                writer.write(data[3 << 20 :])
        assert os.listdir(store.path + b"/tmp") == []
        assert store.missing(BLAKE3, [BLAKE3.of(data)]) == [BLAKE3.of(data)]


def _fill(store: Store, size: int) -> list[Digest]:
    """Store blobs of a size until the disk is full."""
    kept: list[Digest] = []
    try:
        while True:
            kept.append(store.put(BLAKE3, os.urandom(size)))
    except OutOfSpace:
        return kept


def _take_the_rest(path: Path) -> None:
    with open(path, "wb", buffering=0) as other, contextlib.suppress(OSError):
        while other.write(bytes(4096)):
            pass
