# SPDX-License-Identifier: Apache-2.0
"""REAPI messages that tests ask servers and services with."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from pytrace_cas.digest import BLAKE3, SHA256
from pytrace_proto import bytestream_pb2 as bytestream
from pytrace_proto import remote_execution_pb2 as reapi

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytrace_cas.digest import DigestFunction

EMPTY = SHA256.empty_digest()


def digest(data: bytes, function: DigestFunction = SHA256) -> reapi.Digest:
    """Digest message of bytes."""
    value = function.of(data)
    return reapi.Digest(hash=value.hash, size_bytes=value.size_bytes)


def missing_request(*blobs: bytes, function: DigestFunction = SHA256) -> reapi.FindMissingBlobsRequest:
    """Ask for blobs; BLAKE3 is named, SHA-256 is left to be inferred."""
    number = reapi.DigestFunction.BLAKE3 if function is BLAKE3 else reapi.DigestFunction.UNKNOWN
    digests = [digest(blob, function) for blob in blobs]
    return reapi.FindMissingBlobsRequest(blob_digests=digests, digest_function=number)


def update_request(*blobs: bytes) -> reapi.BatchUpdateBlobsRequest:
    """Store blobs."""
    Request = reapi.BatchUpdateBlobsRequest.Request
    return reapi.BatchUpdateBlobsRequest(requests=[Request(digest=digest(blob), data=blob) for blob in blobs])


def read_request(*blobs: bytes) -> reapi.BatchReadBlobsRequest:
    """Read blobs."""
    return reapi.BatchReadBlobsRequest(digests=[digest(blob) for blob in blobs])


def result_of(files: dict[str, bytes], **fields: object) -> reapi.ActionResult:
    """Name output files by path and content."""
    return reapi.ActionResult(
        output_files=[reapi.OutputFile(path=path, digest=digest(data)) for path, data in files.items()],
        **fields,  # type: ignore[arg-type]
    )


def put_result_request(
    action: bytes, result: reapi.ActionResult, instance_name: str = ""
) -> reapi.UpdateActionResultRequest:
    """Store a result under the digest of `action`."""
    return reapi.UpdateActionResultRequest(
        instance_name=instance_name, action_digest=digest(action), action_result=result
    )


def get_result_request(action: bytes, instance_name: str = "") -> reapi.GetActionResultRequest:
    """Ask for the result of `action`."""
    return reapi.GetActionResultRequest(instance_name=instance_name, action_digest=digest(action))


def upload_name(data: bytes, prefix: str = "", suffix: str = "", blobs: str = "blobs") -> str:
    """Name a new upload of bytes."""
    return f"{prefix}uploads/{uuid.uuid4()}/{blobs}/{SHA256.of(data)}{suffix}"


def read_name(data: bytes, blobs: str = "blobs") -> str:
    """Name bytes for reading."""
    return f"{blobs}/{SHA256.of(data)}"


def write_requests(
    data: bytes, name: str, *, piece: int = 1 << 20, offset: int = 0, finish: bool = True
) -> Iterator[bytestream.WriteRequest]:
    """Send bytes from `offset` on in messages of `piece` bytes; the name only in the first."""
    starts: Iterable[int] = range(offset, len(data), piece) or (offset,)
    for start in starts:
        yield bytestream.WriteRequest(
            resource_name=name if start == offset else "",
            write_offset=start,
            data=data[start : start + piece],
            finish_write=finish and start + piece >= len(data),
        )
