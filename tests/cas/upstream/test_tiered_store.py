# SPDX-License-Identifier: Apache-2.0
"""The store with a tier behind it, without a server around it; the tier is a real server on the same machine."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import attrs
import pytest

from pytrace_cas.digest import SHA256
from pytrace_cas.store import BlobNotFound, Store
from pytrace_cas.upstream import Location, Upstream, UpstreamUnusable, open_tier, tiered
from pytrace_cas.upstream.write_queue import WriteQueue
from tests.support import messages
from tests.support.foreign_grpc import ForeignCache, foreign_grpc
from tests.support.upstreams import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytrace_cas.upstream.tiered_store import TieredStore


@attrs.frozen
class Both:
    """A store and its tier together, and what each of them holds."""

    tiered: TieredStore
    store: Store
    cache: ForeignCache

    def dropped(self, reason: str) -> float:
        """Count the entries that were given up."""
        return sum(
            sample.value
            for counter in self.tiered.metrics.counted
            for metric in counter.collect()
            for sample in metric.samples
            if sample.labels.get("reason") == reason and sample.name.endswith("_total")
        )


@contextmanager
def both(path: Path, cache: ForeignCache) -> Iterator[Both]:
    """Open a store with a tier behind it."""
    with (
        foreign_grpc(cache) as url,
        Store.open(bytes(path / "store")) as store,
        tiered(store, Upstream(Location.parse(url), timeout=5)) as together,
    ):
        yield Both(together, store, cache)


def test_an_entry_whose_blob_was_evicted_is_dropped_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Acknowledged is what is stored here; the tier may never see it, and nobody needs to hear of it."""
    with Store.open(bytes(tmp_path / "store")) as store:
        digest = store.put(SHA256, os.urandom(100))
        store.evict(down_to=0)
    queue = WriteQueue(bytes(tmp_path / "store"), clock=lambda: 1_000_000.0)  # long ago
    queue.add_blobs(SHA256, [digest])
    queue.add_result(SHA256, "", digest)
    queue.close()
    with both(tmp_path, ForeignCache()) as found:
        eventually(lambda: found.tiered.status()["queue_entries"] == 0)
        assert found.dropped("gone") == 2
        assert found.cache.blobs == {}
        assert "Write" not in found.cache.calls
    assert caplog.records == []


def test_a_result_goes_after_its_blobs(tmp_path: Path) -> None:
    out, action = os.urandom(30_000), os.urandom(40)
    lacking: list[bool] = []
    cache = ForeignCache()
    cache.before_update = lambda: lacking.append(SHA256.of(out).hash not in cache.blobs)
    with both(tmp_path, cache) as found:
        found.store.put(SHA256, out)  # here before there was an upstream: never queued
        message = messages.result_of({"out": out}).SerializeToString()
        found.tiered.put_action_result(SHA256, "", SHA256.of(action), message, [SHA256.of(out)])
        eventually(lambda: found.tiered.status()["queue_entries"] == 0)
        assert lacking == [False]
        assert cache.results[("", SHA256.of(action).hash)] == message


def test_what_a_client_stored_is_not_replaced_by_upstream(tmp_path: Path) -> None:
    """The tier's older result arrives after a client's newer one was acknowledged: the client's stays."""
    old, new, action = os.urandom(100), os.urandom(100), SHA256.of(os.urandom(40))
    cache = ForeignCache(blobs={SHA256.of(old).hash: old})
    cache.results["", action.hash] = messages.result_of({"o": old}).SerializeToString()
    mine = messages.result_of({"o": new}).SerializeToString()
    with both(tmp_path, cache) as found:
        digest = found.tiered.put(SHA256, new)
        found.store.put_action_result(SHA256, "", action, mine, [digest])
        upstream = cache.results["", action.hash]
        found.store.put_action_result(
            SHA256, "", action, upstream, [SHA256.of(old)], allow_missing=True, keep_complete=True
        )
        assert found.tiered.get_action_result(SHA256, "", action) == mine
        assert not found.store.remove_action_result(SHA256, "", action, incomplete=True)
        assert found.store.get_action_result(SHA256, "", action) == mine


def test_no_room_here_is_a_miss(tmp_path: Path) -> None:
    blob = os.urandom(2 << 20)
    with both(tmp_path, ForeignCache(blobs={SHA256.of(blob).hash: blob})) as found:
        with Store.open(bytes(tmp_path / "store"), max_size=1 << 20):
            pass
        with pytest.raises(BlobNotFound):
            found.tiered.open_blob(SHA256, SHA256.of(blob))
        assert found.tiered.status()["breaker"] == "closed"


def test_the_queue_cannot_be_written(tmp_path: Path) -> None:
    """Storing here goes on, and what will not be written upstream is counted."""
    with both(tmp_path, ForeignCache()) as found:
        found.tiered._queue._db.execute("PRAGMA query_only = ON")  # as a full disk: every write fails
        digest = found.tiered.put(SHA256, b"blob")
        assert found.store.get(SHA256, digest) == b"blob"
        assert found.dropped("unwritable") == 1
        found.tiered._queue._db.execute("PRAGMA query_only = OFF")


def test_what_cannot_be_used_is_said_at_once(tmp_path: Path) -> None:
    location = Location.parse("grpcs://127.0.0.1:1")
    with pytest.raises(UpstreamUnusable):
        open_tier(Upstream(location, ca=str(tmp_path / "none")))
    with pytest.raises(UpstreamUnusable):
        open_tier(Upstream(Location.parse("https://127.0.0.1:1"), ca=str(tmp_path / "none")))
    with pytest.raises(UpstreamUnusable):
        open_tier(Upstream(Location.parse("s3://bucket"), cert="a", key="b"))
    Store.open(bytes(tmp_path / "store")).close()
    with Store.open(bytes(tmp_path / "store"), read_only=True) as store, pytest.raises(UpstreamUnusable):
        tiered(store, Upstream(location))
