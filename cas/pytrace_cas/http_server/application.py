# SPDX-License-Identifier: Apache-2.0
"""The HTTP application: cache requests by path, and the pages about the server itself."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from pytrace_cas import __version__
from pytrace_cas.blocking import in_thread
from pytrace_cas.http_server.cache import CacheEndpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from pytrace_cas.server_metrics import ServerMetrics
    from pytrace_cas.services import Services
    from pytrace_cas.services.backing import Store

ROOT = f"""\
pytrace-cas {__version__}: a Remote Execution API cache, and it is up.

Bazel over HTTP   --remote_cache=http://HOST:PORT
Bazel over gRPC   --remote_cache=grpc://HOST:GRPC-PORT
ccache            CCACHE_REMOTE_STORAGE="http://HOST:PORT|layout=bazel"

/[INSTANCE/]ac/HASH, /[INSTANCE/]cas/HASH   the cache: GET, HEAD, PUT
/status    how full it is, as JSON
/metrics   for Prometheus
/healthz   200 while it is alive
/readyz    200 while it takes work
"""


class Readiness:
    """Whether the server takes work; `going` once it is told to stop."""

    def __init__(self) -> None:
        self.going = False


def application(
    services: Services,
    metrics: ServerMetrics,
    readiness: Readiness,
    *,
    strict_ac: bool = False,
    access_log: bool = False,
    upstream: Callable[[], dict[str, object]] | None = None,
) -> Starlette:
    """Build the application; `strict_ac` refuses results that are no `ActionResult`, `upstream` is for `/status`."""
    pages = Pages(services.store, metrics, readiness, upstream)
    cache = CacheEndpoint(services, metrics, strict_ac=strict_ac, access_log=access_log)
    return Starlette(
        routes=[
            Route("/", pages.root),
            Route("/status", pages.status),
            Route("/healthz", pages.health),
            Route("/readyz", pages.ready),
            Route("/metrics", pages.metrics),
            Route("/{path:path}", cache.handle, methods=["GET", "HEAD", "PUT"]),
        ]
    )


class Pages:
    """What the server says of itself."""

    def __init__(
        self,
        store: Store,
        metrics: ServerMetrics,
        readiness: Readiness,
        upstream: Callable[[], dict[str, object]] | None,
    ) -> None:
        self._store = store
        self._upstream = upstream
        self._metrics = metrics
        self._readiness = readiness
        self._begun = time.monotonic()

    async def root(self, request: Request) -> Response:
        """Say what this is, to people and to probes that only know `GET /`."""
        return PlainTextResponse(ROOT)

    async def status(self, request: Request) -> Response:
        """Say how full the store is."""
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
        """Give the metrics in Prometheus' text form."""
        return Response(await in_thread(self._metrics.text), media_type=CONTENT_TYPE_LATEST)
