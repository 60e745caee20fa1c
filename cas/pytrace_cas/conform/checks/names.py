# SPDX-License-Identifier: Apache-2.0
"""Instances and resource names."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from pytrace_cas.conform.checks.digests import INVALID
from pytrace_cas.conform.compression import compress, decompress
from pytrace_cas.conform.registry import Broken, expect, rule
from pytrace_cas.conform.wire import CallFailed, Code
from pytrace_proto import bytestream_pb2 as bytestream
from pytrace_proto import remote_execution_pb2 as reapi

if TYPE_CHECKING:
    from pytrace_cas.conform.cache import Cache

RESERVED = ("blobs", "uploads", "actions", "actionResults", "operations", "capabilities", "compressed-blobs")
HEADER = "build.bazel.remote.execution.v2.resource-name"


def _read(name: str) -> bytestream.ReadRequest:
    return bytestream.ReadRequest(resource_name=name)


@rule("8")
def function_segments(cache: Cache) -> str:
    """Write and read a blob of each function by its name."""
    for function in cache.functions:
        blob = cache.fresh(function=function)
        cache.upload(blob)
        expect(cache.read(cache.read_name(blob)) == blob.data, f"other bytes for {function.name}", "the blob")
    blob = cache.stored()
    if not blob.function.inferable:
        return "written and read by name"
    try:
        cache.read(cache.named(f"blobs/{blob.function.name}/{blob.segments}"))
        lenient = "taken too"
    except CallFailed as error:
        lenient = error.code.name
    named = ", ".join(function.name for function in cache.functions)
    return f"written and read by name: {named}; an explicit {blob.function.name} segment: {lenient}"


@rule("9")
def instance_names(cache: Cache) -> str:
    """Use reserved words and stray slashes as instance names."""
    digest = cache.fresh().digest
    for word in RESERVED:
        request = reapi.FindMissingBlobsRequest(**cache.about(instance=f"a/{word}/b"), blob_digests=[digest])
        cache.refused(INVALID, f"instance a/{word}/b", "FindMissingBlobs", request)
    codes = set()
    for name in ("/a", "a/", "a//b"):
        request = reapi.FindMissingBlobsRequest(**cache.about(instance=name), blob_digests=[digest])
        what = f"instance {name}"
        codes.add(cache.refused((*INVALID, Code.NOT_FOUND), what, "FindMissingBlobs", request))
    segments = f"blobs/{cache.fresh().segments}"
    codes.add(cache.refused((*INVALID, Code.NOT_FOUND), "a name with a leading slash", "Read", _read(f"/{segments}")))
    return f"reserved words: INVALID_ARGUMENT; empty segments: {' or '.join(sorted(codes))}"


@rule("10")
def trailing_metadata(cache: Cache) -> str:
    """Write under names that go on after the size."""
    for rest in ("/file.o", "/blobs/uploads/x", "/a/b/c/d", "//"):
        blob = cache.fresh()
        cache.wire.write(cache.pieces(blob, cache.upload_name(blob) + rest))
        expect(cache.has(blob), f"missing after a write whose name ends in {rest}", "stored")
    return "names of uploads may go on, with the words blobs and uploads too"


@rule("11")
def compressed_names(cache: Cache) -> str:
    """Write and read by compressed names; reads have nothing behind the size."""
    blob = cache.stored()
    cache.refused(INVALID, "a segment behind the size", "Read", _read(cache.read_name(blob) + "/more"))
    cache.need_zstd()
    fresh = cache.fresh(2000)
    name = cache.named(f"uploads/{uuid.uuid4()}/compressed-blobs/zstd/{fresh.segments}/file.o")
    data = compress(fresh.data)
    cache.wire.write([bytestream.WriteRequest(resource_name=name, data=data, finish_write=True)])
    down = cache.named(f"compressed-blobs/zstd/{fresh.segments}")
    expect(decompress(cache.read(down), 2000) == fresh.data, "a read gives other bytes", "the blob")
    cache.refused(INVALID, "a segment behind a compressed blob's size", "Read", _read(f"{down}/more"))
    return "written with and read without more segments; a read with more is INVALID_ARGUMENT"


@rule("12")
def unknown_compressors(cache: Cache) -> str:
    """Read by compressors that do not exist, and by `identity`."""
    blob = cache.stored()
    request = _read(cache.named(f"compressed-blobs/no-such-thing/{blob.segments}"))
    code = cache.refused((*INVALID, Code.UNIMPLEMENTED), "an unknown compressor", "Read", request)
    try:
        cache.read(cache.named(f"compressed-blobs/identity/{blob.segments}"))
        identity = "taken"
    except CallFailed as error:
        expect(error.code in (*INVALID, Code.UNIMPLEMENTED), str(error), "INVALID_ARGUMENT")
        identity = error.code.name
    return f"unknown: {code}; identity by name: {identity}"


@rule("13")
def malformed_names(cache: Cache) -> str:
    """Read and write by names that are none, then two blobs by one uuid."""
    hash, size = (blob := cache.fresh()).digest.hash, 100
    reads = {
        "a size in hex": f"blobs/{hash}/0x64",
        "a size beyond int64": f"blobs/{hash}/{1 << 64}",
        "a negative size": f"blobs/{hash}/-1",
        "no size": f"blobs/{hash}",
        "no hash": f"blobs/{size}",
        "no blobs": f"{hash}/{size}",
    }
    for what, name in reads.items():
        cache.refused(INVALID, what, "Read", _read(cache.named(name)))
    writes = {"no uuid": f"uploads/blobs/{hash}/{size}", "no uploads": f"blobs/{hash}/{size}", "nothing": "uploads"}
    for what, name in writes.items():
        cache.refused(INVALID, f"upload with {what}", "Write", list(cache.pieces(blob, cache.named(name))))
    same = uuid.uuid4()
    for one in (cache.fresh(), cache.fresh()):
        cache.wire.write(cache.pieces(one, cache.named(f"uploads/{same}/blobs/{one.segments}")))
        expect(cache.has(one), "a second blob under one uuid is missing", "stored")
    return f"INVALID_ARGUMENT for {len(reads) + len(writes)} malformed names; one uuid serves two blobs"


@rule("14")
def instances(cache: Cache) -> str:
    """Ask an instance that nobody has made, by every call that names one."""
    other = f"no-such-instance-{uuid.uuid4().hex}"
    blob = cache.stored()
    about = cache.about(instance=other)
    digests = [blob.digest]
    calls: dict[str, Any] = {
        "GetCapabilities": reapi.GetCapabilitiesRequest(instance_name=other),
        "FindMissingBlobs": reapi.FindMissingBlobsRequest(**about, blob_digests=digests),
        "BatchReadBlobs": reapi.BatchReadBlobsRequest(**about, digests=digests),
        "Read": _read(cache.read_name(blob, other)),
    }
    seen: dict[str, str] = {}
    for name, request in calls.items():
        try:
            (cache.wire.stream if name == "Read" else cache.wire.call)(name, request)
            seen[name] = "OK"
        except CallFailed as error:
            seen[name] = error.code.name
    told = ", ".join(f"{name} {code}" for name, code in seen.items())
    # Where any name is taken, its blobs may be its own.
    apart = {*seen.values()} == {"OK", "NOT_FOUND"} and seen["Read"] == "NOT_FOUND"
    alike = len(set(seen.values())) == 1 and set(seen.values()) <= {"OK", "INVALID_ARGUMENT", "NOT_FOUND"}
    expect(apart or alike, told, "INVALID_ARGUMENT or NOT_FOUND, or OK where any name is taken, by all alike")
    if "OK" not in seen.values():
        return f"an unknown instance: {told}"
    return f"any instance is taken; {_separate(cache, other)}"


def _separate(cache: Cache, other: str) -> str:
    """Look for a result in an instance that it was not stored in."""
    action = cache.action()
    cache.update(action, reapi.ActionResult(exit_code=3))
    request = reapi.GetActionResultRequest(**cache.about(instance=other), action_digest=action.digest)
    cache.refused((Code.NOT_FOUND,), "a result of another instance", "GetActionResult", request)
    return "results of one are not seen in another"


@rule("15")
def resource_name_header(cache: Cache) -> str:
    """Send the header, right and wrong."""
    blob = cache.stored()
    name = cache.read_name(blob)
    right = cache.wire.stream("Read", _read(name), ((HEADER, name),))
    expect(b"".join(message.data for message in right) == blob.data, "other bytes with the right header", "the blob")
    try:
        cache.wire.stream("Read", _read(name), ((HEADER, cache.read_name(cache.fresh())),))
    except CallFailed as error:
        if error.code is not Code.INVALID_ARGUMENT:
            raise Broken(f"a header that differs: {error}", "ignored, or INVALID_ARGUMENT") from None
        return "the right one is taken, one that differs refused"
    return "the right one is taken, one that differs ignored"
