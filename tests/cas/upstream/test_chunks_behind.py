# SPDX-License-Identifier: Apache-2.0
"""Chunks and wholes with a tier behind the store: it has wholes, and what is only there can be cut and joined here."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pytrace_cas.digest import SHA256
from pytrace_cas.services import Services
from pytrace_cas.store import Store
from pytrace_cas.upstream import Location, Upstream, tiered
from pytrace_proto import remote_execution_pb2 as reapi
from tests.support import messages
from tests.support.foreign_grpc import ForeignCache, foreign_grpc
from tests.support.upstreams import eventually

if TYPE_CHECKING:
    from pathlib import Path


def test_a_blob_that_is_only_there_is_cut_and_joined_again(tmp_path: Path) -> None:
    data, cache = os.urandom(3 << 20), ForeignCache()
    cache.blobs[SHA256.of(data).hash] = data
    with (
        foreign_grpc(cache) as url,
        Store.open(bytes(tmp_path / "store")) as store,
        tiered(store, Upstream(Location.parse(url), timeout=10)) as together,
        Services(together) as services,
    ):
        whole = messages.digest(data)
        split = services.chunked_blobs.split(reapi.SplitBlobRequest(blob_digest=whole))
        assert sum(chunk.size_bytes for chunk in split.chunk_digests) == len(data)
        parts = (data[: 1 << 20], data[1 << 20 :] + b"changed")
        joined = b"".join(parts)
        cache.blobs[SHA256.of(parts[0]).hash] = parts[0]  # of which we know nothing
        store.put(SHA256, parts[1])
        asked = reapi.SpliceBlobRequest(
            blob_digest=messages.digest(joined), chunk_digests=[messages.digest(part) for part in parts]
        )
        services.chunked_blobs.splice(asked)
        assert together.get(SHA256, SHA256.of(joined)) == joined
        eventually(lambda: together.status()["queue_entries"] == 0)
        assert cache.blobs[SHA256.of(joined).hash] == joined
