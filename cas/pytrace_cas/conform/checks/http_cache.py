# SPDX-License-Identifier: Apache-2.0
"""Bazel's HTTP cache protocol; SHA-256 alone."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from pytrace_cas.conform.cache import Blob
from pytrace_cas.conform.compression import compress, decompress
from pytrace_cas.conform.registry import NotOffered, expect, rule
from pytrace_proto import remote_execution_pb2 as reapi

if TYPE_CHECKING:
    from pytrace_cas.conform.cache import Cache
    from pytrace_cas.conform.web import Answer

STORED = (200, 201, 204)
JSON = "application/json"


def _fresh(size: int = 100) -> Blob:
    return Blob.of(os.urandom(size))


def _cas(blob: Blob) -> str:
    return f"/cas/{blob.digest.hash}"


def _ac(blob: Blob) -> str:
    return f"/ac/{blob.digest.hash}"


def _stored(cache: Cache, size: int = 100) -> Blob:
    blob = _fresh(size)
    answer = cache.web.ask("PUT", _cas(blob), blob.data)
    if answer.status in (401, 403):
        raise NotOffered(f"uploads are refused with {answer.status}")
    expect(answer.status in STORED, f"PUT of a blob: {answer.status}", "200")
    return blob


def _expect_status(answer: Answer, what: str, *wanted: int) -> None:
    expect(answer.status in wanted, f"{what}: {answer.status}", " or ".join(map(str, wanted)))


@rule("H1")
def blobs(cache: Cache) -> str:
    """Store and read blobs, small and large."""
    for size in (1, 100, 1 << 20):
        blob = _stored(cache, size)
        answer = cache.web.ask("GET", _cas(blob))
        _expect_status(answer, "GET of a blob", 200)
        expect(answer.body == blob.data, f"{len(answer.body)} other bytes", "the blob")
        length = answer.headers.get("content-length")
        expect(length == str(size), f"Content-Length {length}", str(size))
    return "stored and read, with Content-Length"


@rule("H2")
def heads(cache: Cache) -> str:
    """Ask for the head of a blob."""
    blob = _stored(cache)
    answer = cache.web.ask("HEAD", _cas(blob))
    _expect_status(answer, "HEAD of a blob", 200)
    length = answer.headers.get("content-length")
    expect(length == "100", f"Content-Length {length}", "100")
    return "200 with Content-Length"


@rule("H3")
def missing(cache: Cache) -> str:
    """Ask for what is not there."""
    for method in ("GET", "HEAD"):
        for path in (_cas(_fresh()), _ac(_fresh())):
            _expect_status(cache.web.ask(method, path), f"{method} {path[:4]} that is missing", 404)
    return "404 for GET and HEAD of blobs and results"


@rule("H4")
def bad_keys(cache: Cache) -> str:
    """Ask by keys that are no hashes."""
    seen = set()
    for key in ("abc", "g" * 64, "A" * 64, "0" * 65):
        for kind in ("cas", "ac"):
            answer = cache.web.ask("GET", f"/{kind}/{key}")
            _expect_status(answer, f"/{kind}/{key[:8]}", 400)
            seen.add(answer.status)
    return "400 for short, long, upper-case and other keys"


@rule("H5")
def wrong_bodies(cache: Cache) -> str:
    """Store a body under another one's hash."""
    blob = _fresh()
    answer = cache.web.ask("PUT", _cas(blob), _fresh().data)
    _expect_status(answer, "PUT of other bytes", 400)
    _expect_status(cache.web.ask("GET", _cas(blob)), "GET afterwards", 404)
    return "400, and nothing is stored"


@rule("H6")
def results(cache: Cache) -> str:
    """Store and read a result, and a body that is none."""
    file, action = _stored(cache), _fresh()
    result = reapi.ActionResult(output_files=[reapi.OutputFile(path="out", digest=file.digest)])
    _expect_status(cache.web.ask("PUT", _ac(action), result.SerializeToString()), "PUT of a result", *STORED)
    answer = cache.web.ask("GET", _ac(action))
    _expect_status(answer, "GET of a result", 200)
    expect(reapi.ActionResult.FromString(answer.body) == result, "another result", "the one that was stored")
    head = cache.web.ask("HEAD", _ac(action))
    length = head.headers.get("content-length")
    expect(length == str(len(answer.body)), f"HEAD: Content-Length {length}", str(len(answer.body)))
    other = _fresh()
    refusal = cache.web.ask("PUT", _ac(other), b"\xff no result \xff")
    _expect_status(refusal, "PUT of a body that is no result", *STORED, 400)
    return f"stored and read; a body that is no result: {'refused' if refusal.status == 400 else 'kept as it is'}"


@rule("H7")
def incomplete(cache: Cache) -> str:
    """Store a result whose file is not there."""
    action = _fresh()
    result = reapi.ActionResult(output_files=[reapi.OutputFile(path="out", digest=_fresh().digest)])
    stored = cache.web.ask("PUT", _ac(action), result.SerializeToString())
    for method in ("GET", "HEAD"):
        _expect_status(cache.web.ask(method, _ac(action)), f"{method} of a result whose file is missing", 404)
    return f"PUT {stored.status}; 404 for GET and HEAD"


@rule("H8")
def methods(cache: Cache) -> str:
    """Use methods that the protocol does not have."""
    path = _cas(_stored(cache))
    seen = [cache.web.ask(method, path, b"" if method == "POST" else None).status for method in ("POST", "PATCH")]
    expect(set(seen) == {405}, f"POST {seen[0]}, PATCH {seen[1]}", "405")
    return "405 for POST and PATCH"


@rule("H9")
def instances(cache: Cache) -> str:
    """Store a result below an instance's name, and ask for it below another one."""
    action = _fresh()
    body = reapi.ActionResult(exit_code=3).SerializeToString()
    prefix = f"{cache.web.prefix}/conform-a/b"
    answer = cache.web.ask_at("PUT", f"{prefix}{_ac(action)}", body)
    if answer.status in (400, 404):
        return f"an unknown instance: {answer.status}"
    _expect_status(answer, "PUT below an instance", *STORED)
    _expect_status(cache.web.ask_at("GET", f"{prefix}{_ac(action)}"), "GET below it", 200)
    _expect_status(cache.web.ask("GET", _ac(action)), "GET below another", 404)
    return "any instance is taken, and results of one are not seen in another"


@rule("H10")
def chunked(cache: Cache) -> str:
    """Store a blob without telling its length."""
    blob = _fresh(5000)
    answer = cache.web.ask("PUT", _cas(blob), iter([blob.data[:2000], blob.data[2000:]]))
    _expect_status(answer, "PUT without a length", *STORED, 411, 400)
    if answer.status not in STORED:
        return f"refused with {answer.status}"
    expect(cache.web.ask("GET", _cas(blob)).body == blob.data, "other bytes afterwards", "the blob")
    return "taken"


@rule("H11")
def empty(cache: Cache) -> str:
    """Read the empty blob."""
    answer = cache.web.ask("GET", _cas(Blob.of(b"")))
    _expect_status(answer, "GET of the empty blob", 200)
    expect(answer.body == b"", f"{len(answer.body)} bytes", "none")
    return "200 without bytes"


@rule("H12")
def too_large(cache: Cache) -> str:
    """Announce a body that fits nowhere, and send little of it."""
    answer = cache.web.ask("PUT", _cas(_fresh()), b"begin", {"Content-Length": str(1 << 60)})
    _expect_status(answer, "PUT of 2^60 bytes", 400, 413, 507)
    return f"{answer.status} before the bytes come"


@rule("H13")
def anonymous(cache: Cache) -> str:
    """Ask without the credentials that were given."""
    if not cache.web.has_credentials:
        raise NotOffered("no credentials were given (--header)")
    answer = cache.web.ask("PUT", _cas(blob := _fresh()), blob.data, anonymous=True)
    if answer.status in STORED:
        raise NotOffered("the cache wants no credentials")
    _expect_status(answer, "PUT without credentials", 401)
    return "401"


@rule("H14")
def zstd_reads(cache: Cache) -> str:
    """Accept zstd."""
    blob = Blob.of(os.urandom(100) * 100)
    _expect_status(cache.web.ask("PUT", _cas(blob), blob.data), "PUT of a blob", *STORED)
    answer = cache.web.ask("GET", _cas(blob), headers={"Accept-Encoding": "zstd"})
    _expect_status(answer, "GET", 200)
    encoding = answer.headers.get("content-encoding", "")
    if encoding != "zstd":
        expect(answer.body == blob.data, "other bytes", "the blob")
        raise NotOffered("who accepts zstd gets uncompressed bytes")
    expect(decompress(answer.body, len(blob.data)) == blob.data, "other bytes", "the blob")
    return f"{len(answer.body)} bytes for {len(blob.data)}"


@rule("H15")
def zstd_writes(cache: Cache) -> str:
    """Store a compressed body."""
    blob = _fresh(5000)
    headers = {"Content-Encoding": "zstd", "X-Digest-SizeBytes": "5000"}
    answer = cache.web.ask("PUT", _cas(blob), compress(blob.data), headers)
    if answer.status not in STORED:
        expect(answer.status in (400, 415), f"PUT of a compressed body: {answer.status}", "200, or 400 or 415")
        raise NotOffered(f"a compressed body is refused with {answer.status}")
    expect(cache.web.ask("GET", _cas(blob)).body == blob.data, "other bytes afterwards", "the blob")
    return "taken"


@rule("H16")
def json_results(cache: Cache) -> str:
    """Store and read a result as JSON."""
    action, file = _fresh(), _stored(cache)
    result = {"outputFiles": [{"path": "out", "digest": {"hash": file.digest.hash, "sizeBytes": "100"}}]}
    stored = cache.web.ask("PUT", _ac(action), json.dumps(result).encode(), {"Content-Type": JSON})
    _expect_status(stored, "PUT of JSON", *STORED, 400, 415)
    if stored.status not in STORED:
        raise NotOffered(f"JSON is refused with {stored.status}")
    as_json = cache.web.ask("GET", _ac(action), headers={"Accept": JSON})
    _expect_status(as_json, "GET that accepts JSON", 200)
    if not as_json.headers.get("content-type", "").startswith(JSON):
        raise NotOffered("who accepts JSON gets another form")
    read = json.loads(as_json.body)
    expect(read.get("outputFiles") == result["outputFiles"], "another result", "what was stored")
    binary = cache.web.ask("GET", _ac(action))
    message = reapi.ActionResult.FromString(binary.body)
    expect(message.output_files[0].digest == file.digest, "another result in binary form", "what was stored")
    return "taken and answered, in binary form too"


@rule("H17")
def status_pages(cache: Cache) -> str:
    """Read the pages about the server."""
    status = cache.web.ask_at("GET", "/status")
    _expect_status(status, "/status", 200)
    expect(isinstance(json.loads(status.body), dict), "/status is no JSON object", "one")
    metrics = cache.web.ask_at("GET", "/metrics")
    _expect_status(metrics, "/metrics", 200)
    expect(b"# TYPE " in metrics.body, "/metrics without types", "Prometheus' text form")
    return "/status is JSON, /metrics for Prometheus"


@rule("H18")
def both_ways(cache: Cache) -> str:
    """Store over one protocol and read over the other."""
    blob = _stored(cache)
    expect(cache.has(blob), "stored over HTTP, missing over gRPC", "found")
    other = cache.put(_fresh())
    expect(cache.web.ask("GET", _cas(other)).body == other.data, "stored over gRPC, missing over HTTP", "found")
    action = cache.action()
    result = reapi.ActionResult(output_files=[reapi.OutputFile(path="out", digest=blob.digest)])
    cache.update(action, result)
    body = cache.web.ask("GET", _ac(action)).body
    expect(reapi.ActionResult.FromString(body) == result, "another result over HTTP", "the same")
    back = cache.action()
    _expect_status(cache.web.ask("PUT", _ac(back), result.SerializeToString()), "PUT of a result", *STORED)
    expect(cache.result(back) == result, "another result over gRPC", "the same")
    return "blobs and results, either way"
