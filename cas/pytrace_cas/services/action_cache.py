# SPDX-License-Identifier: Apache-2.0
"""The ActionCache service (WIRE 55-62), for gRPC and for Bazel's HTTP protocol.

Instances are separate: a result stored under one name is not seen under another. Blobs are shared by all.
A result is stored when everything it needs is here, and answered while everything still is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from pytrace_cas import store as storage
from pytrace_cas.digest import SHA256, Digest
from pytrace_cas.services import action_results, shared_generations
from pytrace_cas.services.digests import check_hash, digest_of, function_of
from pytrace_cas.services.errors import InvalidRequest, ResultNotFound, refuse_when_read_only
from pytrace_cas.services.limits import BATCH
from pytrace_cas.services.resource_names import check_instance_name
from pytrace_cas.services.result_needs import needs_of
from pytrace_proto import remote_execution_pb2 as reapi

if TYPE_CHECKING:
    from pytrace_cas.digest import DigestFunction
    from pytrace_cas.services.backing import Store

# HTTP names an action by its hash alone. Where its size cannot be found out either, the result is kept under
# this one, which no action has, and stands for any.
UNKNOWN_SIZE = (1 << 63) - 1
# An action larger than this is none; it is not read to see whether it wants to be cached.
LARGEST_ACTION = 1 << 20


class ActionCache:
    """Results over one store; safe to call from many threads. What `update` acknowledged is in the store."""

    def __init__(self, store: Store) -> None:
        self.waits = store.waits
        self._store = store

    def get(self, request: reapi.GetActionResultRequest) -> reapi.ActionResult:
        """Answer with a complete result; raise `ResultNotFound`."""
        instance = check_instance_name(request.instance_name)
        function = function_of(request.digest_function, request.action_digest.hash)
        digest = digest_of(request.action_digest, function, "action_digest")
        if shared_generations.is_entry(function, digest.hash):
            return self._invalidations(instance, digest)
        message = self._store.get_action_result(function, instance, digest)
        if message is None and function is SHA256 and digest.size_bytes:
            message = self._store.get_action_result(function, instance, Digest(digest.hash, UNKNOWN_SIZE))
        if message is None:
            raise ResultNotFound(digest)
        result = reapi.ActionResult.FromString(message)
        if request.inline_stdout or request.inline_stderr or request.inline_output_files:
            self._inline(result, request, function, len(message))
        return result

    def update(self, request: reapi.UpdateActionResultRequest) -> reapi.ActionResult:
        """Store a result and return it as it came; raise `MissingBlobs` when something it needs is not here."""
        instance = check_instance_name(request.instance_name)
        function = function_of(request.digest_function, request.action_digest.hash)
        digest = digest_of(request.action_digest, function, "action_digest")
        if not request.HasField("action_result"):
            raise InvalidRequest("action_result", "it is not set")
        refuse_when_read_only(self._store)
        result = request.action_result
        action_results.check_fields(result, function)
        if shared_generations.is_entry(function, digest.hash):
            shared_generations.unite(self._store, instance, function, result)
            return result
        self._refuse_uncacheable(function, digest)
        self._put(function, instance, digest, result, None)
        return result

    def _invalidations(self, instance: str, digest: Digest) -> reapi.ActionResult:
        found = shared_generations.read(self._store, instance)
        if found is None:
            raise ResultNotFound(digest)
        return found

    def get_by_hash(self, instance: str, hash: str) -> bytes:
        """Answer an HTTP GET: a complete result, else an opaque body; raise `ResultNotFound`."""
        body = self._result_by_hash(instance, hash)
        return self._opaque(instance, hash) if body is None else body

    def get_json_by_hash(self, instance: str, hash: str) -> bytes:
        """Answer an HTTP GET that asks for JSON: a complete result in that form, else an opaque body as it came."""
        body = self._result_by_hash(instance, hash)
        return self._opaque(instance, hash) if body is None else action_results.to_json(body)

    def _result_by_hash(self, instance: str, hash: str) -> bytes | None:
        check_instance_name(instance)
        check_hash(hash, SHA256)
        if shared_generations.is_entry(SHA256, hash):
            return self._invalidations(instance, Digest(hash, UNKNOWN_SIZE)).SerializeToString()
        return self._store.get_action_result_by_hash(SHA256, instance, hash)

    def _opaque(self, instance: str, hash: str) -> bytes:
        body = self._store.get_opaque(instance, hash)
        if body is None:
            raise ResultNotFound(Digest(hash, UNKNOWN_SIZE))
        return body

    def put_by_hash(self, instance: str, hash: str, body: bytes, *, strict: bool = False, json: bool = False) -> None:
        """Store an HTTP PUT: a result if the body is one, else the body as it came (refused when `strict`).

        With `json`, the body is a result in JSON, and kept as the message that it says.
        """
        check_instance_name(instance)
        check_hash(hash, SHA256)
        refuse_when_read_only(self._store)
        strict = strict or shared_generations.is_entry(SHA256, hash)
        try:
            result = action_results.from_json(body) if json else reapi.ActionResult.FromString(body)
            action_results.check_fields(result, SHA256)
        except (DecodeError, InvalidRequest) as error:
            if strict:
                raise InvalidRequest("body", f"it is no ActionResult: {error}") from None
            self._put_opaque(instance, hash, body)
        else:
            if shared_generations.is_entry(SHA256, hash):
                shared_generations.unite(self._store, instance, SHA256, result)
                return
            self._put(SHA256, instance, self._action(hash), result, None if json else body)

    def _action(self, hash: str) -> Digest:
        """Digest of the action that HTTP names by its hash."""
        return self._store.find(SHA256, hash) or Digest(hash, UNKNOWN_SIZE)

    def _put_opaque(self, instance: str, hash: str, body: bytes) -> None:
        self._store.put_opaque(instance, hash, body)
        # The last write wins: a result under the same hash would be answered before this body.
        self._store.remove_action_result(SHA256, instance, self._action(hash))

    def _put(
        self,
        function: DigestFunction,
        instance: str,
        digest: Digest,
        result: reapi.ActionResult,
        body: bytes | None,
    ) -> None:
        """Store a result; `body` is its wire form where the client's own bytes are at hand."""
        bare, blobs = action_results.take_inlined(result, function)
        if blobs:
            self._store.put_many(function, blobs)
        message = body if body is not None and bare is result else bare.SerializeToString()
        with needs_of(self._store, bare, function) as needs:
            self._store.put_action_result(function, instance, digest, message, needs)

    def _refuse_uncacheable(self, function: DigestFunction, digest: Digest) -> None:
        """Raise `InvalidRequest` when the action is here, is an `Action`, and does not want to be cached."""
        if digest.size_bytes > LARGEST_ACTION:
            return
        try:
            action = reapi.Action.FromString(self._store.get(function, digest))
        except (storage.BlobNotFound, DecodeError):
            # Nothing obliges a client to upload it, and moon's are JSON.
            return
        if action.do_not_cache:
            raise InvalidRequest("action_digest", f"action {digest} says do_not_cache")

    def _inline(
        self,
        result: reapi.ActionResult,
        request: reapi.GetActionResultRequest,
        function: DigestFunction,
        size: int,
    ) -> None:
        """Put in what the client would like to have at once, as long as the message stays small enough."""
        room = BATCH - size
        if request.inline_stdout and result.HasField("stdout_digest"):
            result.stdout_raw = self._small(function, result.stdout_digest, room)
            room -= len(result.stdout_raw)
        if request.inline_stderr and result.HasField("stderr_digest"):
            result.stderr_raw = self._small(function, result.stderr_digest, room)
            room -= len(result.stderr_raw)
        wanted = set(request.inline_output_files)
        for file in result.output_files:
            if file.path in wanted:
                file.contents = self._small(function, file.digest, room)
                room -= len(file.contents)

    def _small(self, function: DigestFunction, message: reapi.Digest, room: int) -> bytes:
        """Read a blob that fits into `room`; nothing when it does not, or has gone meanwhile."""
        if message.size_bytes > room:
            return b""
        try:
            return self._store.get(function, digest_of(message, function))
        except storage.BlobNotFound:
            return b""
