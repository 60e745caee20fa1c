# SPDX-License-Identifier: Apache-2.0
"""A tier that speaks the Remote Execution API over gRPC, whoever wrote it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING
from uuid import uuid4

import grpc

from pytrace_cas import __version__
from pytrace_cas.digest import SHA256, Digest
from pytrace_cas.services.digests import to_message
from pytrace_cas.upstream.location import content_of
from pytrace_cas.upstream.tier import LARGEST_RESULT, BlobAbsent, TierFailed, TierRefused, patience
from pytrace_cas.write_requests import write_requests
from pytrace_proto import bytestream_pb2 as bytestream
from pytrace_proto import remote_execution_pb2 as reapi
from pytrace_proto.bytestream_pb2_grpc import ByteStreamStub
from pytrace_proto.remote_execution_pb2_grpc import ActionCacheStub, CapabilitiesStub, ContentAddressableStorageStub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from pytrace_cas.digest import DigestFunction
    from pytrace_cas.upstream.location import Upstream

_QUESTIONS = 10_000  # digests in one FindMissingBlobs, less than 1 MiB
_TERMS_SECONDS = 300.0  # what Capabilities said is asked again after this time
_METADATA_KEY = "build.bazel.remote.execution.v2.requestmetadata-bin"
_Code = grpc.StatusCode
_REFUSALS = (
    _Code.INVALID_ARGUMENT,
    _Code.FAILED_PRECONDITION,
    _Code.RESOURCE_EXHAUSTED,
    _Code.OUT_OF_RANGE,
    _Code.NOT_FOUND,
    _Code.UNIMPLEMENTED,
)
"""Answers of a tier that is well."""
_DENIALS = (_Code.PERMISSION_DENIED, _Code.UNAUTHENTICATED)
"""Answers that a reader can do nothing with, while a writer may be allowed to read."""
# A channel that has lost its server tries again so often, in milliseconds; the breaker decides who waits for it.
_RECONNECT = (500, 2_000)


class GrpcTier:
    """One channel. The URL's path is the instance of blobs, and stands before the name of each result's instance."""

    def __init__(self, upstream: Upstream) -> None:
        location = upstream.location
        self.name = location.name
        self._instance = location.prefix
        self._timeout = upstream.timeout
        self._target = f"unix:{location.authority}" if location.scheme == "unix" else location.authority
        self._credentials = _credentials(upstream) if location.secure else None
        details = reapi.ToolDetails(tool_name="pytrace-cas", tool_version=__version__)
        metadata = reapi.RequestMetadata(tool_details=details).SerializeToString()
        headers: list[tuple[str, str | bytes]] = [*upstream.all_headers().items()]
        self._metadata = (*headers, (_METADATA_KEY, metadata))
        self._lock = threading.Lock()
        self._channel: grpc.Channel | None = None
        self._functions: tuple[int, ...] = ()
        self._asked_at = 0.0

    def serves(self, function: DigestFunction) -> bool:
        """Whether Capabilities names it."""
        if not self._functions or time.monotonic() - self._asked_at > _TERMS_SECONDS:
            request = reapi.GetCapabilitiesRequest(instance_name=self._instance)
            try:
                answer = self._ask(CapabilitiesStub(self._open()).GetCapabilities, request)
                self._functions = tuple(answer.cache_capabilities.digest_functions) or (SHA256.number,)
            except TierRefused:
                self._functions = (SHA256.number,)  # older caches do not say
            self._asked_at = time.monotonic()
        return function.number in self._functions

    def missing(self, function: DigestFunction, digests: Sequence[Digest]) -> list[Digest]:
        """What FindMissingBlobs says."""
        method = ContentAddressableStorageStub(self._open()).FindMissingBlobs
        found: set[Digest] = set()
        for start in range(0, len(digests), _QUESTIONS):
            asked = digests[start : start + _QUESTIONS]
            request = reapi.FindMissingBlobsRequest(
                **self._about(function, self._instance), blob_digests=map(to_message, asked)
            )
            answer = self._ask(method, request)
            found |= {Digest(digest.hash, digest.size_bytes) for digest in answer.missing_blob_digests}
        return [digest for digest in digests if digest in found]

    def find(self, function: DigestFunction, hash: str) -> Digest | None:
        """Nothing: no call finds a blob by its hash alone."""
        return None

    def read(self, function: DigestFunction, digest: Digest, sink: Callable[[bytes], object]) -> None:
        """One ByteStream.Read."""
        request = bytestream.ReadRequest(resource_name=self._resource("blobs", function, digest))
        seconds = patience(self._timeout, digest.size_bytes)
        try:
            answers = ByteStreamStub(self._open()).Read(request, timeout=seconds, metadata=self._metadata)
        except ValueError as error:
            raise self._failure(error, writing=False) from error
        try:
            for answer in answers:
                if answer.data:
                    sink(answer.data)
        except grpc.RpcError as error:
            if _code(error) == _Code.NOT_FOUND:
                raise BlobAbsent(digest) from None
            raise self._failure(error, writing=False) from error
        finally:
            answers.cancel()

    def write(self, function: DigestFunction, digest: Digest, chunks: Iterable[bytes]) -> None:
        """One ByteStream.Write."""
        requests = write_requests(
            self._resource(f"uploads/{uuid4()}/blobs", function, digest), chunks, digest.size_bytes
        )
        try:
            answer = self._ask(ByteStreamStub(self._open()).Write, requests, writing=True, size_bytes=digest.size_bytes)
        except _AlreadyThere:
            return
        if answer.committed_size != digest.size_bytes:
            raise TierFailed(self.name, f"it kept {answer.committed_size} bytes of a blob of {digest.size_bytes}")

    def get_result(self, function: DigestFunction, instance: str, digest: Digest) -> bytes | None:
        """One GetActionResult."""
        request = reapi.GetActionResultRequest(
            **self._about(function, self._of_result(instance)), action_digest=to_message(digest)
        )
        try:
            answer = self._ask(ActionCacheStub(self._open()).GetActionResult, request)
        except TierRefused:
            return None  # not found, or no such instance there
        return bytes(answer.SerializeToString())

    def put_result(self, function: DigestFunction, instance: str, digest: Digest, message: bytes) -> None:
        """One UpdateActionResult."""
        request = reapi.UpdateActionResultRequest(
            **self._about(function, self._of_result(instance)),
            action_digest=to_message(digest),
            action_result=reapi.ActionResult.FromString(message),
        )
        self._ask(ActionCacheStub(self._open()).UpdateActionResult, request, writing=True)

    def close(self) -> None:
        """Close the channel, and with it gRPC's threads and descriptors."""
        with self._lock:
            if self._channel is not None:
                self._channel.close()
                self._channel = None

    def _open(self) -> grpc.Channel:
        with self._lock:
            if self._channel is None:
                first, last = _RECONNECT
                options = (
                    ("grpc.max_receive_message_length", LARGEST_RESULT),
                    ("grpc.initial_reconnect_backoff_ms", first),
                    ("grpc.max_reconnect_backoff_ms", last),
                )
                if self._credentials is None:
                    self._channel = grpc.insecure_channel(self._target, options)
                else:
                    self._channel = grpc.secure_channel(self._target, self._credentials, options)
            return self._channel

    def _of_result(self, instance: str) -> str:
        return "/".join(part for part in (self._instance, instance) if part)

    @staticmethod
    def _about(function: DigestFunction, instance: str) -> dict[str, Any]:
        """The fields that say where and how; a function that servers of any age infer is not stated."""
        number = reapi.DigestFunction.UNKNOWN if function.inferable else function.number
        return {"instance_name": instance, "digest_function": number}

    def _resource(self, kind: str, function: DigestFunction, digest: Digest) -> str:
        named = "" if function.inferable else f"{function.name}/"
        instance = f"{self._instance}/" if self._instance else ""
        return f"{instance}{kind}/{named}{digest}"

    def _ask(self, method: Any, request: Any, *, writing: bool = False, size_bytes: int = 0) -> Any:
        try:
            return method(request, timeout=patience(self._timeout, size_bytes), metadata=self._metadata)
        except (grpc.RpcError, ValueError) as error:
            if writing and _code(error) == _Code.ALREADY_EXISTS:
                raise _AlreadyThere from None
            raise self._failure(error, writing) from error

    def _failure(self, error: Exception, writing: bool) -> TierFailed | TierRefused:
        code = _code(error)
        why = code.name if code else str(error)
        if code in _REFUSALS or (writing and code in _DENIALS):
            return TierRefused(self.name, why)
        return TierFailed(self.name, why)


class _AlreadyThere(Exception):
    """The tier has the blob, and says so in place of taking it."""


def _code(error: Exception) -> grpc.StatusCode | None:
    """The status of a call that failed; None when it was not even begun (a header that gRPC does not take)."""
    return error.code() if isinstance(error, grpc.Call) else None


def _credentials(upstream: Upstream) -> grpc.ChannelCredentials:
    """TLS as the user wants it; raise OSError when a file cannot be read."""
    return grpc.ssl_channel_credentials(content_of(upstream.ca), content_of(upstream.key), content_of(upstream.cert))
