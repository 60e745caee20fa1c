# SPDX-License-Identifier: Apache-2.0
"""A REAPI cache that is not ours: a real gRPC server over dictionaries, with the oddities seen in the field."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import attrs
import grpc

from pytrace_proto import bytestream_pb2 as bytestream
from pytrace_proto import bytestream_pb2_grpc, remote_execution_pb2_grpc
from pytrace_proto import remote_execution_pb2 as reapi
from pytrace_proto import semver_pb2 as semver
from tests.support.zstd import zstd

ZSTD = reapi.Compressor.ZSTD
SHA256, BLAKE3 = reapi.DigestFunction.SHA256, reapi.DigestFunction.BLAKE3
Code = grpc.StatusCode


@attrs.define
class ForeignCache:
    """What it holds, how it behaves, and what it was asked.

    `overwriting`: "yes", or how a change of a result is refused: "silently" or "aloud". `lacking`: methods that are
    not implemented. `denying`: the status of each call to a method; `refusing`: of each write. `corrupt`: every blob
    comes out with its first byte changed. `zstd`: it takes and gives blobs compressed; `swollen`: those that it gives
    hold so many bytes more than the blob, `cut`: the last bytes of their streams are left out. `version`: the major
    version of the API that it states, 0 for none.
    `before_update` and `after_update` are called, once, before and after a result is taken.
    """

    functions: tuple[int, ...] = (SHA256,)
    update_enabled: bool | None = True
    batch_limit: int = 0
    blob_limit: int = 0
    lacking: frozenset[str] = frozenset()
    overwriting: str = "yes"
    denying: dict[str, grpc.StatusCode] = attrs.field(factory=dict)
    refusing: grpc.StatusCode | None = None
    corrupt: bool = False
    zstd: bool = False
    swollen: int = 0
    cut: int = 0
    version: int = 0
    before_update: Callable[[], None] | None = None
    after_update: Callable[[], None] | None = None
    blobs: dict[str, bytes] = attrs.field(factory=dict)
    results: dict[tuple[str, str], bytes] = attrs.field(factory=dict)
    calls: list[str] = attrs.field(factory=list)
    names: list[str] = attrs.field(factory=list)
    metadata: list[dict[str, str | bytes]] = attrs.field(factory=list)

    def asked(self, name: str, context: grpc.ServicerContext, writing: bool = False) -> None:
        """Note a call, and refuse it if this cache would."""
        self.calls.append(name)
        self.metadata.append({item.key: item.value for item in context.invocation_metadata()})  # type: ignore[attr-defined]
        if name in self.lacking:
            context.abort(Code.UNIMPLEMENTED, name)
        if name in self.denying:
            context.abort(self.denying[name], "not you")
        if writing and self.refusing is not None:
            context.abort(self.refusing, "not you")

    def sent(self, data: bytes) -> bytes:
        """What is sent for a blob."""
        return bytes([data[0] ^ 1]) + data[1:] if self.corrupt and data else data

    def packed(self, data: bytes) -> bytes:
        """What is sent for a blob that is asked for compressed."""
        packed = zstd.compress(self.sent(data) + bytes(self.swollen))
        return packed[: len(packed) - self.cut]


class _Capabilities(remote_execution_pb2_grpc.CapabilitiesServicer):
    def __init__(self, cache: ForeignCache) -> None:
        self._cache = cache

    def GetCapabilities(self, request: Any, context: Any) -> reapi.ServerCapabilities:
        cache = self._cache
        cache.asked("GetCapabilities", context)
        said = reapi.CacheCapabilities(
            digest_functions=cache.functions,  # type: ignore[arg-type]
            max_batch_total_size_bytes=cache.batch_limit,
            max_cas_blob_size_bytes=cache.blob_limit,
        )
        if cache.zstd:
            said.supported_compressors.append(ZSTD)
            said.supported_batch_update_compressors.append(ZSTD)
        if cache.update_enabled is not None:
            said.action_cache_update_capabilities.update_enabled = cache.update_enabled
        version = semver.SemVer(major=cache.version)
        return reapi.ServerCapabilities(cache_capabilities=said, low_api_version=version, high_api_version=version)


class _ActionCache(remote_execution_pb2_grpc.ActionCacheServicer):
    def __init__(self, cache: ForeignCache) -> None:
        self._cache = cache

    def GetActionResult(self, request: Any, context: Any) -> reapi.ActionResult:
        self._cache.asked("GetActionResult", context)
        message = self._cache.results.get((request.instance_name, request.action_digest.hash))
        if message is None:
            context.abort(Code.NOT_FOUND, "no such result")
        assert message is not None
        return reapi.ActionResult.FromString(message)

    def UpdateActionResult(self, request: Any, context: Any) -> reapi.ActionResult:
        cache = self._cache
        cache.asked("UpdateActionResult", context, writing=True)
        before, cache.before_update = cache.before_update, None
        if before is not None:
            before()
        key = (request.instance_name, request.action_digest.hash)
        message = request.action_result.SerializeToString()
        if key not in cache.results or cache.overwriting == "yes":
            cache.results[key] = message
        elif cache.overwriting == "aloud":
            context.abort(Code.FAILED_PRECONDITION, "there is a result already")
        after, cache.after_update = cache.after_update, None
        if after is not None:
            after()
        return request.action_result  # type: ignore[no-any-return]


class _Storage(remote_execution_pb2_grpc.ContentAddressableStorageServicer):
    def __init__(self, cache: ForeignCache) -> None:
        self._cache = cache

    def FindMissingBlobs(self, request: Any, context: Any) -> reapi.FindMissingBlobsResponse:
        self._cache.asked("FindMissingBlobs", context)
        missing = [digest for digest in request.blob_digests if digest.hash not in self._cache.blobs]
        return reapi.FindMissingBlobsResponse(missing_blob_digests=missing)

    def BatchUpdateBlobs(self, request: Any, context: Any) -> reapi.BatchUpdateBlobsResponse:
        cache = self._cache
        cache.asked("BatchUpdateBlobs", context, writing=True)
        self._check([item.digest for item in request.requests], context)
        answer = reapi.BatchUpdateBlobsResponse()
        for item in request.requests:
            if item.compressor:
                cache.names.append(f"batch: {len(item.data)} for {item.digest.size_bytes}")
            cache.blobs[item.digest.hash] = zstd.decompress(item.data) if item.compressor else item.data
            answer.responses.add(digest=item.digest)
        return answer

    def BatchReadBlobs(self, request: Any, context: Any) -> reapi.BatchReadBlobsResponse:
        cache = self._cache
        cache.asked("BatchReadBlobs", context)
        self._check(request.digests, context)
        answer = reapi.BatchReadBlobsResponse()
        for digest in request.digests:
            one = answer.responses.add(digest=digest)
            if digest.hash in cache.blobs and cache.zstd and ZSTD in request.acceptable_compressors:
                cache.names.append(f"read: {digest.size_bytes}")
                one.data, one.compressor = cache.packed(cache.blobs[digest.hash]), ZSTD
            elif digest.hash in cache.blobs:
                one.data = cache.sent(cache.blobs[digest.hash])
            else:
                one.status.code = Code.NOT_FOUND.value[0]
        return answer

    def GetTree(self, request: Any, context: Any) -> Iterator[reapi.GetTreeResponse]:
        context.abort(Code.UNIMPLEMENTED, "GetTree")
        yield reapi.GetTreeResponse()

    def SplitBlob(self, request: Any, context: Any) -> reapi.SplitBlobResponse:
        context.abort(Code.UNIMPLEMENTED, "SplitBlob")
        return reapi.SplitBlobResponse()

    def SpliceBlob(self, request: Any, context: Any) -> reapi.SpliceBlobResponse:
        context.abort(Code.UNIMPLEMENTED, "SpliceBlob")
        return reapi.SpliceBlobResponse()

    def _check(self, digests: Any, context: Any) -> None:
        limit = self._cache.batch_limit
        if 0 < limit < sum(digest.size_bytes for digest in digests):
            context.abort(Code.INVALID_ARGUMENT, "the batch is too large")


class _ByteStream(bytestream_pb2_grpc.ByteStreamServicer):
    def __init__(self, cache: ForeignCache) -> None:
        self._cache = cache

    def Read(self, request: Any, context: Any) -> Iterator[bytestream.ReadResponse]:
        cache = self._cache
        cache.asked("Read", context)
        cache.names.append(request.resource_name)
        data = cache.blobs.get(request.resource_name.split("/")[-2])
        if data is None:
            context.abort(Code.NOT_FOUND, "no such blob")
        assert data is not None
        data = cache.packed(data) if "/compressed-blobs/" in f"/{request.resource_name}" else cache.sent(data)
        for start in range(0, len(data), 1 << 20):
            yield bytestream.ReadResponse(data=data[start : start + (1 << 20)])

    def Write(self, requests: Any, context: Any) -> bytestream.WriteResponse:
        cache = self._cache
        cache.asked("Write", context, writing=True)
        name, data, finished = "", b"", False
        for request in requests:
            name = name or request.resource_name
            if request.write_offset != len(data):
                context.abort(Code.INVALID_ARGUMENT, "a wrong offset")
            data += request.data
            finished = request.finish_write
        cache.names.append(name)
        if finished:
            cache.blobs[name.split("/")[-2]] = zstd.decompress(data) if "/compressed-blobs/" in name else data
        return bytestream.WriteResponse(committed_size=len(data))

    def QueryWriteStatus(self, request: Any, context: Any) -> bytestream.QueryWriteStatusResponse:
        context.abort(Code.UNIMPLEMENTED, "QueryWriteStatus")
        return bytestream.QueryWriteStatusResponse()


@contextmanager
def foreign_grpc(
    cache: ForeignCache, address: str = "127.0.0.1:0", credentials: grpc.ServerCredentials | None = None
) -> Iterator[str]:
    """Serve a cache, over TLS with credentials; yield its URL."""
    server = grpc.server(ThreadPoolExecutor(8))
    remote_execution_pb2_grpc.add_CapabilitiesServicer_to_server(_Capabilities(cache), server)
    remote_execution_pb2_grpc.add_ActionCacheServicer_to_server(_ActionCache(cache), server)
    remote_execution_pb2_grpc.add_ContentAddressableStorageServicer_to_server(_Storage(cache), server)
    bytestream_pb2_grpc.add_ByteStreamServicer_to_server(_ByteStream(cache), server)
    port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    scheme = "grpcs" if credentials else "grpc"
    server.start()
    try:
        yield address if address.startswith("unix:") else f"{scheme}://127.0.0.1:{port}"
    finally:
        server.stop(None).wait()
