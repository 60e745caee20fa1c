# SPDX-License-Identifier: Apache-2.0
"""Action results: answered while complete, replaced whole, keyed by instance, function, hash and size."""

from __future__ import annotations

import os

import pytest

from pytrace_cas.digest import BLAKE3, SHA256, Digest
from pytrace_cas.store import MissingBlobs, Store

ACTION = BLAKE3.of(b"action")


def test_complete_result_is_answered(store: Store) -> None:
    needs = [store.put(BLAKE3, os.urandom(size)) for size in (10, 20_000)]
    store.put_action_result(BLAKE3, "i", ACTION, b"message", [*needs, *needs, BLAKE3.empty_digest()])
    assert store.get_action_result(BLAKE3, "i", ACTION) == b"message"
    assert store.get_action_result_by_hash(BLAKE3, "i", ACTION.hash) == b"message"


def test_result_without_needs(store: Store) -> None:
    store.put_action_result(BLAKE3, "", ACTION, b"", [])
    assert store.get_action_result(BLAKE3, "", ACTION) == b""


def test_key_is_instance_function_hash_and_size(store: Store) -> None:
    store.put_action_result(BLAKE3, "a", ACTION, b"message", [])
    assert store.get_action_result(BLAKE3, "b", ACTION) is None
    assert store.get_action_result(SHA256, "a", ACTION) is None
    other = Digest(ACTION.hash, ACTION.size_bytes + 1)
    assert store.get_action_result(BLAKE3, "a", other) is None
    store.put_action_result(BLAKE3, "a", other, b"other", [])
    assert store.get_action_result(BLAKE3, "a", ACTION) == b"message"
    assert store.get_action_result(BLAKE3, "a", other) == b"other"
    assert store.get_action_result_by_hash(BLAKE3, "a", ACTION.hash) == b"other"
    assert store.get_action_result_by_hash(BLAKE3, "b", ACTION.hash) is None


def test_missing_blobs_are_named_and_nothing_is_stored(store: Store) -> None:
    here, gone = store.put(BLAKE3, b"here"), BLAKE3.of(b"gone")
    store.put_action_result(BLAKE3, "", ACTION, b"old", [here])
    with pytest.raises(MissingBlobs) as caught:
        store.put_action_result(BLAKE3, "", ACTION, b"new", [here, gone])
    assert caught.value.missing == [gone]
    assert store.get_action_result(BLAKE3, "", ACTION) == b"old"


def test_blob_of_another_size_or_function_is_missing(store: Store) -> None:
    here = store.put(SHA256, b"here")
    for need in (here, Digest(store.put(BLAKE3, b"x").hash, 2)):
        with pytest.raises(MissingBlobs):
            store.put_action_result(BLAKE3, "", ACTION, b"", [need])


def test_incomplete_result_is_answered_once_complete(store: Store) -> None:
    data = os.urandom(20_000)
    need = BLAKE3.of(data)
    store.put_action_result(BLAKE3, "", ACTION, b"message", [need], allow_missing=True)
    assert store.get_action_result(BLAKE3, "", ACTION) is None
    assert store.check().problems == ()
    store.put(BLAKE3, data)
    assert store.get_action_result(BLAKE3, "", ACTION) == b"message"


def test_last_write_wins(store: Store) -> None:
    old, new = store.put(BLAKE3, b"old"), store.put(BLAKE3, b"new")
    store.put_action_result(BLAKE3, "", ACTION, b"1", [old])
    used = store.size()[0]
    store.put_action_result(BLAKE3, "", ACTION, b"2", [new])
    assert store.get_action_result(BLAKE3, "", ACTION) == b"2"
    assert store.size()[0] == used
    assert store.check().problems == ()


def test_remove(store: Store) -> None:
    store.put_action_result(BLAKE3, "", ACTION, b"1", [store.put(BLAKE3, b"need")])
    assert store.remove_action_result(BLAKE3, "", ACTION)
    assert not store.remove_action_result(BLAKE3, "", ACTION)
    assert store.get_action_result(BLAKE3, "", ACTION) is None
    assert store.check().problems == ()


def test_listing(store: Store) -> None:
    actions = [BLAKE3.of(str(number).encode()) for number in range(600)]
    for action in actions:
        store.put_action_result(BLAKE3, "a", action, b"12345", [])
    store.put_action_result(SHA256, "b", SHA256.of(b"x"), b"", [])
    store.put_opaque("a", "key", b"body")
    assert [result.digest for result in store.action_results(BLAKE3)] == actions
    (last,) = store.action_results(instance="b")
    assert (last.function, last.instance, last.digest, last.size) == (SHA256, "b", SHA256.of(b"x"), 0)
    assert len(list(store.action_results())) == 601


def test_opaque_bodies_are_apart(store: Store) -> None:
    store.put_opaque("i", ACTION.hash, b"not a message")
    assert store.get_opaque("i", ACTION.hash) == b"not a message"
    assert store.get_opaque("", ACTION.hash) is None
    assert store.get_action_result_by_hash(BLAKE3, "i", ACTION.hash) is None
    assert store.get_action_result(BLAKE3, "i", Digest(ACTION.hash, 5)) is None
    store.put_opaque("i", ACTION.hash, b"newer")
    assert store.get_opaque("i", ACTION.hash) == b"newer"
    assert store.check().problems == ()


def test_replaced_messages_are_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are not charged to the limit: of each key four are kept, and of long ones few."""
    monkeypatch.setattr("pytrace_cas.store.results.REPLACED_BYTES", 100_000)
    for number in range(6):
        store.put_action_result(BLAKE3, "", BLAKE3.of(b"short"), b"%d" % number, [])
    assert [message for _, message in store.replaced_results(BLAKE3, "", BLAKE3.of(b"short"))] == [
        b"4",
        b"3",
        b"2",
        b"1",
    ]
    for key in (b"a", b"b", b"c"):
        for number in range(2):
            store.put_action_result(BLAKE3, "", BLAKE3.of(key), b"%d" % number * 40_000, [])
    assert [digest for _, _, digest in store.replaced_keys()] == [BLAKE3.of(b"c"), BLAKE3.of(b"b")]
