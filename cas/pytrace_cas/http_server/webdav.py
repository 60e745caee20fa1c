# SPDX-License-Identifier: Apache-2.0
"""`/webdav/NAME`, as much of WebDAV (RFC 4918) as sccache speaks: files by name, folders wherever one asks for them."""

from __future__ import annotations

from email.utils import formatdate
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse, Response

from pytrace_cas.access import demands
from pytrace_cas.blocking import in_thread, open_in_thread
from pytrace_cas.http_server.bodies import BYTES, begun, outcome, receive, stream
from pytrace_cas.http_server.callers import identify, refusal
from pytrace_cas.http_server.watched import CALL
from pytrace_cas.services.errors import EXPECTED

if TYPE_CHECKING:
    from starlette.requests import Request

    from pytrace_cas.access.guard import Guard
    from pytrace_cas.server_metrics import ServerMetrics
    from pytrace_cas.services.web_files import WebFiles

METHODS = ("GET", "HEAD", "PUT", "DELETE", "MKCOL", "PROPFIND", "OPTIONS")
_COUNTED = {"GET": "get", "HEAD": "contains", "PROPFIND": "contains", "PUT": "put"}
_FOLDER = "<D:collection/>"


class WebDavEndpoint:
    """Answers requests below `/webdav/`."""

    def __init__(self, files: WebFiles, metrics: ServerMetrics, guard: Guard) -> None:
        self._files = files
        self._metrics = metrics
        self._guard = guard

    async def handle(self, request: Request) -> Response:
        """Answer one request, and count it."""
        try:
            caller = await identify(self._guard, request)
            request.scope[CALL].identity = caller.name if caller else ""
            self._guard.check(caller, "", demands.of_webdav(request.method))
            response = await self._answer(request, request.path_params.get("path", ""))
        except EXPECTED as error:
            response = refusal(error)
        except ClientDisconnect:
            response = PlainTextResponse("the body broke off\n", status_code=400)
        if request.method in _COUNTED:
            self._metrics.requested(_COUNTED[request.method], "webdav", outcome(request.method, response.status_code))
        return response

    async def _answer(self, request: Request, name: str) -> Response:
        match request.method:
            case "PUT":
                return await self._put(request, name)
            case "DELETE":
                await in_thread(self._files.remove, name)
                return Response(status_code=204)
            case "MKCOL":
                return Response(status_code=201)
            case "PROPFIND":
                return self._properties(request, name)
            case "OPTIONS":
                return Response(headers={"DAV": "1", "Allow": ", ".join(METHODS)})
            case "HEAD":
                file = self._files.find(name)
                return Response(headers={"content-length": str(file.digest.size_bytes)}, media_type=BYTES)
            case _:
                if self._files.waits:
                    return stream(await open_in_thread(self._files.open, name))
                return stream(self._files.open(name))

    async def _put(self, request: Request, name: str) -> Response:
        async with begun(lambda: self._files.upload(name), waits=True) as sink:
            await receive(request, sink)
            digest = await in_thread(sink.commit)
        self._metrics.stored(digest.size_bytes)
        return Response(status_code=201)

    def _properties(self, request: Request, name: str) -> Response:
        """Describe a file, or the folder that a name with a slash at its end is."""
        kind, size, stored = _FOLDER, "", 0
        if name and not name.endswith("/"):
            file = self._files.find(name)
            kind, stored = "", file.stored
            size = f"<D:getcontentlength>{file.digest.size_bytes}</D:getcontentlength>"
        text = (
            '<?xml version="1.0" encoding="utf-8"?>\n<D:multistatus xmlns:D="DAV:"><D:response>'
            f"<D:href>{escape(request.url.path)}</D:href><D:propstat><D:prop>"
            f"<D:resourcetype>{kind}</D:resourcetype>{size}"
            f"<D:getlastmodified>{formatdate(stored, usegmt=True)}</D:getlastmodified>"
            "</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response></D:multistatus>\n"
        )
        return Response(text, status_code=207, media_type="application/xml")
