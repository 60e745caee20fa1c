# SPDX-License-Identifier: Apache-2.0
"""build.bazel.remote.execution.v2.ContentAddressableStorage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytrace_cas.blocking import in_thread
from pytrace_proto import remote_execution_pb2 as reapi

if TYPE_CHECKING:
    from collections.abc import Iterable

    from google.rpc.status_pb2 import Status

    from pytrace_cas.grpc_server.calls import Context
    from pytrace_cas.server_metrics import ServerMetrics
    from pytrace_cas.services.chunked_blobs import ChunkedBlobs
    from pytrace_cas.services.content_addressable_storage import ContentAddressableStorage


class ContentAddressableStorageServicer:
    """Adapter of `ContentAddressableStorage` and `ChunkedBlobs`."""

    SERVICE = reapi.DESCRIPTOR.services_by_name["ContentAddressableStorage"]

    def __init__(self, service: ContentAddressableStorage, chunked: ChunkedBlobs, metrics: ServerMetrics) -> None:
        self._service = service
        self._chunked = chunked
        self._metrics = metrics

    async def FindMissingBlobs(
        self, request: reapi.FindMissingBlobsRequest, context: Context
    ) -> reapi.FindMissingBlobsResponse:
        """Look in a thread: blobs that are here may have their ages renewed."""
        asked = len(request.blob_digests)
        response = await in_thread(self._service.find_missing, request)
        missing = len(response.missing_blob_digests)
        self._metrics.requested("contains", "cas", "miss", missing)
        self._metrics.requested("contains", "cas", "hit", max(0, asked - missing))
        return response

    async def BatchUpdateBlobs(
        self, request: reapi.BatchUpdateBlobsRequest, context: Context
    ) -> reapi.BatchUpdateBlobsResponse:
        """Write in a thread."""
        response = await in_thread(self._service.batch_update, request)
        self._count("put", "ok", "error", (entry.status for entry in response.responses))
        for entry in response.responses:
            if not entry.status.code:
                self._metrics.stored(entry.digest.size_bytes)
        return response

    async def BatchReadBlobs(
        self, request: reapi.BatchReadBlobsRequest, context: Context
    ) -> reapi.BatchReadBlobsResponse:
        """Read in a thread."""
        response = await in_thread(self._service.batch_read, request)
        self._count("get", "hit", "miss", (entry.status for entry in response.responses))
        return response

    async def GetTree(self, request: reapi.GetTreeRequest, context: Context) -> None:
        """Read each page in a thread."""
        pages = await in_thread(self._service.get_tree, request)
        while (page := await in_thread(next, pages, None)) is not None:
            await context.write(page)

    async def SplitBlob(self, request: reapi.SplitBlobRequest, context: Context) -> reapi.SplitBlobResponse:
        """Cut in a thread."""
        return await in_thread(self._chunked.split, request)

    async def SpliceBlob(self, request: reapi.SpliceBlobRequest, context: Context) -> reapi.SpliceBlobResponse:
        """Hash in a thread."""
        return await in_thread(self._chunked.splice, request)

    def _count(self, method: str, good: str, bad: str, statuses: Iterable[Status]) -> None:
        codes = [status.code for status in statuses]
        self._metrics.requested(method, "cas", good, codes.count(0))
        self._metrics.requested(method, "cas", bad, len(codes) - codes.count(0))
