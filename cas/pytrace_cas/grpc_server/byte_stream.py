# SPDX-License-Identifier: Apache-2.0
"""google.bytestream.ByteStream."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from pytrace_cas.blocking import SMALL, in_thread, open_in_thread
from pytrace_cas.services.errors import EXPECTED
from pytrace_cas.services.stream_messages import ReadPiece, WritePiece
from pytrace_cas.store import BlobNotFound
from pytrace_proto import bytestream_pb2 as bytestream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pytrace_cas.grpc_server.calls import Context
    from pytrace_cas.server_metrics import ServerMetrics
    from pytrace_cas.services.byte_stream import ByteStream, Upload


class ByteStreamServicer:
    """Adapter of `ByteStream`; `drain_uploads`: an upload that is answered early is read to its end all the same."""

    SERVICE = bytestream.DESCRIPTOR.services_by_name["ByteStream"]
    DECODERS = {"Write": WritePiece.decode}

    def __init__(self, service: ByteStream, metrics: ServerMetrics, *, drain_uploads: bool = False) -> None:
        self._service = service
        self._metrics = metrics
        self._drain_uploads = drain_uploads

    async def Read(self, request: bytestream.ReadRequest, context: Context) -> None:
        """Send a small blob from the event loop, a large one from threads; closes it whatever happens."""
        try:
            if self._service.waits:
                download = await open_in_thread(self._service.read, request)
            else:
                download = self._service.read(request)
        except BlobNotFound:
            self._metrics.requested("get", "cas", "miss")
            raise
        with download:
            small = download.remaining <= SMALL
            while (piece := download.next() if small else await in_thread(download.next)) is not None:
                await context.write(ReadPiece(piece))
        self._metrics.requested("get", "cas", "hit")

    async def Write(self, request_iterator: AsyncIterator[WritePiece], context: Context) -> bytestream.WriteResponse:
        """Take small messages on the event loop; large ones, the first and the last in threads."""
        upload = self._service.write()
        try:
            response = await self._take(upload, request_iterator)
        except EXPECTED:
            self._metrics.requested("put", "cas", "error")
            await self._drain(request_iterator)
            raise
        finally:
            # After an answer or an error, nothing is left to keep; else the client may come back.
            if upload.is_open:
                await in_thread(upload.abandon)
        if upload.size is not None:  # else the client goes on with it, and is counted then
            self._metrics.requested("put", "cas", "ok")
            self._metrics.stored(upload.size)
        await self._drain(request_iterator)
        return response

    async def _drain(self, requests: AsyncIterator[WritePiece]) -> None:
        """Let the client send the rest: some proxies break a call off that is answered before."""
        if self._drain_uploads:
            with suppress(*EXPECTED):  # a message that is none changes nothing any more
                async for _ in requests:
                    pass

    @staticmethod
    async def _take(upload: Upload, requests: AsyncIterator[WritePiece]) -> bytestream.WriteResponse:
        first = True
        async for request in requests:
            if first or request.finish_write or len(request.data) > SMALL or upload.waits(request):
                response = await in_thread(upload.feed, request)
            else:
                response = upload.feed(request)
            first = False
            if response is not None:
                return response
        return await in_thread(upload.finish) if upload.is_open else upload.finish()

    async def QueryWriteStatus(
        self, request: bytestream.QueryWriteStatusRequest, context: Context
    ) -> bytestream.QueryWriteStatusResponse:
        """Look in a thread: a blob that is here may have its age renewed."""
        return await in_thread(self._service.query_write_status, request)
