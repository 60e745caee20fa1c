# SPDX-License-Identifier: Apache-2.0
"""What the store keeps beside a result and no key says: where it was made, and which inputs were declared."""

from __future__ import annotations

from pytrace_cas.recorded.keys import read_key
from pytrace_cas.recorded.origins import LONGEST, decode_origin
from pytrace_cas.recorded.places import Places
from pytrace_exec.cache.errors import BlobMissing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytrace_cas.digest import Digest
    from pytrace_cas.recorded.keys import StoredKey
    from pytrace_exec.cache.local import LocalCache

_LARGEST_ACTION = 1 << 12  # bytes of an `Action` message with the longest salt


def origin_of(cache: LocalCache, action: Digest) -> Places | None:
    """The places of the run that made a result; None if it was made elsewhere."""
    for data in _beside(cache, action, LONGEST):
        found = decode_origin(data)
        if found is not None:
            return found
    return None


def declared_inputs(cache: LocalCache, key: StoredKey, places: Places) -> dict[bytes, bytes] | None:
    """Digests of the inputs that were declared for a result, by path; None if its weak key is not here.

    Of the actions kept with a result the weak key is the one with the same command and no facts.
    """
    for digest in _digests_beside(cache, key.digest, _LARGEST_ACTION):
        if digest == key.digest:
            continue
        try:
            weak = read_key(cache.get, digest, places)
        except (BlobMissing, ValueError):
            continue
        if weak.action.command_digest == key.action.command_digest:
            return {subject.paths[0]: value for subject, value in weak.values.items()}
    return None


def _beside(cache: LocalCache, action: Digest, longest: int) -> Iterator[bytes]:
    for digest in _digests_beside(cache, action, longest):
        try:
            yield cache.get(digest)
        except BlobMissing:
            continue


def _digests_beside(cache: LocalCache, action: Digest, longest: int) -> Iterator[Digest]:
    needs = cache.store.needs_of(cache.function, cache.instance, action)
    return (digest for digest in needs if digest.size_bytes <= longest)
