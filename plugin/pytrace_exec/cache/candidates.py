# SPDX-License-Identifier: Apache-2.0
"""The list of path sets under a weak key as one cache holds it: read, united, written, read back (DESIGN 3).

The list is the one entry that changes. A cache may refuse to change it; then the longer list goes to the next slot,
which has a weak key of its own. A race that is lost costs a later miss: whoever does not find a path set runs.
"""

from __future__ import annotations

from pytrace_cas.recorded.candidates import Candidates, index_digest, parse_index
from pytrace_exec.cache.errors import BlobMissing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytrace_cas.digest import Digest
    from pytrace_exec.cache.interface import Tier
    from pytrace_exec.keys.messages import Key

    WeakKeys = Callable[[int], Key]
    """The weak key of each slot."""

_ATTEMPTS = 4
"""Races lost to other writers of the same list before giving up."""


def lists(tier: Tier, weak: WeakKeys) -> Iterator[Candidates]:
    """The lists that stand in a cache: one a slot, until one is absent."""
    for slot in range(tier.slots):
        listed = _read(tier, weak(slot).digest)
        if listed is None:
            return
        yield listed


def put_first(tier: Tier, weak: WeakKeys, path_set: Digest, action: Digest) -> None:
    """Put a path set first in a cache's list, beside those that others stored meanwhile; its blob was put before."""
    standing = list(lists(tier, weak))
    known = Candidates()
    for listed in standing:
        known = listed.united(known)
    # What stands in a slot before the last was refused to be changed.
    for slot in range(max(0, len(standing) - 1), tier.slots):
        before = standing[slot] if slot < len(standing) else None
        if _write(tier, weak(slot), known, before, path_set, action):
            return


def _write(
    tier: Tier, key: Key, known: Candidates, before: Candidates | None, path_set: Digest, action: Digest
) -> bool:
    """Write a list and read it back until the path set stands in it; False if the entry cannot be changed."""
    for _ in range(_ATTEMPTS):
        wanted = _readable(tier, known).first(path_set, action)
        index = wanted.index()
        digest = tier.function.of(index)
        tier.put({**key.blobs, digest: index})
        # Some caches refuse silently, others say so: only reading back tells what stands there now.
        tier.put_result(key.digest, wanted.result(digest))
        if tier.slots == 1 or not tier.writable:
            return True
        found = _read(tier, key.digest)
        if found is None or path_set in found.path_sets():
            return True
        if before is not None and found.sets == before.sets:
            return False
        before, known = found, found.united(known)
    return True


def _read(tier: Tier, weak: Digest) -> Candidates | None:
    """The list under a weak key; None if there is none, an empty one if it cannot be read."""
    entry = tier.get_result(weak)
    index = index_digest(entry) if entry is not None else None
    if index is None:
        return None
    try:
        return parse_index(tier.get(index))
    except BlobMissing:
        return Candidates()


def _readable(tier: Tier, listed: Candidates) -> Candidates:
    """The same without the path sets whose blobs are lost."""
    lost = set(tier.fetch(listed.path_sets()))
    return Candidates(pair for pair in listed.sets if pair[0] not in lost)
