# SPDX-License-Identifier: Apache-2.0
"""Lists of path sets in caches that others write to at the same time, or that refuse to change what they hold."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytrace_cas.digest import SHA256, Digest
from pytrace_cas.recorded.candidates import MAX_SETS
from pytrace_exec.cache.candidates import lists, put_first
from pytrace_exec.cache.interface import Tier
from pytrace_exec.cache.tiered import SLOTS
from pytrace_exec.keys.messages import Key
from tests.exec.cache.conftest import Open
from tests.support.foreign_grpc import ForeignCache, foreign_grpc

ACTION = SHA256.of(b"an action")


def weak(slot: int) -> Key:
    """Give the key of a slot."""
    data = f"weak {slot}".encode()
    return Key(SHA256.of(data), {SHA256.of(data): data})


def path_set(name: object) -> tuple[Digest, dict[Digest, bytes]]:
    """Make a path set, as far as lists go: a blob."""
    data = f"path set {name}".encode()
    return SHA256.of(data), {SHA256.of(data): data}


def add(tier: Tier, name: object) -> Digest:
    """Store a path set as a run does: its blob, then its place in the list."""
    digest, blob = path_set(name)
    tier.put(blob)
    put_first(tier, weak, digest, ACTION)
    return digest


def listed(tier: Tier) -> list[list[Digest]]:
    """Give what each slot lists."""
    return [candidates.path_sets() for candidates in lists(tier, weak)]


@pytest.fixture
def cache() -> ForeignCache:
    """An empty remote."""
    return ForeignCache()


@pytest.fixture
def tiers(cache: ForeignCache, tiered: Open) -> Iterator[list[Tier]]:
    """The remote as three wrappers with stores of their own see it."""
    with foreign_grpc(cache) as url:
        yield [tiered(f"store{number}", url).tiers[-1] for number in range(3)]


def test_lists_are_united(tiers: list[Tier]) -> None:
    first, second = add(tiers[0], 1), add(tiers[1], 2)
    assert listed(tiers[2]) == [[second, first]]
    add(tiers[0], 1)
    assert listed(tiers[2]) == [[first, second]]


def test_a_local_list_has_one_slot_and_keeps_the_last(tiered: Open) -> None:
    local = tiered("store", "http://127.0.0.1:1").tiers[0]
    added = [add(local, number) for number in range(MAX_SETS + 3)]
    assert listed(local) == [added[: -MAX_SETS - 1 : -1]]


def test_what_is_stored_between_reading_and_writing_costs_a_miss(cache: ForeignCache, tiers: list[Tier]) -> None:
    between: list[Digest] = []

    cache.before_update = lambda: between.append(add(tiers[1], "between"))
    first = add(tiers[0], 1)
    # The first writer overwrote what came between; that costs a miss, and the next list has both again.
    assert listed(tiers[2]) == [[first]]
    add(tiers[1], "between")
    assert listed(tiers[2]) == [[*between, first]]


def test_a_list_that_another_overwrote_is_written_again(cache: ForeignCache, tiers: list[Tier]) -> None:
    second = add(tiers[1], 2)
    others = dict(cache.results)
    cache.results.clear()
    cache.after_update = lambda: cache.results.update(others)
    first = add(tiers[0], 1)
    assert listed(tiers[2]) == [[first, second]]


@pytest.mark.parametrize("overwriting", ["silently", "aloud"])
def test_a_cache_that_refuses_to_overwrite(cache: ForeignCache, tiers: list[Tier], overwriting: str) -> None:
    cache.overwriting = overwriting
    added = [add(tiers[number % 2], number) for number in range(SLOTS)]
    assert [slot[0] for slot in listed(tiers[2])] == added
    assert listed(tiers[2])[-1] == added[::-1]
    add(tiers[0], "one too many")
    assert listed(tiers[2])[-1] == added[::-1]
    # What stands somewhere is not put into a further slot.
    cache.overwriting = "silently"
    before = dict(cache.results)
    add(tiers[0], SLOTS - 1)
    assert cache.results == before


def test_a_path_set_whose_blob_is_lost_does_not_stay_in_the_way(cache: ForeignCache, tiers: list[Tier]) -> None:
    lost = add(tiers[0], 1)
    del cache.blobs[lost.hash]
    second = add(tiers[1], 2)
    assert listed(tiers[2]) == [[second]]


def test_a_list_that_cannot_be_read_is_begun_anew(cache: ForeignCache, tiers: list[Tier]) -> None:
    add(tiers[0], 1)
    cache.blobs.clear()
    second = add(tiers[1], 2)
    assert listed(tiers[2]) == [[second]]
