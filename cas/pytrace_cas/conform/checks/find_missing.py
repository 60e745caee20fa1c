# SPDX-License-Identifier: Apache-2.0
"""FindMissingBlobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytrace_cas.conform.registry import NotOffered, expect, rule
from pytrace_proto import remote_execution_pb2 as reapi

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytrace_cas.conform.cache import Cache

# Digests in one question: about 1.5 MB, well within a message.
MANY = 20_000
STEP = 1 << 20
# Seconds in which half of a small upload arrives.
ON_ITS_WAY = 0.3


@rule("22")
def subset(cache: Cache) -> str:
    """Ask for blobs that are there and blobs that are not, some twice, and for none."""
    here, gone = cache.stored().digest, cache.fresh().digest
    missing = cache.missing(here, gone, here, gone)
    expect(
        {digest.hash for digest in missing} == {gone.hash},
        f"{len(missing)} named, the missing one {'among them' if gone in missing else 'not among them'}",
        "the missing one alone",
    )
    expect(all(digest == gone for digest in missing), "another size than was asked for", "the digest as it was asked")
    expect(cache.missing() == [], "blobs named in answer to no question", "none")
    return "the missing one is named, whether asked once or twice; nothing for nothing"


def overfill(cache: Cache, gone: Callable[[int], bool]) -> int:
    """Upload new blobs until `gone`, asked with the number of the step, is true; return their bytes.

    Raises `NotOffered` when there are no bytes to upload, or not enough.
    """
    if not cache.overfill:
        raise NotOffered("it takes evictions (--overfill SIZE)")
    steps = steps_of(cache)
    for step in range(steps):
        cache.put(cache.fresh(STEP))
        if gone(step):
            return (step + 1) * STEP
    raise NotOffered(f"nothing was evicted by {steps * STEP} bytes (a larger --overfill SIZE)")


def steps_of(cache: Cache) -> int:
    """How many blobs of one step's size may be uploaded."""
    return max(1, cache.overfill // STEP)


@rule("23")
def lifetimes(cache: Cache) -> str:
    """Touch one blob while others come, until an untouched one is gone."""
    touched = cache.stored()
    expect(cache.has(touched) and cache.has(touched), "found once and not again", "found as long as it is there")
    if not cache.overfill:
        return "found again and again; whether that makes it live longer takes evictions (--overfill SIZE)"
    # To look for a blob is to touch it: each of these is looked for once.
    untouched = [cache.fresh() for _ in range(steps_of(cache))]
    cache.put_all(untouched)

    def gone(step: int) -> bool:
        expect(cache.has(touched), "a blob that was found again and again was evicted", "others go before it")
        return not cache.has(untouched[step])

    return f"after {overfill(cache, gone)} bytes an untouched blob was gone, the touched one there"


@rule("24")
def no_side_effects(cache: Cache) -> str:
    """Ask for a long list, for a missing blob twice, and for one that is on its way."""
    gone = cache.fresh()
    expect(not cache.has(gone) and not cache.has(gone), "there once it was asked for", "missing")
    blob = cache.fresh(1000)
    with cache.begun(blob, blob.data[:500], ON_ITS_WAY):
        expect(not cache.has(blob), "there after half of its upload", "missing until the write is finished")
    many = [reapi.Digest(hash=f"{number:0{len(gone.digest.hash)}x}", size_bytes=1) for number in range(1, MANY)]
    missing = cache.missing(*many, cache.stored().digest)
    expect(len(missing) == len(many), f"{len(missing)} of {len(many)} named", "all that are missing")
    return f"{MANY} digests in one question; a blob on its way is missing"
