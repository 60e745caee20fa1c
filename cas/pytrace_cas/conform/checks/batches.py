# SPDX-License-Identifier: Apache-2.0
"""BatchUpdateBlobs and BatchReadBlobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytrace_cas.conform.cache import ZSTD, Blob, code_name
from pytrace_cas.conform.checks.capabilities import MOST_SENT, refuse_large_batch
from pytrace_cas.conform.checks.digests import INVALID
from pytrace_cas.conform.compression import compress, decompress
from pytrace_cas.conform.registry import expect, rule
from pytrace_cas.conform.wire import CallFailed, Code
from pytrace_proto import remote_execution_pb2 as reapi

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytrace_cas.conform.cache import Cache

Entry = reapi.BatchUpdateBlobsRequest.Request


def _codes(entries: Sequence[reapi.BatchUpdateBlobsResponse.Response | reapi.BatchReadBlobsResponse.Response]) -> str:
    return ", ".join(code_name(entry.status.code) for entry in entries)


def _expect_codes(
    entries: Sequence[reapi.BatchUpdateBlobsResponse.Response | reapi.BatchReadBlobsResponse.Response],
    *wanted: Code,
    what: str,
) -> None:
    names = ", ".join(code.name for code in wanted)
    expect(_codes(entries) == names, f"{what}: {_codes(entries) or 'no entries'}", names)


@rule("25")
def too_large_a_batch(cache: Cache) -> str:
    """Send more than one batch takes."""
    limit = cache.batch_limit
    if not limit:
        return "no limit is stated"
    if limit >= MOST_SENT:
        return f"the limit of {limit} bytes is more than this tool sends"
    return f"{refuse_large_batch(cache)} beyond {limit} bytes"


@rule("26")
def own_statuses(cache: Cache) -> str:
    """Send a wrong blob between two sound ones."""
    first, last = cache.fresh(), cache.fresh()
    wrong = Blob(cache.fresh().data, cache.fresh().digest, cache.function)
    answers = cache.batch_update(first, wrong, last).responses
    by_hash = {answer.digest.hash: answer for answer in answers}
    expect(
        len(answers) == 3 and by_hash.keys() == {blob.digest.hash for blob in (first, wrong, last)},
        f"{len(answers)} entries for {len(by_hash)} digests",
        "one for each request, with its digest",
    )
    ordered = [by_hash[blob.digest.hash] for blob in (first, wrong, last)]
    _expect_codes(ordered, Code.OK, *INVALID, Code.OK, what="a wrong blob between two sound ones")
    expect(cache.has(first) and cache.has(last), "a sound blob is missing", "stored beside the wrong one")
    return "the wrong one is refused, those beside it are stored"


@rule("27")
def wrong_bytes(cache: Cache) -> str:
    """Send bytes of another hash, and of another size."""
    blob = cache.fresh()
    for what, data in {"other bytes": cache.fresh().data, "fewer bytes": blob.data[:-1]}.items():
        entries = cache.batch_update(Blob(data, blob.digest, blob.function)).responses
        _expect_codes(entries, *INVALID, what=what)
        expect(not cache.has(blob), f"stored after {what} were refused", "missing")
    return "INVALID_ARGUMENT for other bytes and for fewer, and nothing stored"


@rule("28")
def compressed_updates(cache: Cache) -> str:
    """Send blobs compressed: as announced, broken, too large; and as nobody announced."""
    announced = set(cache.offered.supported_batch_update_compressors)
    blob = cache.fresh(2000)
    others = [number for number in (*reapi.Compressor.Value.values(), 77) if number and number not in announced]
    for number in others:
        entries = cache.batch_send([_entry(blob, blob.data, number)]).responses
        _expect_codes(entries, *INVALID, what=f"compressor {number}, not announced,")
    if ZSTD not in announced:
        return "none is announced: INVALID_ARGUMENT for each"
    cache_zstd = cache.batch_send([_entry(blob, compress(blob.data), ZSTD)]).responses
    _expect_codes(cache_zstd, Code.OK, what="zstd")
    expect(cache.read(cache.read_name(blob)) == blob.data, "other bytes than were compressed", "the blob")
    fresh = cache.fresh(2000)
    sound = compress(fresh.data)
    wrong = {"cut short": sound[:-9], "not zstd": fresh.data, "a bomb": compress(bytes(16 << 20))}
    for what, data in wrong.items():
        _expect_codes(cache.batch_send([_entry(fresh, data, ZSTD)]).responses, *INVALID, what=what)
    expect(not cache.has(fresh), "stored after it was refused", "missing")
    return f"zstd is taken; {', '.join(wrong)}: INVALID_ARGUMENT"


def _entry(blob: Blob, data: bytes, compressor: int) -> Entry:
    return Entry(digest=blob.digest, data=data, compressor=compressor)  # type: ignore[arg-type]


@rule("29")
def batch_reads(cache: Cache) -> str:
    """Read what is there and what is not, with and without compression."""
    here, gone = cache.stored(3000), cache.fresh()
    entries = cache.batch_read(here.digest, gone.digest)
    by_hash = {entry.digest.hash: entry for entry in entries}
    expect(len(entries) == 2 and len(by_hash) == 2, f"{len(entries)} entries", "one for each digest")
    ordered = [by_hash[here.digest.hash], by_hash[gone.digest.hash]]
    _expect_codes(ordered, Code.OK, Code.NOT_FOUND, what="a blob that is there, one that is not")
    expect(ordered[0].data == here.data and not ordered[0].compressor, "other bytes, or compressed", "the blob")
    [entry] = cache.batch_read(here.digest, compressors=[ZSTD])
    expect(entry.compressor in (0, ZSTD), f"compressor {entry.compressor}", "IDENTITY or ZSTD")
    data = decompress(entry.data, 3000) if entry.compressor == ZSTD else entry.data
    expect(data == here.data, "other bytes where zstd is accepted", "the blob")
    name = "zstd" if entry.compressor == ZSTD else "uncompressed bytes"
    return f"OK and NOT_FOUND each for itself; who accepts zstd gets {name}"


@rule("30")
def too_large_a_read(cache: Cache) -> str:
    """Read more than one batch may have: by missing blobs, then by blobs that are there."""
    limit = cache.batch_limit
    if not limit:
        return "no limit is stated"
    half = limit // 2 + 1
    missing = [reapi.Digest(hash=cache.fresh().digest.hash, size_bytes=half) for _ in range(2)]
    request = reapi.BatchReadBlobsRequest(**cache.about(), digests=missing)
    try:
        cache.wire.call("BatchReadBlobs", request)
    except CallFailed as error:
        expect(error.code is Code.INVALID_ARGUMENT, str(error), "INVALID_ARGUMENT")
        return f"INVALID_ARGUMENT beyond {limit} bytes, missing blobs counted with the size in their digest"
    if limit >= MOST_SENT:
        return f"missing blobs do not count, and {limit} bytes are more than this tool sends"
    blobs = [cache.fresh(half) for _ in range(2)]
    cache.put_all(blobs)
    request = reapi.BatchReadBlobsRequest(**cache.about(), digests=[blob.digest for blob in blobs])
    cache.refused(INVALID, f"{2 * half} bytes", "BatchReadBlobs", request)
    return f"INVALID_ARGUMENT beyond {limit} bytes, missing blobs not counted"


@rule("31")
def repeated(cache: Cache) -> str:
    """Send a blob again, twice in one batch, and an empty batch."""
    blob = cache.stored()
    _expect_codes(cache.batch_update(blob).responses, Code.OK, what="sent again")
    fresh = cache.fresh()
    _expect_codes(cache.batch_update(fresh, fresh).responses, Code.OK, Code.OK, what="twice in one batch")
    expect(not cache.batch_update().responses, "entries for an empty batch", "none")
    return "OK again and twice at once; an empty batch has an empty answer"
