# SPDX-License-Identifier: Apache-2.0
"""Remote Asset, for blobs."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

from google.rpc import error_details_pb2, status_pb2

from pytrace_cas.conform.cache import DENIED, Blob, code_name
from pytrace_cas.conform.checks.behaviour import DETAILS
from pytrace_cas.conform.checks.digests import INVALID
from pytrace_cas.conform.registry import Broken, NotOffered, expect, rule
from pytrace_cas.conform.wire import CallFailed, Code
from pytrace_proto import remote_asset_pb2 as asset

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytrace_cas.conform.cache import Cache

NOT_FETCHED = (Code.NOT_FOUND, Code.PERMISSION_DENIED, Code.DEADLINE_EXCEEDED, Code.ABORTED)


def _uri() -> str:
    """An address that nobody has: the name is reserved for that (RFC 2606)."""
    return f"https://conform.invalid/{uuid.uuid4().hex}"


def _fetch(cache: Cache, *uris: str, qualifiers: Sequence[asset.Qualifier] = ()) -> asset.FetchBlobRequest:
    return asset.FetchBlobRequest(
        instance_name=cache.instance, uris=uris, qualifiers=qualifiers, digest_function=_number(cache)
    )


def _number(cache: Cache) -> Any:
    return cache.function.number


def _need(cache: Cache, method: str = "FetchBlob") -> None:
    """Raise `NotOffered` where the method is not served."""
    request = _fetch(cache, _uri()) if method == "FetchBlob" else asset.PushBlobRequest(instance_name=cache.instance)
    try:
        cache.wire.call(method, request)
    except CallFailed as error:
        if error.code is Code.UNIMPLEMENTED:
            raise NotOffered(f"{method} is UNIMPLEMENTED") from None


@rule("A1")
def uris(cache: Cache) -> str:
    """Fetch from nowhere."""
    _need(cache)
    cache.refused(INVALID, "no uri", "FetchBlob", _fetch(cache))
    return "INVALID_ARGUMENT without a uri"


@rule("A2")
def unknown_qualifiers(cache: Cache) -> str:
    """Fetch with a qualifier that nobody knows."""
    _need(cache)
    qualifier = asset.Qualifier(name=f"no.such.{uuid.uuid4().hex}", value="x")
    try:
        cache.wire.call("FetchBlob", _fetch(cache, _uri(), qualifiers=[qualifier]))
    except CallFailed as error:
        expect(error.code is Code.INVALID_ARGUMENT, str(error), "INVALID_ARGUMENT")
        details = status_pb2.Status.FromString(error.trailers.get(DETAILS, b""))
        request = error_details_pb2.BadRequest()
        unpacked = any(detail.Unpack(request) for detail in details.details)
        names = [violation.field for violation in request.field_violations] if unpacked else []
        expect("qualifiers.name" in names, f"fields {names} in the details", "qualifiers.name in a BadRequest")
        return "INVALID_ARGUMENT, with a BadRequest for qualifiers.name"
    raise Broken("an unknown qualifier is passed over", "INVALID_ARGUMENT")


@rule("A3")
def repeated_qualifiers(cache: Cache) -> str:
    """Fetch with one qualifier twice."""
    _need(cache)
    twice = [asset.Qualifier(name="checksum.sri", value="sha256-x"), asset.Qualifier(name="checksum.sri", value="y")]
    cache.refused(INVALID, "one qualifier twice", "FetchBlob", _fetch(cache, _uri(), qualifiers=twice))
    return "INVALID_ARGUMENT for a name that occurs twice"


@rule("A4")
def failures(cache: Cache) -> str:
    """Fetch what cannot be had."""
    _need(cache)
    answer = cache.wire.call("FetchBlob", _fetch(cache, _uri()))
    code = code_name(answer.status.code)
    names = [one.name for one in NOT_FETCHED]
    expect(code in names, f"{code} in the answer's status", " or ".join(names))
    return f"{code} in the answer's status"


def _pushed(cache: Cache) -> tuple[Blob, str]:
    """A blob and the address that it was pushed for."""
    _need(cache)
    _need(cache, "PushBlob")
    blob, uri = cache.stored(), _uri()
    request = asset.PushBlobRequest(
        instance_name=cache.instance, uris=[uri], blob_digest=blob.digest, digest_function=_number(cache)
    )
    try:
        cache.wire.call("PushBlob", request)
    except CallFailed as error:
        if error.code in DENIED:
            raise NotOffered(f"pushing is refused: {error}") from None
        raise
    return blob, uri


@rule("A5")
def pushing(cache: Cache) -> str:
    """Push a blob and fetch it, by its own address and by another."""
    blob, uri = _pushed(cache)
    answer = cache.wire.call("FetchBlob", _fetch(cache, uri))
    expect(not answer.status.code, f"{code_name(answer.status.code)} for what was pushed", "OK")
    expect(answer.blob_digest == blob.digest, "another digest", "the blob's")
    expect(answer.uri == uri, f"uri {answer.uri!r}", "the one that was asked for")
    expect(answer.digest_function == _number(cache), f"digest_function {answer.digest_function}", "as asked")
    expect(cache.has(blob), "the blob is not in the CAS", "there when it is answered")
    other = cache.wire.call("FetchBlob", _fetch(cache, _uri()))
    expect(other.status.code != 0, "another address is answered too", "an error in the status")
    return "fetched by its address, with function and uri, and in the CAS"


@rule("A6")
def oldest(cache: Cache) -> str:
    """Fetch what was pushed, but only if it were younger."""
    _, uri = _pushed(cache)
    request = _fetch(cache, uri)
    request.oldest_content_accepted.seconds = int(time.time()) - 3600
    answer = cache.wire.call("FetchBlob", request)
    expect(not answer.status.code, f"{code_name(answer.status.code)} for what is young enough", "OK")
    request.oldest_content_accepted.seconds = int(time.time()) + 3600
    answer = cache.wire.call("FetchBlob", request)
    expect(answer.status.code != 0, "OK for what is too old", "an error in the status")
    return f"what is too old: {code_name(answer.status.code)}"


@rule("A7")
def forbidden(cache: Cache) -> str:
    """Fetch a file of the server's, and from its own loopback and link-local network."""
    _need(cache)
    seen = set()
    for uri in ("file:///etc/hostname", "http://127.0.0.1:1/x", "http://169.254.169.254/x", "gopher://a/b"):
        try:
            answer = cache.wire.call("FetchBlob", _fetch(cache, uri))
        except CallFailed as error:
            expect(error.code in (*INVALID, *NOT_FETCHED), f"{uri}: {error}", "refused")
            seen.add(error.code.name)
            continue
        expect(answer.status.code != 0, f"{uri} was fetched", "refused")
        seen.add(code_name(answer.status.code))
    return f"refused: {', '.join(sorted(seen))}"
