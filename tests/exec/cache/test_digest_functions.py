# SPDX-License-Identifier: Apache-2.0
"""The digest function belongs to the cache."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytrace_cas.digest import BLAKE3, SHA256, DigestFunction
from pytrace_cas.store import Store
from pytrace_exec.cache.opening import NoRemote, open_cache
from pytrace_exec.options import parse
from tests.exec.cache.conftest import Open
from tests.support import foreign_grpc
from tests.support.foreign_grpc import ForeignCache
from tests.support.foreign_http import ForeignHttp, foreign_http

KEY = SHA256.of(b"a key")


def test_a_store_without_remote_has_blake3(store: Store) -> None:
    options, _ = parse(["true"], {})
    assert open_cache(store, options).function is BLAKE3
    options, _ = parse(["--digest-function", "sha256", "true"], {})
    assert open_cache(store, options).function is SHA256


def test_only_a_remote_needs_one(store: Store) -> None:
    options, _ = parse(["true"], {b"PYTRACE_REMOTE_ONLY": b"1"})
    with pytest.raises(NoRemote):
        open_cache(store, options)


@pytest.mark.parametrize(
    ("offered", "function"),
    [
        ((foreign_grpc.BLAKE3, foreign_grpc.SHA256), SHA256),
        ((foreign_grpc.BLAKE3,), BLAKE3),
        ((), SHA256),
    ],
)
def test_the_remotes_own_is_remembered(tiered: Open, offered: tuple[int, ...], function: DigestFunction) -> None:
    with foreign_grpc.foreign_grpc(ForeignCache(functions=offered)) as url:
        assert tiered("near", url).function is function
    assert tiered("near", url).function is function
    assert tiered("near", url).troubles == []


def test_the_chosen_one_is_used_without_asking(tiered: Open) -> None:
    cache = ForeignCache(functions=(foreign_grpc.SHA256, foreign_grpc.BLAKE3))
    with foreign_grpc.foreign_grpc(cache) as url:
        near = tiered("near", url, "--digest-function", "blake3")
        assert (near.function, cache.calls) == (BLAKE3, [])
        assert tiered("near", url).function is SHA256


def test_http_has_sha256_without_asking(tiered: Open) -> None:
    cache = ForeignHttp()
    with foreign_http(cache) as url:
        assert tiered("near", url).function is SHA256
        chosen = tiered("near", url, "--digest-function", "blake3")
        assert chosen.tiers[-1].get_result(KEY) is None
    assert [trouble.code for trouble in chosen.troubles] == ["remote_failed"]
    assert cache.requests == []


def test_a_store_that_may_not_be_written_asks_nobody(store: Store, tmp_path: Path) -> None:
    cache = ForeignCache()
    with foreign_grpc.foreign_grpc(cache) as url, Store.open(os.fsencode(tmp_path / "store"), read_only=True) as sealed:
        options, _ = parse(["--remote", url, "true"], {})
        near = open_cache(sealed, options)
        assert near.tiers[-1].get_result(KEY) is None
    assert (near.function, cache.calls) == (SHA256, [])
    assert [trouble.code for trouble in near.troubles] == ["remote_skipped"]


def test_a_remote_that_knows_none_of_ours_is_not_used(tiered: Open) -> None:
    with foreign_grpc.foreign_grpc(ForeignCache(functions=(2,))) as url:
        near = tiered("near", url)
        assert near.tiers[-1].get_result(KEY) is None
    assert [trouble.code for trouble in near.troubles] == ["remote_failed"]


def test_a_remote_that_changes_its_mind_is_agreed_with_anew(tiered: Open, tmp_path: Path) -> None:
    cache = ForeignCache(functions=(foreign_grpc.BLAKE3,))
    with foreign_grpc.foreign_grpc(cache) as url:
        assert tiered("near", url).function is BLAKE3
        cache.functions = (foreign_grpc.SHA256,)
        near = tiered("near", url)
        assert near.function is BLAKE3
        assert near.tiers[-1].get_result(KEY) is None
        with Store.open(os.fsencode(tmp_path / "near")) as store:
            store.forget("remote-failure", url.encode())
        assert tiered("near", url).function is SHA256
