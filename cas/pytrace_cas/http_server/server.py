# SPDX-License-Identifier: Apache-2.0
"""The HTTP server's lifetime: uvicorn on a socket of our own, within the caller's event loop."""

from __future__ import annotations

import asyncio
import math
from contextlib import contextmanager
from typing import TYPE_CHECKING

import attrs
import uvicorn

from pytrace_cas.http_server.connections import KEEP_ALIVE_SECONDS, LARGEST_HEADERS, Connection

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from starlette.types import ASGIApp

    from pytrace_cas.access.certificates import Certificates
    from pytrace_cas.listening import Address
    from pytrace_cas.workers.worker import Worker


class _Embedded(uvicorn.Server):
    """uvicorn, leaving signals to the program that runs it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


class HttpServer:
    """An HTTP server of one application; an async context manager that owns it.

    `address` is where it listens, with the port that was chosen. Leaving the context lets running requests end.
    """

    def __init__(
        self,
        application: ASGIApp,
        address: Address,
        worker: Worker,
        certificates: Certificates | None = None,
        *,
        most_calls: int | None = None,
    ) -> None:
        self.address = address
        self._worker = worker
        context = None if certificates is None else certificates.context()
        config = uvicorn.Config(
            application,
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            http=Connection,
            ws="none",
            limit_concurrency=most_calls,
            h11_max_incomplete_event_size=LARGEST_HEADERS,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            ssl_context_factory=(lambda *_: context) if context is not None else None,
        )
        self._server = _Embedded(config)

    async def __aenter__(self) -> HttpServer:
        listener = self._worker.listen(self.address)
        if not self.address.path:
            self.address = attrs.evolve(self.address, port=listener.getsockname()[1])
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))
        while not self._server.started and not self._serving.done():
            await asyncio.sleep(0.01)
        if self._serving.done():
            await self._serving
        return self

    async def drain(self, seconds: float) -> None:
        """Take no new requests, and let running ones end for so long; cancelled, the server is stopped at once."""
        # uvicorn takes whole seconds.
        self._server.config.timeout_graceful_shutdown = math.ceil(seconds)
        self._server.should_exit = True
        try:
            await asyncio.shield(self._serving)
        except asyncio.CancelledError:
            self._server.force_exit = True
            await self._serving
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.drain(0)
