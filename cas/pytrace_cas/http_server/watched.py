# SPDX-License-Identifier: Apache-2.0
"""What every cache request over HTTP has around it: that it is running, and its line in the access log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytrace_cas.calls import Call

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from pytrace_cas.workers.board import Slot

CALL = "pytrace_cas.call"
# What a client that is gone would have been answered is not known.
BROKEN_OFF = "-"


class Watched:
    """An ASGI application around another, until the last byte of the answer.

    The request's scope has the `Call` as `CALL`.
    """

    def __init__(self, application: ASGIApp, slot: Slot, *, access_log: bool) -> None:
        self._application = application
        self._slot = slot
        self._access_log = access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, counting its bytes."""
        call = Call("http", _peer(scope), scope["method"], scope["path"])
        scope[CALL] = call
        status = BROKEN_OFF

        async def received() -> Message:
            message = await receive()
            call.received += len(message.get("body", b""))
            return message

        async def sent(message: Message) -> None:
            nonlocal status
            status = str(message.get("status", status))
            call.sent += len(message.get("body", b""))
            await send(message)

        self._slot.call_begins()
        try:
            await self._application(scope, received, sent)
        finally:
            self._slot.call_ends()
            if self._access_log:
                call.log(status)


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    return f"{client[0]}:{client[1]}" if client else "unix:"
