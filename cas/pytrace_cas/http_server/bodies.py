# SPDX-License-Identifier: Apache-2.0
"""Bodies of requests and answers, a piece at a time, whatever path they belong to."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from starlette.responses import Response, StreamingResponse

from pytrace_cas.blocking import SMALL, in_thread, open_in_thread
from pytrace_cas.services.limits import CHUNK

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from starlette.requests import Request

    from pytrace_cas.services.blobs_by_hash import Sink
    from pytrace_cas.services.byte_stream import CompressedDownload, Download

BYTES = "application/octet-stream"
NO_HEADERS: Mapping[str, str] = {}
S = TypeVar("S", bound="Sink")


@asynccontextmanager
async def begun(begin: Callable[[], S], *, waits: bool) -> AsyncIterator[S]:
    """A sink, closed in the end. If it `waits` for the store's lock, to keep room and to give it back, threads do."""
    sink = await open_in_thread(begin) if waits else begin()
    try:
        yield sink
    finally:
        if waits:
            await in_thread(sink.close)
        else:
            sink.close()


async def receive(request: Request, sink: Sink, *, small: int = 0) -> None:
    """Write the body in pieces that are worth a switch to a thread; a `small` rest goes directly."""
    pending = bytearray()
    async for chunk in request.stream():
        pending += chunk
        if len(pending) >= CHUNK:
            await in_thread(sink.write, bytes(pending))
            pending.clear()
    if len(pending) > small:
        await in_thread(sink.write, bytes(pending))
    elif pending:
        sink.write(bytes(pending))


def stream(download: Download, headers: Mapping[str, str] = NO_HEADERS) -> Response:
    """Answer with a blob, a small one at once."""
    size = download.remaining
    if size <= SMALL:
        with download:
            return Response(b"".join(download), media_type=BYTES, headers=dict(headers))
    return StreamingResponse(_pieces(download), media_type=BYTES, headers={"content-length": str(size), **headers})


def stream_compressed(download: CompressedDownload, headers: Mapping[str, str]) -> Response:
    """Answer with a blob as a zstd stream, whose length nobody knows yet."""
    return StreamingResponse(_pieces(download), media_type=BYTES, headers={"content-encoding": "zstd", **headers})


async def _pieces(download: Download | CompressedDownload) -> AsyncIterator[bytes]:
    with download:
        while (piece := await in_thread(download.next)) is not None:
            yield piece


def outcome(method: str, status: int) -> str:
    """What a request is counted as."""
    if status == 404:
        return "miss"
    if status >= 400:
        return "error"
    return "ok" if method == "PUT" else "hit"
