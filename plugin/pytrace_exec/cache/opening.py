# SPDX-License-Identifier: Apache-2.0
"""From a store and the options to the cache that a run uses."""

from __future__ import annotations

from pytrace_cas.digest import function_named
from pytrace_exec.cache.errors import CacheFailed
from pytrace_exec.cache.local import LocalCache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_cas.store import Store
    from pytrace_exec.options import Options


class NoRemote(CacheFailed):
    """Only a remote is to be used, and none is named."""

    def __init__(self) -> None:
        super().__init__("PYTRACE_REMOTE_ONLY is set, but no remote; --remote names one")


def open_cache(store: Store, options: Options) -> LocalCache:
    """Put the remote that the options name behind a store, or return the store alone; raise `NoRemote`.

    The remote is asked only if the store never met it, for the digest function that the two will share.
    """
    if options.remote is None:
        if options.remote_only:
            raise NoRemote
        cache = LocalCache(store, function_named(options.digest_function or "blake3"), options.instance_name)
    else:
        from pytrace_exec.cache.tiered import open_tiers

        cache = open_tiers(store, options.remote, options)
    cache.writable &= options.mode != "readonly"
    return cache
