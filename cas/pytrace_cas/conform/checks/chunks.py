# SPDX-License-Identifier: Apache-2.0
"""SplitBlob and SpliceBlob."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytrace_cas.conform.cache import Blob, code_name
from pytrace_cas.conform.checks.digests import INVALID
from pytrace_cas.conform.registry import NotOffered, expect, rule
from pytrace_cas.conform.wire import CallFailed, Code
from pytrace_proto import remote_execution_pb2 as reapi

if TYPE_CHECKING:
    from pytrace_cas.conform.cache import Cache

FAST, REP_MAX = reapi.ChunkingFunction.FAST_CDC_2020, reapi.ChunkingFunction.REP_MAX_CDC
MOST_CHUNKED = 24 << 20


def _need_split(cache: Cache) -> None:
    if not cache.offered.split_blob_support:
        raise NotOffered("split_blob_support is false")


def _need_splice(cache: Cache) -> None:
    if not cache.offered.splice_blob_support:
        raise NotOffered("splice_blob_support is false")


def _split(cache: Cache, blob: Blob, function: int = 0) -> reapi.SplitBlobResponse:
    asked: Any = function
    request = reapi.SplitBlobRequest(**cache.about(), blob_digest=blob.digest, chunking_function=asked)
    answer: reapi.SplitBlobResponse = cache.wire.call("SplitBlob", request)
    return answer


def _splice_request(cache: Cache, whole: Blob, *parts: Blob, function: int = 0) -> reapi.SpliceBlobRequest:
    asked: Any = function
    digests = [part.digest for part in parts]
    return reapi.SpliceBlobRequest(
        **cache.about(), blob_digest=whole.digest, chunk_digests=digests, chunking_function=asked
    )


def _check_chunks(cache: Cache, blob: Blob, answer: reapi.SplitBlobResponse) -> str:
    """Raise `Broken` unless the chunks are there and are the blob; say how many there are."""
    digests = list(answer.chunk_digests)
    expect(not cache.missing(*digests), "chunks that are missing", "all in the CAS")
    data = b"".join(cache.read(cache.read_name(Blob(b"", digest, blob.function))) for digest in digests)
    expect(data == blob.data, f"{len(digests)} chunks that are {len(data)} other bytes", "the blob")
    return f"{len(digests)} chunks"


@rule("50")
def split(cache: Cache) -> str:
    """Split a blob, and one that is missing."""
    _need_split(cache)
    blob = cache.large
    answer = _split(cache, blob)
    told = _check_chunks(cache, blob, answer)
    gone = reapi.SplitBlobRequest(**cache.about(), blob_digest=cache.fresh(1 << 16).digest)
    cache.refused((Code.NOT_FOUND,), "a missing blob", "SplitBlob", gone)
    return f"{told} of function {answer.chunking_function}, all there; a missing blob is NOT_FOUND"


@rule("51")
def splice(cache: Cache) -> str:
    """Splice a blob of chunks, and others wrongly."""
    _need_splice(cache)
    parts = [cache.stored(1000), cache.stored(2000)]
    whole = cache.blob(parts[0].data + parts[1].data)
    answer = cache.wire.call("SpliceBlob", _splice_request(cache, whole, *parts))
    expect(answer.blob_digest == whole.digest, "another digest in the answer", "the blob's")
    expect(cache.has(whole), "missing after it was spliced", "stored")
    try:
        cache.wire.call("SpliceBlob", _splice_request(cache, whole, *parts))
        again = "OK"
    except CallFailed as error:
        expect(error.code is Code.ALREADY_EXISTS, str(error), "OK or ALREADY_EXISTS")
        again = error.code.name
    for what, other, given in (
        ("another order", cache.blob(parts[1].data + parts[0].data), parts),
        ("another sum of sizes", cache.blob(parts[0].data * 2 + b"x"), parts),
    ):
        cache.refused(INVALID, what, "SpliceBlob", _splice_request(cache, other, *given))
        expect(not cache.has(other), f"stored with {what}", "missing")
    gone = cache.fresh(1000)
    lacking = cache.blob(parts[0].data + gone.data)
    cache.refused((Code.NOT_FOUND,), "a missing chunk", "SpliceBlob", _splice_request(cache, lacking, parts[0], gone))
    unset = reapi.SpliceBlobRequest(**cache.about(), chunk_digests=[parts[0].digest])
    cache.refused(INVALID, "no blob_digest", "SpliceBlob", unset)
    return f"verified: INVALID_ARGUMENT for other sums and hashes, NOT_FOUND for missing chunks; again: {again}"


@rule("52")
def wholes(cache: Cache) -> str:
    """Read a spliced blob as clients do that do not chunk; or see that there is no splicing."""
    if not cache.offered.splice_blob_support:
        request = _splice_request(cache, cache.fresh(), cache.fresh())
        cache.refused((Code.UNIMPLEMENTED,), "SpliceBlob, not announced,", "SpliceBlob", request)
        raise NotOffered("splice_blob_support is false, and SpliceBlob UNIMPLEMENTED")
    parts = [cache.stored(3000), cache.stored(500), cache.stored(1)]
    whole = cache.blob(b"".join(part.data for part in parts))
    cache.wire.call("SpliceBlob", _splice_request(cache, whole, *parts))
    name = cache.read_name(whole)
    expect(cache.read(name) == whole.data, "Read gives other bytes", "the blob")
    expect(cache.read(name, 2900, 700) == whole.data[2900:3600], "Read across chunks gives other bytes", "the blob's")
    [entry] = cache.batch_read(whole.digest)
    expect(entry.data == whole.data, f"BatchReadBlobs: {code_name(entry.status.code)}, other bytes", "the blob")
    expect(cache.has(whole), "FindMissingBlobs lists it", "found")
    return "read, read in a batch and found; function UNKNOWN taken"


def _sizes(answer: reapi.SplitBlobResponse, least: int, most: int) -> str:
    """Raise `Broken` unless the chunks' sizes lie within bounds; the last may be smaller."""
    sizes = [digest.size_bytes for digest in answer.chunk_digests]
    wrong = [size for size in sizes if size > most] + [size for size in sizes[:-1] if size < least]
    expect(not wrong, f"chunks of {wrong[:3]} bytes", f"from {least} to {most}")
    return f"{len(sizes)} chunks of {min(sizes)} to {max(sizes)} bytes"


def _split_by(cache: Cache, function: int, wanted: int) -> reapi.SplitBlobResponse:
    if wanted > MOST_CHUNKED:
        raise NotOffered(f"chunks so large that a blob of more than {MOST_CHUNKED} bytes would be needed")
    blob = cache.fresh(wanted)  # of its own: a cache may keep the chunks that a blob was first cut into
    cache.upload(blob)
    answer = _split(cache, blob, function)
    if answer.chunking_function != function:
        raise NotOffered(f"the cache cut by function {answer.chunking_function}, as it may")
    _check_chunks(cache, blob, answer)
    return answer


@rule("53")
def fast_cdc(cache: Cache) -> str:
    """Look at the parameters of FastCDC, and at the sizes of what it cuts."""
    if not cache.offered.HasField("fast_cdc_2020_params"):
        raise NotOffered("fast_cdc_2020_params is unset")
    average = cache.offered.fast_cdc_2020_params.avg_chunk_size_bytes
    expect(1 << 10 <= average <= 1 << 20, f"an average of {average} bytes", "from 1 KiB to 1 MiB")
    if not cache.offered.split_blob_support:
        return f"average {average}; there is no splitting"
    return f"average {average}: {_sizes(_split_by(cache, FAST, 12 * average), average // 4, 4 * average)}"


@rule("54")
def rep_max_cdc(cache: Cache) -> str:
    """Look at the parameters of RepMaxCDC, and at the sizes of what it cuts."""
    if not cache.offered.HasField("rep_max_cdc_params"):
        raise NotOffered("rep_max_cdc_params is unset")
    least = cache.offered.rep_max_cdc_params.min_chunk_size_bytes
    expect(least >= 64, f"a least chunk of {least} bytes", "at least 64")
    if not cache.offered.split_blob_support:
        return f"least {least}; there is no splitting"
    return f"least {least}: {_sizes(_split_by(cache, REP_MAX, 20 * least), least, 2 * least - 1)}"
