# SPDX-License-Identifier: Apache-2.0
"""A cache that speaks the Remote Execution API over gRPC, whoever wrote it."""

from __future__ import annotations

import os
from itertools import chain
from uuid import uuid4

import grpc

from pytrace_cas import __version__
from pytrace_cas.digest import TRUSTED, Digest
from pytrace_cas.write_requests import compressed_write_requests, write_requests
from pytrace_exec.cache.errors import BlobMissing, RemoteDenied, RemoteFailed, RemoteRefused
from pytrace_exec.cache.remote import LARGEST_RESULT, Terms
from pytrace_proto import bytestream_pb2 as bytestream
from pytrace_proto import remote_execution_pb2 as reapi
from pytrace_proto.bytestream_pb2_grpc import ByteStreamStub
from pytrace_proto.remote_execution_pb2_grpc import (
    ActionCacheStub,
    CapabilitiesStub,
    ContentAddressableStorageStub,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

    from pytrace_cas.digest import DigestFunction
    from pytrace_exec.cache.remote import Access, Address, Versions

# Below this many bytes in all, unpacking would cost a hit more than it saves on the way.
WORTH_COMPRESSING = 1 << 16
_LEAST = 512  # bytes of a blob that is compressed by itself
_SHARE = 16  # at least a sixteenth of the first piece must be saved
_QUESTIONS = 10_000  # digests in one FindMissingBlobs, less than 1 MiB
_METADATA_KEY = "build.bazel.remote.execution.v2.requestmetadata-bin"
_Code = grpc.StatusCode
_REFUSALS = (
    _Code.PERMISSION_DENIED,
    _Code.UNAUTHENTICATED,
    _Code.INVALID_ARGUMENT,
    _Code.FAILED_PRECONDITION,
    _Code.RESOURCE_EXHAUSTED,
    _Code.NOT_FOUND,
    _Code.OUT_OF_RANGE,
    _Code.UNIMPLEMENTED,
)
"""Answers to a write that say nothing against reading on."""
_DENIALS = (_Code.UNAUTHENTICATED, _Code.PERMISSION_DENIED)
_HINTS: dict[grpc.StatusCode | None, str] = {
    _Code.DEADLINE_EXCEEDED: "it did not answer in time (--remote-timeout)",
    _Code.UNAUTHENTICATED: "it wants credentials (--remote-header)",
    _Code.PERMISSION_DENIED: "these credentials may not do that (--remote-header)",
}


class GrpcRemote:
    """One channel; see `Remote`. A cache without batches or FindMissingBlobs is asked blob by blob.

    What `terms` has said decides whether blobs travel as zstd.
    """

    def __init__(self, address: Address, access: Access) -> None:
        self._address = address
        self._access = access
        self._credentials = _credentials(access) if address.scheme == "grpcs" else None
        details = reapi.ToolDetails(tool_name="pytrace-exec", tool_version=__version__)
        metadata = reapi.RequestMetadata(tool_details=details).SerializeToString()
        headers: list[tuple[str, str | bytes]] = [(name.lower(), value) for name, value in access.headers]
        self._metadata = (*headers, (_METADATA_KEY, metadata))
        self._opened: grpc.Channel | None = None
        self._takes_streams = self._takes_batches = False  # compressed ones, by its own word

    def terms(self) -> Terms:
        """What Capabilities says."""
        request = reapi.GetCapabilitiesRequest(instance_name=self._address.instance)
        answer = self._ask(CapabilitiesStub(self._channel).GetCapabilities, request)
        offered = answer.cache_capabilities
        known = {function.number: name for name, function in TRUSTED.items()}
        functions = [known[number] for number in offered.digest_functions if number in known]
        said = offered.HasField("action_cache_update_capabilities")
        # Nothing has to be saved on the way to a socket of this machine.
        far = not self._address.path
        self._takes_streams = far and reapi.Compressor.ZSTD in offered.supported_compressors
        self._takes_batches = far and reapi.Compressor.ZSTD in offered.supported_batch_update_compressors
        return Terms(
            functions if offered.digest_functions else ["sha256"],
            offered.action_cache_update_capabilities.update_enabled if said else None,
            offered.max_batch_total_size_bytes,
            offered.max_cas_blob_size_bytes,
            _versions(answer),
        )

    def get_result(self, function: DigestFunction, action: Digest, inline: Sequence[str]) -> bytes | None:
        """The message under a key."""
        request = reapi.GetActionResultRequest(
            **self._about(function), action_digest=_sent(action), inline_output_files=inline
        )
        answer = self._ask(ActionCacheStub(self._channel).GetActionResult, request, absent=_Code.NOT_FOUND)
        return None if answer is None else answer.SerializeToString()

    def put_result(self, function: DigestFunction, action: Digest, message: bytes) -> None:
        """Keep a message under a key."""
        request = reapi.UpdateActionResultRequest(
            **self._about(function),
            action_digest=_sent(action),
            action_result=reapi.ActionResult.FromString(message),
        )
        self._ask(ActionCacheStub(self._channel).UpdateActionResult, request, writing=True)

    def missing(self, function: DigestFunction, digests: Sequence[Digest]) -> list[Digest]:
        """What FindMissingBlobs says; everything where it is not implemented."""
        method = ContentAddressableStorageStub(self._channel).FindMissingBlobs
        found: set[Digest] = set()
        for start in range(0, len(digests), _QUESTIONS):
            asked = [_sent(digest) for digest in digests[start : start + _QUESTIONS]]
            request = reapi.FindMissingBlobsRequest(**self._about(function), blob_digests=asked)
            answer = self._ask(method, request, absent=_Code.UNIMPLEMENTED, writing=True)
            if answer is None:
                return list(digests)
            found |= {_received(digest) for digest in answer.missing_blob_digests}
        return [digest for digest in digests if digest in found]

    def read_many(self, function: DigestFunction, digests: Sequence[Digest]) -> Iterator[tuple[Digest, bytes]]:
        """One BatchReadBlobs."""
        if len(digests) > 1:
            large = sum(digest.size_bytes for digest in digests) >= WORTH_COMPRESSING
            accepted = [reapi.Compressor.ZSTD] if large and self._takes_streams else []
            request = reapi.BatchReadBlobsRequest(
                **self._about(function), digests=map(_sent, digests), acceptable_compressors=accepted
            )
            method = ContentAddressableStorageStub(self._channel).BatchReadBlobs
            answer = self._ask(method, request, absent=_Code.UNIMPLEMENTED)
            if answer is not None:
                yield from self._batch(set(digests), answer)
                return
        for digest in digests:
            try:
                yield digest, b"".join(self.read(function, digest))
            except BlobMissing:
                continue

    def _batch(self, wanted: set[Digest], answer: reapi.BatchReadBlobsResponse) -> Iterator[tuple[Digest, bytes]]:
        for blob in answer.responses:
            digest = _received(blob.digest)
            if blob.status.code == _Code.OK.value[0] and digest in wanted:
                yield digest, self._unpacked(digest, blob)
            elif blob.status.code not in (_Code.OK.value[0], _Code.NOT_FOUND.value[0]):
                raise self._failed(f"blob {digest}: {blob.status.message or blob.status.code}")

    def _unpacked(self, digest: Digest, blob: reapi.BatchReadBlobsResponse.Response) -> bytes:
        """A blob's bytes, at most as many as it has; raise `RemoteFailed`."""
        if blob.compressor == reapi.Compressor.IDENTITY:
            return blob.data
        from pytrace_cas.compression import CorruptStream, inflate

        try:
            return inflate(blob.data, digest.size_bytes)
        except CorruptStream as error:
            raise self._failed(f"it sent wrong bytes for blob {digest}: {error}") from error

    def read(self, function: DigestFunction, digest: Digest) -> Iterator[bytes]:
        """One ByteStream.Read, as zstd if that is offered, one piece beyond the size at most; raise `BlobMissing`."""
        if self._takes_streams and digest.size_bytes >= WORTH_COMPRESSING:
            pieces = self._read_compressed(function, digest)
        else:
            pieces = self._read(function, digest, "blobs")
        left = digest.size_bytes
        for piece in pieces:
            yield piece
            left -= len(piece)
            if left < 0:
                return

    def _read_compressed(self, function: DigestFunction, digest: Digest) -> Iterator[bytes]:
        from pytrace_cas.compression import CorruptStream, Inflater

        inflater = Inflater()
        try:
            for data in self._read(function, digest, "compressed-blobs/zstd"):
                yield from inflater.feed(data)
        except CorruptStream as error:
            raise self._failed(f"it sent wrong bytes for blob {digest}: {error}") from error

    def _read(self, function: DigestFunction, digest: Digest, kind: str) -> Iterator[bytes]:
        request = bytestream.ReadRequest(resource_name=self._resource(kind, function, digest))
        try:
            answers = ByteStreamStub(self._channel).Read(
                request, timeout=self._access.patience(digest.size_bytes), metadata=self._metadata
            )
            try:
                for answer in answers:
                    yield answer.data
            finally:
                answers.cancel()  # nothing happens at its end
        except (grpc.RpcError, ValueError) as error:
            if _code(error) == _Code.NOT_FOUND:
                raise BlobMissing(digest) from None
            raise self._failure(error, writing=False) from error

    def write_many(self, function: DigestFunction, blobs: Sequence[tuple[Digest, bytes]]) -> None:
        """One BatchUpdateBlobs."""
        requests = [self._update(digest, data) for digest, data in blobs]
        request = reapi.BatchUpdateBlobsRequest(**self._about(function), requests=requests)
        method = ContentAddressableStorageStub(self._channel).BatchUpdateBlobs
        size = sum(digest.size_bytes for digest, _ in blobs)
        answer = self._ask(method, request, absent=_Code.UNIMPLEMENTED, writing=True, size=size)
        if answer is None:
            for digest, data in blobs:
                self.write(function, digest, (data,))
            return
        for blob in answer.responses:
            if blob.status.code != _Code.OK.value[0]:
                why = blob.status.message or f"code {blob.status.code}"
                raise RemoteRefused(self._address.name, f"blob {_received(blob.digest)}: {why}")

    def _update(self, digest: Digest, data: bytes) -> reapi.BatchUpdateBlobsRequest.Request:
        """A blob as it is sent in a batch: compressed where that saves something."""
        if self._takes_batches and len(data) >= _LEAST:
            from pytrace_cas.compression import deflate

            packed = deflate(data)
            if _saves(packed, data):
                zstd = reapi.Compressor.ZSTD
                return reapi.BatchUpdateBlobsRequest.Request(digest=_sent(digest), data=packed, compressor=zstd)
        return reapi.BatchUpdateBlobsRequest.Request(digest=_sent(digest), data=data)

    def write(self, function: DigestFunction, digest: Digest, chunks: Iterable[bytes]) -> None:
        """One ByteStream.Write, as zstd if the cache takes it and the first piece says that it saves something."""
        pieces = iter(chunks)
        first = next(pieces, b"")
        if self._takes_streams and digest.size_bytes >= WORTH_COMPRESSING:
            from pytrace_cas.compression import deflate, pack

            if _saves(deflate(first), first):
                self._write_compressed(function, digest, pack(chain((first,), pieces)))
                return
        name = self._resource(f"uploads/{uuid4()}/blobs", function, digest)
        answer = self._send(write_requests(name, chain((first,), pieces), digest.size_bytes), digest)
        if answer is not None and answer.committed_size != digest.size_bytes:
            raise self._failed(f"it kept {answer.committed_size} bytes of blob {digest}")

    def _write_compressed(self, function: DigestFunction, digest: Digest, packed: Iterable[bytes]) -> None:
        """Send a stream; the answer counts what was sent, or what it holds, or is -1 for a blob that is there."""
        sent = 0

        def counted() -> Iterator[bytes]:
            nonlocal sent
            for data in packed:
                sent += len(data)
                yield data

        name = self._resource(f"uploads/{uuid4()}/compressed-blobs/zstd", function, digest)
        answer = self._send(compressed_write_requests(name, counted()), digest)
        if answer is not None and answer.committed_size not in (-1, sent, digest.size_bytes):
            raise self._failed(f"it kept {answer.committed_size} of the {sent} bytes of blob {digest}")

    def _send(self, requests: Iterator[bytestream.WriteRequest], digest: Digest) -> bytestream.WriteResponse | None:
        method = ByteStreamStub(self._channel).Write
        answer: bytestream.WriteResponse | None = self._ask(
            method, requests, absent=_Code.ALREADY_EXISTS, writing=True, size=digest.size_bytes
        )
        return answer

    def close(self) -> None:
        """Close the channel, and with it gRPC's threads and descriptors."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    @property
    def _channel(self) -> grpc.Channel:
        if self._opened is None:
            target = f"unix:{self._address.path}" if self._address.path else self._address.authority
            options = (("grpc.max_receive_message_length", LARGEST_RESULT),)
            if self._credentials is None:
                self._opened = grpc.insecure_channel(target, options)
            else:
                self._opened = grpc.secure_channel(target, self._credentials, options)
        return self._opened

    def _about(self, function: DigestFunction) -> dict[str, Any]:
        """The fields that say where and how; a function that servers of any age infer is not stated."""
        number = reapi.DigestFunction.UNKNOWN if function.inferable else function.number
        return {"instance_name": self._address.instance, "digest_function": number}

    def _resource(self, kind: str, function: DigestFunction, digest: Digest) -> str:
        named = "" if function.inferable else f"{function.name}/"
        instance = f"{self._address.instance}/" if self._address.instance else ""
        return f"{instance}{kind}/{named}{digest}"

    def _ask(
        self, method: Any, request: Any, *, absent: grpc.StatusCode | None = None, writing: bool = False, size: int = 0
    ) -> Any:
        """Call; None for the answer `absent`. With `writing`, some errors are `RemoteRefused`."""
        try:
            return method(request, timeout=self._access.patience(size), metadata=self._metadata)
        except (grpc.RpcError, ValueError) as error:
            if absent is not None and _code(error) == absent:
                return None
            raise self._failure(error, writing) from error

    def _failure(self, error: Exception, writing: bool) -> RemoteFailed | RemoteRefused:
        code = _code(error)
        details = " ".join(str(error.details() if isinstance(error, grpc.Call) else error).split())
        if code == _Code.UNAVAILABLE:
            why = f"it cannot be reached: {_last_cause(details)}"
        else:
            why = _HINTS.get(code) or f"{code.name if code else 'error'}: {details}"
        if writing and code in _REFUSALS:
            return RemoteRefused(self._address.name, why)
        return (RemoteDenied if code in _DENIALS else RemoteFailed)(self._address.name, why)

    def _failed(self, why: str) -> RemoteFailed:
        return RemoteFailed(self._address.name, why)


def _code(error: Exception) -> grpc.StatusCode | None:
    """The status of a call that failed; None when it was not even begun (a header that gRPC does not take)."""
    return error.code() if isinstance(error, grpc.Call) else None


def _last_cause(details: str) -> str:
    """The innermost of gRPC's nested errors, which may stand in brackets."""
    cause = details.rpartition(": ")[2]
    return cause if "[" in cause else cause.rstrip("]")


def _versions(answer: reapi.ServerCapabilities) -> Versions | None:
    """The versions of the API that a server speaks; None when it states none."""
    low, high = answer.low_api_version, answer.high_api_version
    return ((low.major, low.minor), (high.major, high.minor)) if high.major else None


def _saves(packed: bytes, data: bytes) -> bool:
    return len(packed) <= len(data) - len(data) // _SHARE


def _sent(digest: Digest) -> reapi.Digest:
    return reapi.Digest(hash=digest.hash, size_bytes=digest.size_bytes)


def _received(digest: reapi.Digest) -> Digest:
    return Digest(digest.hash, digest.size_bytes)


def _credentials(access: Access) -> grpc.ChannelCredentials:
    """TLS as the user wants it; raise OSError when a file cannot be read."""
    return grpc.ssl_channel_credentials(_content(access.ca), _content(access.key), _content(access.cert))


def _content(path: bytes | None) -> bytes | None:
    if path is None:
        return None
    with open(os.fsdecode(path), "rb") as file:
        return file.read()
