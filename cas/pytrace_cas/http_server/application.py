# SPDX-License-Identifier: Apache-2.0
"""The HTTP application: cache requests by path, and the pages about the server itself."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, request_response

from pytrace_cas import __version__
from pytrace_cas.blocking import in_thread
from pytrace_cas.http_server.cache import CacheEndpoint
from pytrace_cas.http_server.callers import identify, refusal
from pytrace_cas.http_server.root import root_page
from pytrace_cas.http_server.watched import Watched
from pytrace_cas.http_server.webdav import METHODS, WebDavEndpoint
from pytrace_cas.services.errors import EXPECTED
from pytrace_cas.web.routes import web_routes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from pytrace_cas.access.guard import Guard
    from pytrace_cas.server_metrics import ServerMetrics
    from pytrace_cas.services import Services, backing
    from pytrace_cas.usage import Usage
    from pytrace_cas.web.site import Site
    from pytrace_cas.workers.worker import Worker


class Readiness:
    """Whether the server takes work; `going` once it is told to stop."""

    def __init__(self) -> None:
        self.going = False


def application(
    services: Services,
    site: Site,
    metrics: ServerMetrics,
    readiness: Readiness,
    worker: Worker,
    guard: Guard,
    usage: Usage,
    *,
    strict_ac: bool = False,
    access_log: bool = False,
    upstream: Callable[[], dict[str, object]] | None = None,
) -> Starlette:
    """Build the application; `site` is what the pages work on, and stays the caller's.

    `strict_ac` refuses results that are no `ActionResult`, `upstream` is for `/status`.
    """
    pages = Pages(services.store, metrics, readiness, guard, upstream)
    cache = CacheEndpoint(services, metrics, guard, usage, strict_ac=strict_ac)
    webdav = WebDavEndpoint(services.web_files, metrics, guard)

    def watched(handle: Callable[[Request], Awaitable[Response]]) -> Watched:
        return Watched(request_response(handle), worker.slot, access_log=access_log)

    return Starlette(
        routes=[
            Route("/", pages.root),
            Route("/status", pages.status),
            Route("/healthz", pages.health),
            Route("/readyz", pages.ready),
            Route("/metrics", pages.metrics),
            *web_routes(site, watched),
            Route("/webdav/{path:path}", watched(webdav.handle), methods=METHODS),
            Route("/{path:path}", watched(cache.handle), methods=["GET", "HEAD", "PUT"]),
        ]
    )


class Pages:
    """What the server says of itself."""

    def __init__(
        self,
        store: backing.Store,
        metrics: ServerMetrics,
        readiness: Readiness,
        guard: Guard,
        upstream: Callable[[], dict[str, object]] | None,
    ) -> None:
        self._guard = guard
        self._store = store
        self._upstream = upstream
        self._metrics = metrics
        self._readiness = readiness
        self._begun = time.monotonic()

    async def root(self, request: Request) -> Response:
        """Say what this is, to people and to probes that only know `GET /`."""
        return root_page(request)

    async def status(self, request: Request) -> Response:
        """Say how full the store is, to those who may do anything here."""
        if refused := await self._refused(request):
            return refused
        used, limit = await in_thread(self._store.size)
        upstream = {"upstream": await in_thread(self._upstream)} if self._upstream else {}
        return JSONResponse(
            {
                "schema": 1,
                "version": __version__,
                "uptime_seconds": round(time.monotonic() - self._begun),
                "read_only": self._store.read_only,
                "size_bytes": used,
                "size_limit_bytes": limit,
                "counters": await in_thread(self._store.counters),
                **upstream,
            }
        )

    async def health(self, request: Request) -> Response:
        """Answer as long as the event loop runs."""
        return PlainTextResponse("ok\n")

    async def ready(self, request: Request) -> Response:
        """Answer 200 while the store can be read and nobody asked the server to stop."""
        if self._readiness.going:
            return PlainTextResponse("stopping\n", status_code=503)
        await in_thread(self._store.size)
        return PlainTextResponse("ok\n")

    async def metrics(self, request: Request) -> Response:
        """Give the metrics in Prometheus' text form, to those who may do anything here."""
        if refused := await self._refused(request):
            return refused
        return Response(await in_thread(self._metrics.text), media_type=CONTENT_TYPE_LATEST)

    async def _refused(self, request: Request) -> Response | None:
        """Answer those who may not even look; how busy and how full a cache is tells of those who use it."""
        try:
            self._guard.check_anywhere(await identify(self._guard, request))
        except EXPECTED as error:
            return refusal(error)
        return None
