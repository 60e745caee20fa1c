# SPDX-License-Identifier: Apache-2.0
"""The cache's services over one store, knowing neither gRPC nor HTTP: messages in, messages out, errors raised."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytrace_cas.services.action_cache import ActionCache
from pytrace_cas.services.blobs_by_hash import BlobsByHash
from pytrace_cas.services.byte_stream import ByteStream
from pytrace_cas.services.capabilities import Capabilities
from pytrace_cas.services.chunked_blobs import ChunkedBlobs
from pytrace_cas.services.content_addressable_storage import ContentAddressableStorage
from pytrace_cas.services.limits import Limits
from pytrace_cas.services.remote_asset import AssetSettings, RemoteAsset
from pytrace_cas.services.web_files import WebFiles

if TYPE_CHECKING:
    from pytrace_cas.services.backing import Store

__all__ = ["AssetSettings", "Limits", "Services"]


class Services:
    """One of each, sharing a store and its limits; a context manager that drops uploads nobody came back for.

    Safe to call from many threads. The store stays open: it is the caller's.
    """

    def __init__(self, store: Store, limits: Limits | None = None, assets: AssetSettings | None = None) -> None:
        limits = limits or Limits()
        self.store = store
        self.capabilities = Capabilities(store, limits)
        self.action_cache = ActionCache(store)
        self.content_addressable_storage = ContentAddressableStorage(store, limits)
        self.chunked_blobs = ChunkedBlobs(store, limits)
        self.byte_stream = ByteStream(store, limits)
        self.blobs_by_hash = BlobsByHash(store, limits)
        self.web_files = WebFiles(store, limits)
        self.remote_asset = RemoteAsset(store, assets) if assets is not None else None

    def __enter__(self) -> Services:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Break off downloads, and drop uploads that nobody came back for in time."""
        if self.remote_asset is not None:
            self.remote_asset.close()
        if not self.store.read_only:
            self.store.expire_uploads()
