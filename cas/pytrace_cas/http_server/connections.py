# SPDX-License-Identifier: Apache-2.0
"""One HTTP connection: its client's certificate, and an end to clients that keep it without using it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from pytrace_cas.http_server.callers import CERTIFICATE

if TYPE_CHECKING:
    import asyncio

    from starlette.types import ASGIApp, Receive, Scope, Send

LARGEST_HEADERS = 16 << 10
KEEP_ALIVE_SECONDS = 120
# A client that neither sends what it has begun to send nor takes what it has asked for, for so long, is cut off.
STALL_SECONDS = 60.0


class Connection(H11Protocol):
    """uvicorn's, with the peer's certificate in the scope and a watch over stalls."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Note who is there, and begin to watch."""
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        certificate = tls.getpeercert() if tls is not None else None
        if certificate:
            self.app = _with_certificate(self.app, certificate)
        self._taken = self._drained = 0
        self._seen: tuple[int, int, int] | None = None
        self._watch = self.loop.call_later(STALL_SECONDS, self._look)

    def data_received(self, data: bytes) -> None:
        """Count what comes; a head comes in pieces, since h11 bounds only what is not complete yet."""
        self._taken += len(data)
        while len(data) > LARGEST_HEADERS and self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            super().data_received(data[:LARGEST_HEADERS])
            data = data[LARGEST_HEADERS:]
        if not self.transport.is_closing():
            super().data_received(data)

    def resume_writing(self) -> None:
        """Count how often the client took what was waiting for it."""
        self._drained += 1
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Watch no more."""
        self._watch.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        state = (self._taken, self._drained, self.transport.get_write_buffer_size())
        if state == self._seen and self._waits_for_client():
            self.transport.abort()
            return
        self._seen = state
        self._watch = self.loop.call_later(STALL_SECONDS, self._look)

    def _waits_for_client(self) -> bool:
        """Whether it is the client's turn; the time between requests is uvicorn's to watch."""
        if self.transport.get_write_buffer_size():
            return True
        if self.cycle is None or self.cycle.response_complete:
            return self.timeout_keep_alive_task is None
        return self.cycle.more_body and not self.cycle.body


def _with_certificate(app: Any, certificate: Any) -> ASGIApp:
    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        scope[CERTIFICATE] = certificate
        await app(scope, receive, send)

    return run
