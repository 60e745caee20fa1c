# SPDX-License-Identifier: Apache-2.0
"""What a cache says of itself, and whether it is so."""

from __future__ import annotations

import uuid
import zlib
from typing import TYPE_CHECKING

from pytrace_cas.conform.cache import DENIED, Blob, code_name
from pytrace_cas.conform.checks.digests import INVALID
from pytrace_cas.conform.compression import compress, decompress
from pytrace_cas.conform.registry import Broken, NotOffered, expect, rule
from pytrace_cas.conform.wire import CallFailed, Code
from pytrace_proto import bytestream_pb2 as bytestream
from pytrace_proto import remote_execution_pb2 as reapi

if TYPE_CHECKING:
    from pytrace_cas.conform.cache import Cache

NEWEST = (2, 12)
# Larger batches are not sent to see them refused.
MOST_SENT = 8 << 20


@rule("16")
def what_is_served(cache: Cache) -> str:
    """Compare what is announced with what is there."""
    said = cache.capabilities
    expect(said.HasField("cache_capabilities"), "no cache_capabilities", "they are set")
    functions = list(said.cache_capabilities.digest_functions)
    expect(bool(functions), "no digest functions", "at least one")
    expect(0 not in functions, "UNKNOWN among the digest functions", "only real ones")
    executes = said.HasField("execution_capabilities") and said.execution_capabilities.exec_enabled
    if executes:
        try:
            cache.wire.stream("WaitExecution", reapi.WaitExecutionRequest(name=f"operations/{uuid.uuid4()}"))
        except CallFailed as error:
            expect(error.code is not Code.UNIMPLEMENTED, "execution is announced and UNIMPLEMENTED", "served")
    names = ", ".join(_name(number) for number in functions)
    return f"{names}; execution is {'announced' if executes else 'not announced'}"


def _name(number: int) -> str:
    known: dict[int, str] = {value: name for name, value in reapi.DigestFunction.Value.items()}
    return known.get(number, str(number))


@rule("17")
def versions(cache: Cache) -> str:
    """Read the versions."""
    low, high = cache.capabilities.low_api_version, cache.capabilities.high_api_version
    told = f"{low.major}.{low.minor} to {high.major}.{high.minor}"
    expect(low.major == 2 and high.major == 2, told, "both of major version 2")
    expect((low.major, low.minor) <= (high.major, high.minor) <= NEWEST, told, "low <= high <= 2.12, which exist")
    return told


@rule("18")
def rights(cache: Cache) -> str:
    """Store a result, and see whether that was announced; then as somebody who may only read."""
    enabled = cache.offered.action_cache_update_capabilities.update_enabled
    for allowed in cache.offered.cache_priority_capabilities.priorities:
        told = f"priorities from {allowed.min_priority} to {allowed.max_priority}"
        expect(allowed.min_priority <= allowed.max_priority, told, "the least first")
    action = cache.blob(uuid.uuid4().bytes)
    try:
        if enabled:
            action = cache.action()
        cache.wire.call("UpdateActionResult", cache.update_request(action, reapi.ActionResult(exit_code=1)))
    except CallFailed as error:
        expect(not enabled, f"update_enabled, and {error}", "OK")
        expect(error.code in (*DENIED, Code.UNIMPLEMENTED), str(error), "PERMISSION_DENIED or UNAUTHENTICATED")
        told = f"update_enabled is false, and an update is {error.code.name}"
    else:
        expect(enabled, "update_enabled is false, and an update is OK", "PERMISSION_DENIED")
        told = "update_enabled is true, and an update is OK"
    return told + _rights_of_reader(cache)


def _rights_of_reader(cache: Cache) -> str:
    if cache.reader is None:
        return "; one caller only (--read-only-header tells another)"
    said = cache.reader.call("GetCapabilities", reapi.GetCapabilitiesRequest(instance_name=cache.instance))
    update = said.cache_capabilities.action_cache_update_capabilities
    expect(not update.update_enabled, "update_enabled for a caller who may only read", "false")
    return "; false for the caller who may only read"


@rule("19")
def limits(cache: Cache) -> str:
    """Exceed what is stated: a batch, and one blob."""
    told = []
    limit = cache.batch_limit
    expect(limit >= 0, f"max_batch_total_size_bytes {limit}", "0 or more")
    if limit:
        digest = reapi.Digest(hash=cache.fresh().digest.hash, size_bytes=limit + 1)
        request = reapi.BatchReadBlobsRequest(**cache.about(), digests=[digest])
        cache.refused(INVALID, f"a batch read of {limit + 1} bytes", "BatchReadBlobs", request)
        if limit < MOST_SENT:
            refuse_large_batch(cache)
        told.append(f"batches of more than {limit} bytes are INVALID_ARGUMENT")
    largest = cache.offered.max_cas_blob_size_bytes
    if largest:
        digest = reapi.Digest(hash=cache.fresh().digest.hash, size_bytes=largest + 1)
        lying = Blob(b"begin", digest, cache.function)
        name = cache.upload_name(lying)
        begun = [bytestream.WriteRequest(resource_name=name, data=lying.data)]
        cache.refused(INVALID, f"a write of {largest + 1} bytes", "Write", begun)
        [entry] = cache.batch_update(lying).responses
        expect(entry.status.code == 3, f"a batch's blob too large: {code_name(entry.status.code)}", "INVALID_ARGUMENT")
        told.append(f"blobs of more than {largest} bytes are INVALID_ARGUMENT")
    return "; ".join(told) or "no limits are stated"


def refuse_large_batch(cache: Cache) -> str:
    """Send a batch of a little more than the limit; return the code, or raise `Broken`."""
    # Few blobs, so that what else a message holds does not push it beyond the limit of the transport.
    half = cache.batch_limit // 2 + 1
    blobs = [cache.fresh(half), cache.fresh(half)]
    requests = [reapi.BatchUpdateBlobsRequest.Request(digest=blob.digest, data=blob.data) for blob in blobs]
    request = reapi.BatchUpdateBlobsRequest(**cache.about(), requests=requests)
    return cache.refused(INVALID, f"a batch of {2 * half} bytes", "BatchUpdateBlobs", request)


def _deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


def _inflate(data: bytes, most: int) -> bytes:
    return zlib.decompressobj(wbits=-15).decompress(data, most)


CODECS = {
    reapi.Compressor.ZSTD: ("zstd", compress, decompress),
    reapi.Compressor.DEFLATE: ("deflate", _deflate, _inflate),
}


@rule("20")
def compressors(cache: Cache) -> str:
    """Write a blob by each announced compressor, and read it by each other, as itself included."""
    announced = [number for number in cache.offered.supported_compressors if number]
    if not announced:
        raise NotOffered("supported_compressors is empty")
    names = []
    for number in announced:
        if number not in CODECS:
            names.append(f"{number} (announced; this tool cannot speak it)")
            continue
        name, encode, decode = CODECS[number]
        names.append(name)
        blob = cache.fresh(3000)
        up = cache.named(f"uploads/{uuid.uuid4()}/compressed-blobs/{name}/{blob.segments}")
        cache.wire.write([bytestream.WriteRequest(resource_name=up, data=encode(blob.data), finish_write=True)])
        expect(cache.read(cache.read_name(blob)) == blob.data, f"written as {name}, read as other bytes", "the blob")
        plain = cache.stored(3000)
        read = decode(cache.read(cache.named(f"compressed-blobs/{name}/{plain.segments}")), 3000)
        expect(read == plain.data, f"written as it is, other bytes read as {name}", "the blob")
    return "written and read: " + ", ".join(names)


@rule("21")
def chunking(cache: Cache) -> str:
    """Compare what is said of chunking with what its methods do."""
    said = cache.offered
    digest = cache.fresh().digest
    split = reapi.SplitBlobRequest(**cache.about(), blob_digest=digest)
    splice = reapi.SpliceBlobRequest(**cache.about(), blob_digest=digest, chunk_digests=[digest])
    told = []
    for name, request, announced in (
        ("SplitBlob", split, said.split_blob_support),
        ("SpliceBlob", splice, said.splice_blob_support),
    ):
        try:
            cache.wire.call(name, request)
            raise Broken(f"{name} of a blob that does not exist answered", "an error")
        except CallFailed as error:
            works = error.code is not Code.UNIMPLEMENTED
        expect(works or not announced, f"{name} is announced and UNIMPLEMENTED", "what is announced works")
        expect(announced or not works, f"{name} works and is not announced", "UNIMPLEMENTED, or announced")
        told.append(f"{name} {'works' if works else 'is UNIMPLEMENTED'}, as announced")
    has_parameters = said.HasField("fast_cdc_2020_params") or said.HasField("rep_max_cdc_params")
    chunks = said.split_blob_support or said.splice_blob_support
    expect(chunks or not has_parameters, "parameters of chunking without chunking", "none")
    strategy = said.symlink_absolute_path_strategy
    expect(strategy != 0, "symlink_absolute_path_strategy UNKNOWN", "ALLOWED or DISALLOWED")
    return "; ".join(told)
