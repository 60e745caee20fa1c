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

if TYPE_CHECKING:
    from pytrace_cas.store import Store

__all__ = ["Limits", "Services"]


class Services:
    """One of each, sharing a store and its limits; a context manager that drops unfinished uploads.

    Safe to call from many threads. The store stays open: it is the caller's.
    """

    def __init__(self, store: Store, limits: Limits | None = None) -> None:
        limits = limits or Limits()
        self.store = store
        self.capabilities = Capabilities(store, limits)
        self.action_cache = ActionCache(store)
        self.content_addressable_storage = ContentAddressableStorage(store, limits)
        self.chunked_blobs = ChunkedBlobs(store, limits)
        self.byte_stream = ByteStream(store, limits)
        self.blobs_by_hash = BlobsByHash(store, limits)

    def __enter__(self) -> Services:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Drop what unfinished uploads have brought."""
        self.byte_stream.close()
