# SPDX-License-Identifier: Apache-2.0
"""A tier behind the store: another cache over gRPC or HTTP, or a bucket. docs/upstream.md says how it behaves.

What talks to a tier is imported when there is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytrace_cas.upstream.location import HTTP, OBJECTS, Header, Location, MalformedLocation, Upstream

if TYPE_CHECKING:
    from pytrace_cas.store import Store
    from pytrace_cas.upstream.tier import Tier
    from pytrace_cas.upstream.tiered_store import TieredStore

__all__ = [
    "Header",
    "Location",
    "MalformedLocation",
    "Upstream",
    "UpstreamUnusable",
    "check_usable",
    "open_tier",
    "tiered",
]


class UpstreamUnusable(Exception):
    """The tier cannot be used as it was described; `why` says what to mend."""

    def __init__(self, upstream: Upstream, why: str) -> None:
        super().__init__(f"{upstream.location}: {why}")
        self.upstream = upstream
        self.why = why


def open_tier(upstream: Upstream) -> Tier:
    """Return the tier, not connected yet; raise `UpstreamUnusable`."""
    scheme = upstream.location.scheme
    try:
        if scheme in OBJECTS:
            if upstream.cert or upstream.key:
                raise UpstreamUnusable(upstream, "buckets know no client certificates")
            from pytrace_cas.upstream.object_tier import ObjectTier

            return ObjectTier(upstream)
        if scheme in HTTP:
            from pytrace_cas.upstream.http_tier import HttpTier

            return HttpTier(upstream)
        from pytrace_cas.upstream.grpc_tier import GrpcTier

        return GrpcTier(upstream)
    except UpstreamUnusable:
        raise
    except Exception as error:
        # Some libraries go on for pages.
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise UpstreamUnusable(upstream, why) from error


def tiered(store: Store, upstream: Upstream, *, fsync: bool = False) -> TieredStore:
    """Put a tier behind a store; raise `UpstreamUnusable`. Not before a fork: it begins threads when it is entered."""
    _refuse_when_read_only(upstream, store.read_only)
    from pytrace_cas.upstream.tiered_store import TieredStore

    return TieredStore(store, open_tier(upstream), read_only=upstream.read_only, fsync=fsync)


def check_usable(upstream: Upstream, *, read_only: bool) -> None:
    """Raise `UpstreamUnusable` as `tiered` would with a store that is `read_only` or not; nothing stays open."""
    _refuse_when_read_only(upstream, read_only)
    open_tier(upstream).close()


def _refuse_when_read_only(upstream: Upstream, read_only: bool) -> None:
    if read_only:
        raise UpstreamUnusable(upstream, "what it sends could not be kept: the store is open for reading only")
