# SPDX-License-Identifier: Apache-2.0
"""build.bazel.remote.asset.v1: Fetch and Push."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

from google.rpc import code_pb2, status_pb2

from pytrace_cas.blocking import in_thread
from pytrace_cas.services.qualifiers import UnsupportedQualifiers
from pytrace_proto import remote_asset_pb2 as asset

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytrace_cas.grpc_server.calls import Context
    from pytrace_cas.services.remote_asset import RemoteAsset


class FetchServicer:
    """Adapter of `RemoteAsset`'s fetching half."""

    SERVICE = asset.DESCRIPTOR.services_by_name["Fetch"]

    def __init__(self, service: RemoteAsset) -> None:
        self._service = service

    async def FetchBlob(self, request: asset.FetchBlobRequest, context: Context) -> asset.FetchBlobResponse:
        """Answer what is known on the event loop; fetch in a thread, which a client that goes away does not stop."""
        with _explaining(context):
            known = self._service.known_blob(request)
            if known is not None:
                return known
            return await asyncio.wrap_future(self._service.in_background(self._service.fetch_blob, request))

    async def FetchDirectory(
        self, request: asset.FetchDirectoryRequest, context: Context
    ) -> asset.FetchDirectoryResponse:
        """Answer on the event loop, a few indexed reads."""
        with _explaining(context):
            return self._service.fetch_directory(request)


class PushServicer:
    """Adapter of `RemoteAsset`'s pushing half."""

    SERVICE = asset.DESCRIPTOR.services_by_name["Push"]

    def __init__(self, service: RemoteAsset) -> None:
        self._service = service

    async def PushBlob(self, request: asset.PushBlobRequest, context: Context) -> asset.PushBlobResponse:
        """Write in a thread."""
        return await in_thread(self._service.push_blob, request)

    async def PushDirectory(self, request: asset.PushDirectoryRequest, context: Context) -> asset.PushDirectoryResponse:
        """Read the tree and write in a thread."""
        return await in_thread(self._service.push_directory, request)


@contextmanager
def _explaining(context: Context) -> Iterator[None]:
    """Add to a refusal which qualifiers are meant, in the form that the protocol asks for."""
    try:
        yield
    except UnsupportedQualifiers as error:
        status = status_pb2.Status(code=code_pb2.INVALID_ARGUMENT, message=str(error))
        status.details.add().Pack(error.details())
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        raise
