# SPDX-License-Identifier: Apache-2.0
"""The cache under test as rules see it: what it announces, blobs that nobody has, and the usual calls."""

from __future__ import annotations

import os
import queue
import uuid
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import attrs
import grpc

from pytrace_cas.conform.registry import Broken, NotOffered
from pytrace_cas.conform.wire import CallFailed, Code
from pytrace_cas.digest import FUNCTIONS, SHA256
from pytrace_proto import bytestream_pb2 as bytestream
from pytrace_proto import remote_execution_pb2 as reapi

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from google.protobuf.message import Message

    from pytrace_cas.conform.web import Web
    from pytrace_cas.conform.wire import Wire
    from pytrace_cas.digest import DigestFunction

DENIED = (Code.PERMISSION_DENIED, Code.UNAUTHENTICATED)
PIECE = 256 << 10
MOST_AT_ONCE = 500
"""Blobs in one batch, so that a slow disk can answer in time."""
LARGE = 5 << 20
"""Bytes of the one large blob: more than a message may have."""
ZSTD = reapi.Compressor.ZSTD


@attrs.frozen
class Blob:
    """Bytes and their digest."""

    data: bytes = attrs.field(repr=False)
    digest: reapi.Digest
    function: DigestFunction

    @classmethod
    def of(cls, data: bytes, function: DigestFunction = SHA256) -> Blob:
        """Make it of bytes at hand."""
        digest = function.of(data)
        return cls(data, reapi.Digest(hash=digest.hash, size_bytes=digest.size_bytes), function)

    @property
    def segments(self) -> str:
        """Hash and size as resource names have them, with the function where it must be said."""
        named = "" if self.function.inferable else f"{self.function.name}/"
        return f"{named}{self.digest.hash}/{self.digest.size_bytes}"


class Cache:
    """What rules are judged against.

    `wire` is None for a cache that is reached over HTTP alone, `web` where no HTTP address is known. `reader` has
    the credentials of somebody who may only read, `overfill` the bytes that rules may upload to make the cache evict.
    """

    def __init__(
        self,
        wire: Wire | None,
        web: Web | None = None,
        instance: str = "",
        *,
        reader: Wire | None = None,
        overfill: int = 0,
    ) -> None:
        self._wire = wire
        self._web = web
        self.instance = instance
        self.reader = reader
        self.overfill = overfill

    @property
    def wire(self) -> Wire:
        """The gRPC side; raise `NotOffered` where there is none."""
        if self._wire is None:
            raise NotOffered("no gRPC endpoint was given")
        return self._wire

    @property
    def web(self) -> Web:
        """The HTTP side; raise `NotOffered` where there is none."""
        if self._web is None:
            raise NotOffered("no HTTP address was given (--http URL)")
        return self._web

    @cached_property
    def capabilities(self) -> reapi.ServerCapabilities:
        """What the cache says of itself."""
        request = reapi.GetCapabilitiesRequest(instance_name=self.instance)
        answer: reapi.ServerCapabilities = self.wire.call("GetCapabilities", request)
        return answer

    @property
    def offered(self) -> reapi.CacheCapabilities:
        """What it says of its blobs and results."""
        return self.capabilities.cache_capabilities

    @cached_property
    def functions(self) -> list[DigestFunction]:
        """The announced functions that this tool has; SHA-256 where none is announced."""
        numbers = set(self.offered.digest_functions)
        return [function for function in FUNCTIONS.values() if function.number in numbers] or [SHA256]

    @property
    def function(self) -> DigestFunction:
        """The one that rules use: SHA-256 where it is announced."""
        return SHA256 if SHA256 in self.functions else self.functions[0]

    @property
    def batch_limit(self) -> int:
        """The stated limit of a batch; 0 where none is."""
        return self.offered.max_batch_total_size_bytes

    def need_zstd(self) -> None:
        """Raise `NotOffered` unless zstd is announced."""
        if ZSTD not in self.offered.supported_compressors:
            raise NotOffered("zstd is not among supported_compressors")

    # Blobs

    def fresh(self, size: int = 100, function: DigestFunction | None = None) -> Blob:
        """A blob that no cache has."""
        return Blob.of(os.urandom(size), function or self.function)

    def blob(self, data: bytes | Message) -> Blob:
        """Bytes or a message as a blob."""
        return Blob.of(data if isinstance(data, bytes) else data.SerializeToString(), self.function)

    def stored(self, size: int = 100) -> Blob:
        """A new blob that the cache has taken."""
        return self.put(self.fresh(size))

    def put(self, blob: Blob) -> Blob:
        """Upload a blob, and return it."""
        self.put_all([blob])
        return blob

    def put_all(self, blobs: Iterable[Blob]) -> None:
        """Upload blobs: small ones in batches where there are batches."""
        batch: list[Blob] = []
        room = most = min(self.batch_limit or 1 << 20, 1 << 20)
        for blob in blobs:
            if len(blob.data) > most:
                self.upload(blob)
                continue
            if len(blob.data) + 100 > room or len(batch) >= MOST_AT_ONCE:
                self._put_batch(batch)
                batch, room = [], most
            batch.append(blob)
            room -= len(blob.data) + 100
        self._put_batch(batch)

    def _put_batch(self, blobs: list[Blob]) -> None:
        if not blobs:
            return
        try:
            answer = self.batch_update(*blobs)
        except CallFailed as error:
            if error.code is not Code.UNIMPLEMENTED:
                raise self._judged(error) from None
            for blob in blobs:
                self.upload(blob)
            return
        for one in answer.responses:
            if one.status.code:
                raise Broken(f"BatchUpdateBlobs: {code_name(one.status.code)} for a sound blob", "OK")

    def upload(self, blob: Blob) -> bytestream.WriteResponse:
        """Upload a blob by ByteStream."""
        try:
            return self.wire.write(self.pieces(blob))
        except CallFailed as error:
            raise self._judged(error) from None

    def _judged(self, error: CallFailed) -> Exception:
        """The error of an upload: no reproach where the cache says that this caller may not write."""
        if error.code in DENIED and not self.offered.action_cache_update_capabilities.update_enabled:
            return NotOffered(f"uploads are refused: {error}")
        return error

    @cached_property
    def _large(self) -> Blob:
        return self.fresh(LARGE)

    @property
    def large(self) -> Blob:
        """A blob larger than a message may be, uploaded once, and again after an eviction."""
        if not self.has(self._large):
            self.upload(self._large)
        return self._large

    @contextmanager
    def begun(self, blob: Blob, data: bytes, seconds: float) -> Iterator[bytestream.WriteResponse | None]:
        """Begin a write and hold it open; yield the answer that came within some seconds, if one did.

        Raises `CallFailed` for an error that came so soon.
        """
        requests: queue.Queue[bytestream.WriteRequest | None] = queue.Queue()
        requests.put(bytestream.WriteRequest(resource_name=self.upload_name(blob), data=data))
        call = self.wire.begin_write(iter(requests.get, None))
        try:
            try:
                answer = call.result(seconds)
            except grpc.FutureTimeoutError:
                answer = None
            except grpc.RpcError as error:
                raise self.wire.failure("Write", error) from None
            yield answer
        finally:
            call.cancel()
            requests.put(None)

    # Names

    def named(self, rest: str, instance: str | None = None) -> str:
        """A resource name below the instance."""
        instance = self.instance if instance is None else instance
        return f"{instance}/{rest}" if instance else rest

    def read_name(self, blob: Blob, instance: str | None = None) -> str:
        """Name a blob for reading."""
        return self.named(f"blobs/{blob.segments}", instance)

    def upload_name(self, blob: Blob) -> str:
        """Name a new upload of a blob."""
        return self.named(f"uploads/{uuid.uuid4()}/blobs/{blob.segments}")

    def pieces(
        self, blob: Blob, name: str = "", *, offset: int = 0, end: int | None = None, piece: int = PIECE
    ) -> Iterator[bytestream.WriteRequest]:
        """The messages of a write, from an offset up to an end; one that comes to the blob's end finishes."""
        name, size = name or self.upload_name(blob), len(blob.data)
        end = size if end is None else end
        for start in range(offset, end, piece) or (offset,):
            data = blob.data[start : min(start + piece, end)]
            last = start + len(data) >= size
            yield bytestream.WriteRequest(resource_name=name, write_offset=start, data=data, finish_write=last)
            name = ""

    # Calls

    def about(self, function: DigestFunction | None = None, instance: str | None = None) -> dict[str, Any]:
        """The fields that say where and how; functions that can be inferred are left out."""
        function = function or self.function
        number = 0 if function.inferable else function.number
        return {"instance_name": self.instance if instance is None else instance, "digest_function": number}

    def missing(self, *digests: reapi.Digest, function: DigestFunction | None = None) -> list[reapi.Digest]:
        """Ask FindMissingBlobs."""
        request = reapi.FindMissingBlobsRequest(**self.about(function), blob_digests=digests)
        return list(self.wire.call("FindMissingBlobs", request).missing_blob_digests)

    def has(self, blob: Blob) -> bool:
        """Whether the cache says that it has a blob."""
        return not self.missing(blob.digest, function=blob.function)

    def batch_update(self, *blobs: Blob) -> reapi.BatchUpdateBlobsResponse:
        """Upload blobs of one function in one batch."""
        requests = [reapi.BatchUpdateBlobsRequest.Request(digest=blob.digest, data=blob.data) for blob in blobs]
        return self.batch_send(requests, blobs[0].function if blobs else self.function)

    def batch_send(
        self, requests: Iterable[reapi.BatchUpdateBlobsRequest.Request], function: DigestFunction | None = None
    ) -> reapi.BatchUpdateBlobsResponse:
        """Send the entries of a batch as they are."""
        request = reapi.BatchUpdateBlobsRequest(**self.about(function), requests=requests)
        answer: reapi.BatchUpdateBlobsResponse = self.wire.call("BatchUpdateBlobs", request)
        return answer

    def batch_read(
        self, *digests: reapi.Digest, compressors: Iterable[int] = (), function: DigestFunction | None = None
    ) -> list[reapi.BatchReadBlobsResponse.Response]:
        """Read blobs in one batch."""
        accepted: Any = list(compressors)
        request = reapi.BatchReadBlobsRequest(**self.about(function), digests=digests, acceptable_compressors=accepted)
        return list(self.wire.call("BatchReadBlobs", request).responses)

    def read(self, name: str, offset: int = 0, limit: int = 0) -> bytes:
        """Read by ByteStream."""
        request = bytestream.ReadRequest(resource_name=name, read_offset=offset, read_limit=limit)
        return b"".join(message.data for message in self.wire.stream("Read", request))

    def update_request(self, action: Blob, result: reapi.ActionResult) -> reapi.UpdateActionResultRequest:
        """The request that stores a result."""
        return reapi.UpdateActionResultRequest(**self.about(), action_digest=action.digest, action_result=result)

    def update(self, action: Blob, result: reapi.ActionResult) -> reapi.ActionResult:
        """Store a result."""
        try:
            answer: reapi.ActionResult = self.wire.call("UpdateActionResult", self.update_request(action, result))
        except CallFailed as error:
            if error.code is Code.UNIMPLEMENTED:
                raise NotOffered("UpdateActionResult is not implemented") from None
            raise self._judged(error) from None
        return answer

    def result(self, action: Blob, **asked: Any) -> reapi.ActionResult:
        """Ask for a result."""
        request = reapi.GetActionResultRequest(**self.about(), action_digest=action.digest, **asked)
        answer: reapi.ActionResult = self.wire.call("GetActionResult", request)
        return answer

    def action(self) -> Blob:
        """A new action, stored with its command and its empty input root."""
        command = self.blob(reapi.Command(arguments=["true", uuid.uuid4().hex]))
        root = self.blob(reapi.Directory())
        action = self.blob(reapi.Action(command_digest=command.digest, input_root_digest=root.digest))
        self.put_all([command, action])
        return action

    def refused(self, codes: tuple[Code, ...], what: str, name: str, request: Any) -> str:
        """Make a call that must fail with one of the codes; return which, or raise `Broken`.

        `name` is a method; a list of messages is what a Write is made of.
        """
        wanted = " or ".join(code.name for code in codes)
        try:
            if name == "Write":
                answer: Any = self.wire.write(request)
            elif name in ("Read", "GetTree"):
                answer = self.wire.stream(name, request)
            else:
                answer = self.wire.call(name, request)
        except CallFailed as error:
            if error.code not in codes:
                raise Broken(f"{what}: {error}", wanted) from None
            return error.code.name
        raise Broken(f"{what}: {name} answered {shown(answer)}", wanted)


def shown(answer: Any) -> str:
    """An answer in a few words."""
    if isinstance(answer, list):
        return f"{len(answer)} messages"
    text = " ".join(str(answer).split())
    return f"OK ({text[:80]}{'...' if len(text) > 80 else ''})" if text else "OK"


def code_name(number: int) -> str:
    """Name of a code that an entry of an answer has."""
    return next((code.name for code in Code if code.value[0] == number), str(number))
