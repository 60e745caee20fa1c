# SPDX-License-Identifier: Apache-2.0
"""Blobs travel as zstd to and from remotes that offer it, and what comes back is bounded and verified."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from pytrace_cas.digest import SHA256, Digest
from pytrace_exec.cache.errors import BlobMissing
from pytrace_exec.cache.tiered import SMALL
from tests.exec.cache.conftest import Open
from tests.exec.cache.test_tiered import KEY, codes, put, remote_of, result_of
from tests.support.foreign_grpc import ForeignCache, foreign_grpc
from tests.support.server import running_server

if TYPE_CHECKING:
    from pathlib import Path

LARGE = SMALL + 300_000


def texts(*sizes: int) -> dict[Digest, bytes]:
    """Blobs of which a compressor saves much."""
    words = random.Random(3)
    found = (b" ".join(b"%d" % words.randrange(50) for _ in range(size))[:size] for size in sizes)
    return {SHA256.of(data): data for data in found}


def random_bytes(*sizes: int) -> dict[Digest, bytes]:
    """Blobs of which it saves nothing."""
    chance = random.Random(4)
    return {SHA256.of(data): data for data in map(chance.randbytes, sizes)}


def check_round_trip(tiered: Open, url: str, blobs: dict[Digest, bytes]) -> None:
    near, far = tiered("near", url), tiered("far", url)
    assert put(near, blobs)
    assert remote_of(far).get_result(KEY) == result_of(blobs)
    assert remote_of(far).fetch(blobs) == []
    assert all(far.get(digest) == data for digest, data in blobs.items())
    assert (codes(near), codes(far)) == ([], [])


def test_what_is_worth_it_travels_compressed(tiered: Open) -> None:
    cache = ForeignCache(zstd=True)
    blobs = texts(100, 3000, 60_000, 70_000, LARGE, 5 << 20)
    with foreign_grpc(cache) as url:
        check_round_trip(tiered, url, blobs)
    assert {hash: data for hash, data in cache.blobs.items() if data in blobs.values()} == {
        digest.hash: data for digest, data in blobs.items()
    }
    kinds = [name.split()[0] if name.endswith("0") and ":" in name else name for name in cache.names]
    assert kinds.count("batch:") == 3
    assert kinds.count("read:") >= 4
    streams = [name for name in cache.names if ":" not in name]
    assert len(streams) == 4
    assert all("compressed-blobs/zstd/" in name for name in streams)


def test_what_does_not_shrink_is_sent_as_it_is(tiered: Open) -> None:
    cache = ForeignCache(zstd=True)
    with foreign_grpc(cache) as url:
        assert put(tiered("near", url), random_bytes(100, 60_000, LARGE))
    assert [name for name in cache.names if "compressed" in name or "batch" in name] == []


def test_a_few_bytes_are_asked_for_as_they_are(tiered: Open) -> None:
    cache = ForeignCache(zstd=True)
    blobs = texts(3000, 4000)
    with foreign_grpc(cache) as url:
        assert put(tiered("near", url), blobs)
        assert remote_of(tiered("far", url)).fetch(blobs) == []
    assert [name for name in cache.names if "read" in name] == []


def test_nothing_travels_compressed_where_it_is_not_offered(tiered: Open) -> None:
    cache = ForeignCache()
    with foreign_grpc(cache) as url:
        check_round_trip(tiered, url, texts(3000, 70_000, LARGE))
    assert [name for name in cache.names if "compressed" in name or ":" in name] == []


@pytest.mark.parametrize("sizes", [(40_000, 50_000), (LARGE,)], ids=["batch", "stream"])
@pytest.mark.parametrize("fault", [{"swollen": 1}, {"swollen": 64 << 20}, {"cut": 3}, {"corrupt": True}], ids=str)
def test_streams_that_hold_something_else_are_not_taken(
    tiered: Open, sizes: tuple[int, ...], fault: dict[str, int]
) -> None:
    cache, blobs = ForeignCache(zstd=True), texts(*sizes)
    with foreign_grpc(cache) as url:
        put(tiered("near", url), blobs)
        for name, value in fault.items():
            setattr(cache, name, value)
        far = tiered("far", url)
        assert remote_of(far).fetch(blobs)
        assert codes(far) == ["remote_failed"]
        with pytest.raises(BlobMissing):
            far.get(next(iter(blobs)))


def test_our_server_gives_and_takes_them(tiered: Open, tmp_path: Path) -> None:
    with running_server(tmp_path / "store", "--storage-mode", "zstd") as server:
        check_round_trip(
            tiered, server.grpc_url, texts(100, 3000, 60_000, 70_000, LARGE, 5 << 20) | random_bytes(LARGE)
        )
