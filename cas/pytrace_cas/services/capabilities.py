# SPDX-License-Identifier: Apache-2.0
"""The Capabilities service: what this server can do (WIRE 16-21)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytrace_cas.digest import FUNCTIONS
from pytrace_cas.services.chunked_blobs import FAST_CDC, REP_MAX_CDC
from pytrace_cas.services.resource_names import check_instance_name
from pytrace_proto import remote_execution_pb2 as reapi
from pytrace_proto import semver_pb2

if TYPE_CHECKING:
    from pytrace_cas.services.backing import Store
    from pytrace_cas.services.limits import Limits

# Bazel 4.2.3 asks for 2.0 and refuses a server that begins later.
LOW = semver_pb2.SemVer(major=2)
HIGH = semver_pb2.SemVer(major=2, minor=12)


class Capabilities:
    """Answers for every instance alike, and by what the caller may do; safe to call from many threads."""

    def __init__(self, store: Store, limits: Limits) -> None:
        self._answer = reapi.ServerCapabilities(
            cache_capabilities=_cache(store, limits), low_api_version=LOW, high_api_version=HIGH
        )
        self._without_updates = reapi.ServerCapabilities()
        self._without_updates.CopyFrom(self._answer)
        self._without_updates.cache_capabilities.action_cache_update_capabilities.update_enabled = False

    def get(self, request: reapi.GetCapabilitiesRequest, *, may_update: bool = True) -> reapi.ServerCapabilities:
        """Say what the cache can do for this caller, who `may_update` results or not; there is no execution."""
        check_instance_name(request.instance_name)
        return self._answer if may_update else self._without_updates


def _cache(store: Store, limits: Limits) -> reapi.CacheCapabilities:
    return reapi.CacheCapabilities(
        digest_functions=[reapi.DigestFunction.Value.Value(name.upper()) for name in FUNCTIONS],
        action_cache_update_capabilities=reapi.ActionCacheUpdateCapabilities(update_enabled=not store.read_only),
        supported_compressors=[reapi.Compressor.ZSTD],
        supported_batch_update_compressors=[reapi.Compressor.ZSTD],
        max_batch_total_size_bytes=limits.batch_bytes,
        max_cas_blob_size_bytes=limits.blob_bytes,
        split_blob_support=True,
        splice_blob_support=not store.read_only,
        fast_cdc_2020_params=FAST_CDC,
        rep_max_cdc_params=REP_MAX_CDC,
        symlink_absolute_path_strategy=reapi.SymlinkAbsolutePathStrategy.ALLOWED,
    )
