# SPDX-License-Identifier: Apache-2.0
"""The entry of the action cache that our server unites in place of replacing it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytrace_cas.digest import BLAKE3, SHA256
from pytrace_cas.generations import WHOLE_STORE, Ledger, entry_key, rows
from pytrace_cas.reapi import ActionResult
from pytrace_cas.services import shared_generations
from pytrace_cas.services.errors import InvalidRequest, LedgerFull, ResultNotFound
from pytrace_cas.store import ReadOnlyStore
from pytrace_proto import remote_execution_pb2 as reapi

if TYPE_CHECKING:
    from pytrace_cas.digest import DigestFunction
    from pytrace_cas.services import Services
    from pytrace_cas.store import Store

ONE, OTHER = Ledger({"aa": "x"}), Ledger({"bb": "y"})


def put(services: Services, ledger: Ledger, instance: str = "", function: DigestFunction = SHA256) -> None:
    request = reapi.UpdateActionResultRequest(
        instance_name=instance,
        digest_function=reapi.DigestFunction.Value.ValueType(function.number),
        action_digest=_key(function),
        action_result=reapi.ActionResult(stdout_raw=ledger.encode()),
    )
    services.action_cache.update(request)


def get(services: Services, instance: str = "", function: DigestFunction = SHA256) -> Ledger:
    request = reapi.GetActionResultRequest(
        instance_name=instance,
        digest_function=reapi.DigestFunction.Value.ValueType(function.number),
        action_digest=_key(function),
    )
    return Ledger.decode(services.action_cache.get(request).stdout_raw)


def _key(function: DigestFunction) -> reapi.Digest:
    digest, _ = entry_key(function)
    return reapi.Digest(hash=digest.hash, size_bytes=digest.size_bytes)


def test_what_two_write_is_united_whatever_they_read(services: Services) -> None:
    with pytest.raises(ResultNotFound):
        get(services)
    put(services, ONE)
    put(services, OTHER)
    assert get(services) == ONE.united(OTHER)
    put(services, ONE)
    assert get(services) == ONE.united(OTHER)


def test_instances_are_apart_and_functions_are_not(services: Services, store: Store) -> None:
    put(services, ONE, "a")
    with pytest.raises(ResultNotFound):
        get(services, "b")
    assert get(services, "a", BLAKE3) == ONE
    put(services, OTHER, "b", BLAKE3)
    assert get(services, "b") == OTHER
    store.unite_generations(rows(WHOLE_STORE, Ledger({"cc": "z"})))
    assert get(services, "a").lines.keys() == {"aa", "cc"}


def test_both_protocols_say_the_same(services: Services) -> None:
    cache, hash = services.action_cache, entry_key(SHA256)[0].hash
    with pytest.raises(ResultNotFound):
        cache.get_by_hash("", hash)
    cache.put_by_hash("", hash, ONE.result().encode())
    put(services, OTHER)
    assert Ledger.decode(ActionResult.decode(cache.get_by_hash("", hash)).stdout_raw) == ONE.united(OTHER)


def test_nothing_of_it_is_evicted(services: Services, store: Store) -> None:
    put(services, ONE)
    store.evict(0)
    assert get(services) == ONE


def test_what_is_no_ledger_is_refused(services: Services) -> None:
    hash = entry_key(SHA256)[0].hash
    for body in (b"", b"no message", ActionResult(stdout_raw=b"no ledger").encode()):
        with pytest.raises(InvalidRequest):
            services.action_cache.put_by_hash("", hash, body)
    with pytest.raises(ResultNotFound):
        services.action_cache.get_by_hash("", hash)


def test_there_are_no_more_than_fit(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_generations, "MOST_LINES", 2)
    put(services, ONE.united(OTHER))
    put(services, ONE)
    with pytest.raises(LedgerFull):
        put(services, Ledger({"cc": "z"}))
    assert get(services) == ONE.united(OTHER)


def test_who_only_reads_writes_none(reading: Services) -> None:
    with pytest.raises(ReadOnlyStore):
        put(reading, ONE)
