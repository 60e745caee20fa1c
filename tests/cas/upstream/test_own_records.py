# SPDX-License-Identifier: Apache-2.0
"""What the server notes for itself, of assets and of names below `/webdav/`: never upstream; its blobs are."""

from __future__ import annotations

import os
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from pytrace_cas.digest import SHA256
from pytrace_cas.services import AssetSettings, Limits, Services
from pytrace_cas.services.errors import FileNotHere
from pytrace_cas.store import MissingBlobs, Store
from pytrace_cas.upstream import Location, Upstream, tiered
from pytrace_proto import remote_asset_pb2 as asset
from tests.support import messages
from tests.support.foreign_grpc import ForeignCache, foreign_grpc
from tests.support.upstreams import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytrace_cas.upstream.tiered_store import TieredStore

URN = "urn:some:asset"


@contextmanager
def serving(path: Path, cache: ForeignCache) -> Iterator[tuple[Services, TieredStore, Store]]:
    """The services over a store with that cache behind it."""
    with (
        foreign_grpc(cache) as url,
        Store.open(bytes(path / "store")) as store,
        tiered(store, Upstream(Location.parse(url), timeout=5)) as together,
        Services(together, Limits(), AssetSettings()) as services,
    ):
        yield services, together, store


def untold(cache: ForeignCache) -> bool:
    """Whether nobody has asked the cache for a result, or given it one."""
    return not cache.results and not {"GetActionResult", "UpdateActionResult"}.intersection(cache.calls)


def test_names_stay_here_and_files_go_there(tmp_path: Path) -> None:
    data, cache = os.urandom(2000), ForeignCache()
    with serving(tmp_path, cache) as (services, together, store):
        with closing(services.web_files.upload("a/file")) as sink:
            sink.write(data)
            sink.commit()
        eventually(lambda: together.status()["queue_entries"] == 0)
        assert cache.blobs[SHA256.of(data).hash] == data
        with services.web_files.open("a/file") as download:
            assert b"".join(download) == data
        with pytest.raises(FileNotHere):
            services.web_files.find("another")
        store.evict(down_to=0)
        with pytest.raises(FileNotHere):
            services.web_files.find("a/file")
        assert untold(cache)


def test_an_asset_is_known_here_though_its_blob_was_there(tmp_path: Path) -> None:
    data, hint, lost = os.urandom(2000), os.urandom(500), os.urandom(500)
    cache = ForeignCache(blobs={SHA256.of(blob).hash: blob for blob in (data, hint)})
    with serving(tmp_path, cache) as (services, together, store):
        assets = services.remote_asset
        assert assets is not None
        # What is nowhere is left out of the hints; it keeps nothing else from being fetched.
        hints = [messages.digest(blob) for blob in (lost, hint)]
        assets.push_blob(asset.PushBlobRequest(uris=[URN], blob_digest=messages.digest(data), references_blobs=hints))
        assert store.get(SHA256, SHA256.of(data)) == data
        found = assets.known_blob(asset.FetchBlobRequest(uris=[URN]))
        assert found is not None
        assert found.blob_digest == messages.digest(data)
        with pytest.raises(MissingBlobs):
            assets.push_blob(asset.PushBlobRequest(uris=[URN], blob_digest=messages.digest(lost)))
        assert assets.known_blob(asset.FetchBlobRequest(uris=["urn:other"])) is None
        assert together.status()["queue_entries"] == 0
        assert untold(cache)
