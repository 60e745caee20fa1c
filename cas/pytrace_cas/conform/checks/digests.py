# SPDX-License-Identifier: Apache-2.0
"""Digests and the functions that make them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytrace_cas.conform.cache import Blob, code_name
from pytrace_cas.conform.registry import Broken, NotOffered, expect, rule
from pytrace_cas.conform.wire import CallFailed, Code
from pytrace_proto import bytestream_pb2 as bytestream
from pytrace_proto import remote_execution_pb2 as reapi

if TYPE_CHECKING:
    from pytrace_cas.conform.cache import Cache

INVALID = (Code.INVALID_ARGUMENT,)


def _find(cache: Cache, *digests: reapi.Digest, number: int | None = None) -> reapi.FindMissingBlobsRequest:
    request = reapi.FindMissingBlobsRequest(**cache.about(), blob_digests=digests)
    if number is not None:
        request.digest_function = number  # type: ignore[assignment]
    return request


@rule("1")
def hashes(cache: Cache) -> str:
    """Ask for hashes that no function makes."""
    good = cache.fresh().digest.hash
    wrong = {
        "upper case": good[:-1] + "A",
        "two digits short": good[:-2],
        "two digits more": good + "00",
        "not hex": "g" + good[1:],
        "empty": "",
    }
    for what, text in wrong.items():
        digest = reapi.Digest(hash=text, size_bytes=100)
        cache.refused(INVALID, f"{what}: FindMissingBlobs", "FindMissingBlobs", _find(cache, digest))
        if text:
            request = bytestream.ReadRequest(resource_name=cache.named(f"blobs/{text}/100"))
            cache.refused(INVALID, f"{what}: Read", "Read", request)
    return f"INVALID_ARGUMENT for {', '.join(wrong)}"


@rule("2")
def sizes(cache: Cache) -> str:
    """Ask for a blob under its hash and other sizes."""
    lying = cache.fresh()
    wrong = Blob(lying.data, reapi.Digest(hash=lying.digest.hash, size_bytes=101), lying.function)
    [entry] = cache.batch_update(wrong).responses
    expect(
        entry.status.code == Code.INVALID_ARGUMENT.value[0],
        f"{code_name(entry.status.code)} for 100 bytes said to be 101",
        "INVALID_ARGUMENT",
    )
    expect(not cache.has(lying), "the blob is there after its upload was refused", "missing")
    cache.put(lying)
    expect(not cache.has(wrong), "FindMissingBlobs has it under another size too", "missing")
    request = bytestream.ReadRequest(resource_name=cache.read_name(wrong))
    code = cache.refused((Code.NOT_FOUND, Code.INVALID_ARGUMENT), "Read under another size", "Read", request)
    negative = reapi.Digest(hash=lying.digest.hash, size_bytes=-1)
    cache.refused(INVALID, "size -1", "FindMissingBlobs", _find(cache, negative))
    return f"another size is refused when written, missing when looked for, {code} when read; -1 is INVALID_ARGUMENT"


@rule("3")
def empty_blob(cache: Cache) -> str:
    """Look for, read and write the empty blob of each function."""
    for function in cache.functions:
        empty = Blob.of(b"", function)
        expect(cache.has(empty), f"FindMissingBlobs lists the empty blob of {function.name}", "it always exists")
        expect(cache.read(cache.read_name(empty)) == b"", "Read gives bytes", "none")
        [entry] = cache.batch_read(empty.digest, function=function)
        expect(
            not entry.status.code and not entry.data,
            f"BatchReadBlobs ({function.name}): {code_name(entry.status.code)}, {len(entry.data)} bytes",
            "OK, no bytes",
        )
        try:
            cache.upload(empty)
        except CallFailed as error:
            raise Broken(f"{function.name}: {error}", "OK") from None
        [update] = cache.batch_update(empty).responses
        expect(not update.status.code, f"BatchUpdateBlobs: {code_name(update.status.code)}", "OK")
    return f"found, read and written for {', '.join(function.name for function in cache.functions)}"


@rule("4")
def empty_hash(cache: Cache) -> str:
    """Mix the empty hash with sizes, and size 0 with hashes."""
    empty = Blob.of(b"", cache.function).digest.hash
    for digest in (
        reapi.Digest(hash=empty, size_bytes=7),
        reapi.Digest(hash=cache.fresh().digest.hash, size_bytes=0),
    ):
        what = "the empty hash with size 7" if digest.size_bytes else "size 0 with another hash"
        cache.refused(INVALID, what, "FindMissingBlobs", _find(cache, digest))
    return "INVALID_ARGUMENT for either"


@rule("5")
def inference(cache: Cache) -> str:
    """Leave the function out, and state it."""
    inferable = [function for function in cache.functions if function.inferable]
    for function in inferable:
        blob = cache.stored() if function is cache.function else cache.put(cache.fresh(function=function))
        for number in (0, function.number):
            missing = cache.wire.call("FindMissingBlobs", _find(cache, blob.digest, number=number))
            expect(
                not missing.missing_blob_digests,
                f"{function.name} blob missing when the function is {'stated' if number else 'unset'}",
                "found either way",
            )
    others = [function for function in cache.functions if not function.inferable]
    for function in others:
        _not_inferred(cache, cache.put(cache.fresh(function=function)))
    named = ", ".join(function.name for function in inferable)
    rest = "".join(f"; {function.name} only when stated" for function in others)
    return f"inferred: {named or 'none'}{rest}"


def _not_inferred(cache: Cache, blob: Blob) -> None:
    """Raise `Broken` when a blob whose function must be stated is found without."""
    try:
        answer = cache.wire.call("FindMissingBlobs", _find(cache, blob.digest, number=0))
    except CallFailed as error:
        expect(error.code is Code.INVALID_ARGUMENT, str(error), "missing, or INVALID_ARGUMENT")
    else:
        expect(
            bool(answer.missing_blob_digests),
            f"a {blob.function.name} blob is found without its function",
            "missing, or INVALID_ARGUMENT",
        )


@rule("6")
def unsupported_functions(cache: Cache) -> str:
    """State functions that are not announced, and mix lengths."""
    announced = set(cache.offered.digest_functions)
    others = [number for number in reapi.DigestFunction.Value.values() if number and number not in announced]
    digest = cache.fresh().digest
    for number in (*others, 99):
        cache.refused(INVALID, f"digest_function {number}", "FindMissingBlobs", _find(cache, digest, number=number))
    mixed = reapi.Digest(hash=digest.hash + "00", size_bytes=1)
    cache.refused(INVALID, "hashes of two lengths", "FindMissingBlobs", _find(cache, digest, mixed))
    return f"INVALID_ARGUMENT for {len(others)} that are not announced, for 99 and for mixed lengths"


@rule("7")
def aliasing(cache: Cache) -> str:
    """Look for a blob under another function of the same length."""
    pairs = [(a, b) for a in cache.functions for b in cache.functions if a is not b and a.length == b.length]
    if not pairs:
        raise NotOffered("no two announced functions have one length")
    for one, other in pairs:
        blob = cache.put(cache.fresh(function=one))
        expect(
            not cache.has(Blob(blob.data, blob.digest, other)),
            f"a {one.name} blob is there as {other.name}",
            "missing",
        )
    return "missing under the other: " + ", ".join(f"{one.name}/{other.name}" for one, other in pairs)
