# SPDX-License-Identifier: Apache-2.0
"""The ContentAddressableStorage service (WIRE 22-31, 47-49). All instances share their blobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytrace_cas import store as storage
from pytrace_cas.compression import CorruptStream, inflate
from pytrace_cas.digest import Digest, MalformedDigest
from pytrace_cas.services import directory_tree
from pytrace_cas.services.digests import digest_of, function_among, function_of, to_message
from pytrace_cas.services.errors import InvalidRequest, Refusal, refuse_when_read_only, to_status
from pytrace_cas.services.resource_names import check_instance_name
from pytrace_proto import remote_execution_pb2 as reapi

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytrace_cas.digest import DigestFunction
    from pytrace_cas.services.backing import Store
    from pytrace_cas.services.limits import Limits

Request = reapi.BatchUpdateBlobsRequest.Request
Update = reapi.BatchUpdateBlobsResponse.Response
Read = reapi.BatchReadBlobsResponse.Response
# Smaller blobs are read as they are: the frame and the call cost more than is saved.
WORTH_COMPRESSING = 512


class ContentAddressableStorage:
    """Blobs over one store; safe to call from many threads. What was acknowledged is in the store."""

    def __init__(self, store: Store, limits: Limits) -> None:
        self._store = store
        self._limits = limits

    def find_missing(self, request: reapi.FindMissingBlobsRequest) -> reapi.FindMissingBlobsResponse:
        """Name the blobs that are not here, each once; those that are live longer for it."""
        check_instance_name(request.instance_name)
        asked = request.blob_digests
        number = request.digest_function
        function = function_of(number, asked[0].hash) if asked else function_among(number, ())
        try:
            missing = self._store.missing(function, (Digest(one.hash, one.size_bytes) for one in asked))
        except MalformedDigest as error:
            raise InvalidRequest("blob_digests", str(error)) from None
        return reapi.FindMissingBlobsResponse(missing_blob_digests=map(to_message, missing))

    def batch_update(self, request: reapi.BatchUpdateBlobsRequest) -> reapi.BatchUpdateBlobsResponse:
        """Store many blobs in one transaction; each has its own status, one answer for each request."""
        check_instance_name(request.instance_name)
        refuse_when_read_only(self._store)
        self._check_batch("requests", sum(map(_size, request.requests)))
        function = function_among(request.digest_function, (item.digest for item in request.requests))
        refused: dict[int, Exception] = {}
        accepted: list[tuple[int, Digest, bytes]] = []
        for index, item in enumerate(request.requests):
            try:
                accepted.append((index, *self._check_upload(item, function)))
            except (Refusal, CorruptStream) as error:
                refused[index] = error
        refused |= self._put_many(function, accepted)
        return reapi.BatchUpdateBlobsResponse(
            responses=[
                Update(digest=item.digest, status=to_status(refused.get(index)))
                for index, item in enumerate(request.requests)
            ]
        )

    def batch_read(self, request: reapi.BatchReadBlobsRequest) -> reapi.BatchReadBlobsResponse:
        """Read many blobs; each has its own status, one answer for each digest.

        Those that shrink are compressed for a client that accepts it. The limit counts what the digests say, of
        missing blobs too.
        """
        check_instance_name(request.instance_name)
        self._check_batch("digests", sum(max(0, digest.size_bytes) for digest in request.digests))
        function = function_among(request.digest_function, request.digests)
        compressed = reapi.Compressor.ZSTD in request.acceptable_compressors
        return reapi.BatchReadBlobsResponse(
            responses=[self._read(function, digest, compressed) for digest in request.digests]
        )

    def get_tree(self, request: reapi.GetTreeRequest) -> Iterator[reapi.GetTreeResponse]:
        """Give a directory and all below it, page by page; directories that are not here are left out.

        Checks the request and finds the root before it returns, so that errors come at once.
        """
        check_instance_name(request.instance_name)
        function = function_of(request.digest_function, request.root_digest.hash)
        root = digest_of(request.root_digest, function, "root_digest")
        if request.page_size < 0:
            raise InvalidRequest("page_size", f"{request.page_size} is negative")
        self._store.open_blob(function, root).close()
        return directory_tree.pages(self._store, function, root, request.page_size, request.page_token)

    def _check_batch(self, field: str, size: int) -> None:
        limit = self._limits.batch_bytes
        if size > limit:
            raise InvalidRequest(field, f"{size} bytes are more than one batch takes ({limit})")

    def _check_upload(self, item: Request, function: DigestFunction) -> tuple[Digest, bytes]:
        if item.compressor not in (reapi.Compressor.IDENTITY, reapi.Compressor.ZSTD):
            raise InvalidRequest("compressor", f"{item.compressor} is not offered here")
        digest = digest_of(item.digest, function)
        self._limits.check_blob(digest)
        return digest, inflate(item.data, digest.size_bytes) if item.compressor else item.data

    def _put_many(self, function: DigestFunction, items: list[tuple[int, Digest, bytes]]) -> dict[int, Exception]:
        """Store the items in one transaction; return what became of those that were not stored."""
        try:
            self._store.put_many(function, ((digest, data) for _, digest, data in items))
        except storage.OutOfSpace as error:
            return {index: error for index, _, _ in items}
        except storage.RefusedBlobs as error:
            suspects = set(error.refused)
            return {
                index: InvalidRequest("data", f"the bytes are {found}, not {digest}")
                for index, digest, data in items
                if digest in suspects and (found := function.of(data)) != digest
            }
        return {}

    def _read(self, function: DigestFunction, message: reapi.Digest, compressed: bool) -> Read:
        try:
            digest = digest_of(message, function)
            packed = self._compressed(function, digest) if compressed else b""
            if packed:
                return Read(digest=message, data=packed, compressor=reapi.Compressor.ZSTD, status=to_status(None))
            data = self._store.get(function, digest)
        except (InvalidRequest, storage.BlobNotFound) as error:
            return Read(digest=message, status=to_status(error))
        return Read(digest=message, data=data, status=to_status(None))

    def _compressed(self, function: DigestFunction, digest: Digest) -> bytes:
        """A blob as a zstd stream; nothing if it does not shrink, or is found damaged."""
        if digest.size_bytes < WORTH_COMPRESSING:
            return b""
        try:
            with self._store.open_compressed(function, digest) as reader:
                packed = b"".join(reader)
        except storage.BlobCorrupt:
            return b""
        return packed if len(packed) < digest.size_bytes else b""


def _size(item: Request) -> int:
    """What an entry counts of the limit: what it takes in memory, whether it is as large as it says or not."""
    return max(len(item.data), item.digest.size_bytes if item.compressor else 0)
