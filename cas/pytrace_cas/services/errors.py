# SPDX-License-Identifier: Apache-2.0
"""What a service raises in place of an answer, and what that is called in gRPC and in HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.rpc import code_pb2, error_details_pb2, status_pb2

from pytrace_cas import store as storage
from pytrace_cas.compression import CorruptStream

if TYPE_CHECKING:
    from pytrace_cas.digest import Digest
    from pytrace_cas.services.backing import Store


class Refusal(Exception):
    """A request that gets an error for an answer; the store's errors are others."""


class InvalidRequest(Refusal):
    """A request breaks the protocol; `field` names the part, `why` says what is wrong with it."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}")
        self.field = field
        self.why = why


class BlobTooLarge(InvalidRequest):
    """A blob is larger than this server takes; `limit` in bytes."""

    def __init__(self, digest: Digest, limit: int) -> None:
        super().__init__("digest", f"{digest} is larger than this server takes ({limit} bytes)")
        self.digest = digest
        self.limit = limit


class ResultNotFound(Refusal):
    """No result, or none whose blobs are all here; `digest` names the action."""

    def __init__(self, digest: Digest) -> None:
        super().__init__(f"no complete result of action {digest} here")
        self.digest = digest


class ResultTooLarge(InvalidRequest):
    """A body is larger than any result; `limit` in bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__("body", f"a result has at most {limit} bytes")
        self.limit = limit


class LedgerFull(Refusal):
    """An instance holds as many invalidations as there may be; `limit` is their number."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"this instance holds {limit} invalidations, which is all that it takes")
        self.limit = limit


class HashNotFound(Refusal):
    """No blob with that hash is here."""

    def __init__(self, hash: str) -> None:
        super().__init__(f"no blob with hash {hash} here")
        self.hash = hash


class FileNotHere(Refusal):
    """No file of that name is here."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no file {name!r} here")
        self.name = name


class BlobCutShort(Refusal):
    """A blob's file ends before the blob does; read it again to learn whether it can be had."""

    def __init__(self, digest: Digest) -> None:
        super().__init__(f"the bytes of blob {digest} end too early")
        self.digest = digest


class OffsetOutOfRange(Refusal):
    """A read begins before the blob or behind its end."""

    def __init__(self, offset: int, size: int) -> None:
        super().__init__(f"read_offset: {offset} is not within the blob's {size} bytes")
        self.offset = offset
        self.size = size


class Unauthenticated(Refusal):
    """A caller does not say who they are, or cannot prove it; `challenges` are values of WWW-Authenticate."""

    def __init__(self, why: str, challenges: tuple[str, ...]) -> None:
        super().__init__(why)
        self.challenges = challenges


class NotPermitted(Refusal):
    """The caller is known, and may not do that; `right` is what they lack in `instance`."""

    def __init__(self, identity: str, right: str, instance: str) -> None:
        super().__init__(f"{identity!r} may not do that in instance {instance!r} (right: {right})")
        self.identity = identity
        self.right = right
        self.instance = instance


# Error, gRPC code, HTTP status. The first row whose class fits counts, so subclasses stand before their bases.
OUTCOMES: tuple[tuple[type[Exception], int, int], ...] = (
    (BlobTooLarge, code_pb2.INVALID_ARGUMENT, 413),
    (ResultTooLarge, code_pb2.INVALID_ARGUMENT, 413),
    (InvalidRequest, code_pb2.INVALID_ARGUMENT, 400),
    (storage.DigestMismatch, code_pb2.INVALID_ARGUMENT, 400),
    (CorruptStream, code_pb2.INVALID_ARGUMENT, 400),
    (BlobCutShort, code_pb2.DATA_LOSS, 500),
    (storage.BlobCorrupt, code_pb2.DATA_LOSS, 500),
    (storage.BlobNotFound, code_pb2.NOT_FOUND, 404),
    (HashNotFound, code_pb2.NOT_FOUND, 404),
    (ResultNotFound, code_pb2.NOT_FOUND, 404),
    (FileNotHere, code_pb2.NOT_FOUND, 404),
    (OffsetOutOfRange, code_pb2.OUT_OF_RANGE, 416),
    (Unauthenticated, code_pb2.UNAUTHENTICATED, 401),
    (NotPermitted, code_pb2.PERMISSION_DENIED, 403),
    (storage.UploadTakenOver, code_pb2.ABORTED, 409),
    (storage.MissingBlobs, code_pb2.FAILED_PRECONDITION, 409),
    (storage.ReadOnlyStore, code_pb2.PERMISSION_DENIED, 403),
    (storage.OutOfSpace, code_pb2.RESOURCE_EXHAUSTED, 507),
    (LedgerFull, code_pb2.RESOURCE_EXHAUSTED, 507),
    (storage.StoreBusy, code_pb2.UNAVAILABLE, 503),
    (storage.StoreError, code_pb2.INTERNAL, 500),
)
EXPECTED = (Refusal, CorruptStream, storage.StoreError)
# Details travel in a header, of which clients take 8 KiB.
MOST_VIOLATIONS = 30


def refuse_when_read_only(store: Store) -> None:
    """Raise `ReadOnlyStore` before anything of an upload is taken."""
    if store.read_only:
        raise storage.ReadOnlyStore(store.path)


def grpc_code(error: Exception) -> int:
    """Number of the gRPC code (google.rpc.Code) that says the same."""
    return next((code for kind, code, _ in OUTCOMES if isinstance(error, kind)), code_pb2.INTERNAL)


def http_status(error: Exception) -> int:
    """HTTP status that says the same."""
    return next((status for kind, _, status in OUTCOMES if isinstance(error, kind)), 500)


def violations(error: Exception) -> status_pb2.Status | None:
    """Name the blobs that a result lacks as the protocol's details do (WIRE 67); None for other errors."""
    if not isinstance(error, storage.MissingBlobs):
        return None
    failure = error_details_pb2.PreconditionFailure()
    named = "" if error.function.inferable else f"{error.function.name}/"
    for digest in error.missing[:MOST_VIOLATIONS]:
        failure.violations.add(type="MISSING", subject=f"blobs/{named}{digest}")
    status = to_status(error)
    status.details.add().Pack(failure)
    return status


def to_status(error: Exception | None) -> status_pb2.Status:
    """Return the error, or OK when there is none, as one entry of a batch's answer carries it."""
    if error is None:
        return status_pb2.Status()
    return status_pb2.Status(code=grpc_code(error), message=str(error))
