# SPDX-License-Identifier: Apache-2.0
"""`/[instance/]ac/HASH` and `/[instance/]cas/HASH`, as Bazel and ccache speak them (WIRE 3.10)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

import attrs
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse, Response

from pytrace_cas.access.demands import of_http
from pytrace_cas.blocking import in_thread, open_in_thread
from pytrace_cas.http_server.bodies import BYTES, begun, outcome, receive, stream, stream_compressed
from pytrace_cas.http_server.callers import identify, refusal
from pytrace_cas.http_server.watched import CALL
from pytrace_cas.services.errors import EXPECTED, InvalidRequest, ResultTooLarge
from pytrace_cas.store.adding import INLINE

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from pytrace_cas.access.guard import Guard
    from pytrace_cas.server_metrics import ServerMetrics
    from pytrace_cas.services import Services
    from pytrace_cas.services.byte_stream import CompressedDownload, Download
    from pytrace_cas.usage import Usage

# A result names files, it does not hold them; this much names a hundred thousand.
LARGEST_RESULT = 16 << 20
JSON = "application/json"
_VARIES = {"vary": "accept-encoding"}
D = TypeVar("D", "Download", "CompressedDownload")
_METHODS = {"GET": "get", "HEAD": "contains", "PUT": "put"}


@attrs.frozen
class Key:
    """What a path names: a result (`ac`) or a blob (`cas`)."""

    instance: str
    kind: str
    hash: str

    @classmethod
    def parse(cls, path: str) -> Key | None:
        """Read a path without its leading slash; None when it is none of the cache's."""
        segments = path.split("/")
        if len(segments) < 2 or segments[-2] not in ("ac", "cas"):
            return None
        if "" in segments[:-2]:
            raise InvalidRequest("path", f"{path!r} has an empty segment")
        return cls("/".join(segments[:-2]), segments[-2], segments[-1])


class CacheEndpoint:
    """Answers cache requests; `strict_ac` refuses results that are no `ActionResult`."""

    def __init__(
        self, services: Services, metrics: ServerMetrics, guard: Guard, usage: Usage, *, strict_ac: bool
    ) -> None:
        self._usage = usage
        self._guard = guard
        self._services = services
        self._metrics = metrics
        self._strict_ac = strict_ac

    async def handle(self, request: Request) -> Response:
        """Answer one request, and count it."""
        kind = "other"
        try:
            key = Key.parse(request.path_params["path"])
            if key is None:
                return PlainTextResponse("the cache is at /ac/HASH and /cas/HASH\n", status_code=404)
            kind = key.kind
            caller = await identify(self._guard, request)
            request.scope[CALL].identity = caller.name if caller else ""
            self._guard.check(caller, key.instance, of_http(request.method, kind))
            response = await self._answer(request, key)
        except EXPECTED as error:
            response = refusal(error)
        except ClientDisconnect:
            response = PlainTextResponse("the body broke off\n", status_code=400)
        answer = outcome(request.method, response.status_code)
        self._metrics.requested(_METHODS[request.method], kind, answer)
        if kind == "ac" and request.method == "GET" and answer in ("hit", "miss"):
            self._usage.counted(answer)
        return response

    async def _answer(self, request: Request, key: Key) -> Response:
        if request.method == "PUT":
            await (self._put_result if key.kind == "ac" else self._put_blob)(request, key)
            return Response()
        if key.kind == "ac":
            return await self._result(request, key)
        if request.method == "GET" and _accepts_zstd(request):
            return stream_compressed(await self._open(key, self._services.blobs_by_hash.open_compressed), _VARIES)
        download = await self._open(key, self._services.blobs_by_hash.open)
        if request.method == "HEAD":
            with download:
                return _headers_only(download.remaining)
        return stream(download, _VARIES)

    async def _result(self, request: Request, key: Key) -> Response:
        service, as_json = self._services.action_cache, JSON in request.headers.get("accept", "")
        get = service.get_json_by_hash if as_json else service.get_by_hash
        if service.waits:
            body = await in_thread(get, key.instance, key.hash)
        else:
            body = get(key.instance, key.hash)
        return _body(request, body, JSON if as_json else BYTES)

    async def _open(self, key: Key, open_blob: Callable[[str, str], D]) -> D:
        if self._services.store.waits:
            return await open_in_thread(open_blob, key.instance, key.hash)
        return open_blob(key.instance, key.hash)

    async def _put_result(self, request: Request, key: Key) -> None:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > LARGEST_RESULT:
                raise ResultTooLarge(LARGEST_RESULT)
        put = self._services.action_cache.put_by_hash
        as_json = request.headers.get("content-type", "").partition(";")[0].strip().lower() == JSON
        await in_thread(put, key.instance, key.hash, bytes(body), strict=self._strict_ac, json=as_json)

    async def _put_blob(self, request: Request, key: Key) -> None:
        encoding = request.headers.get("content-encoding", "identity").lower()
        if encoding not in ("identity", "zstd"):
            raise InvalidRequest("Content-Encoding", f"{encoding!r} is not offered here; zstd is")
        compressed = encoding == "zstd"
        size = _number(request, "x-digest-sizebytes" if compressed else "content-length")
        begin = partial(self._services.blobs_by_hash.upload, key.instance, key.hash, size, compressed=compressed)
        waits = compressed or size is None or size > INLINE
        async with begun(begin, waits=waits) as sink:
            await receive(request, sink, small=0 if waits else INLINE)
            digest = await in_thread(sink.commit)
        self._metrics.stored(digest.size_bytes)


def _number(request: Request, name: str) -> int | None:
    text = request.headers.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise InvalidRequest(name, f"{text!r} is no size")
    return int(text)


def _accepts_zstd(request: Request) -> bool:
    """Whether the client names zstd (RFC 9110, 12.5.3), and not only to refuse it."""
    for offer in ",".join(request.headers.getlist("accept-encoding")).split(","):
        name, _, weight = offer.lower().replace(" ", "").partition(";")
        if name == "zstd":
            return weight.rstrip("0") not in ("q=", "q=0.")
    return False


def _body(request: Request, body: bytes, media_type: str) -> Response:
    return _headers_only(len(body), media_type) if request.method == "HEAD" else Response(body, media_type=media_type)


def _headers_only(size: int, media_type: str = BYTES) -> Response:
    return Response(headers={"content-length": str(size)}, media_type=media_type)
