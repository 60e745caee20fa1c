# SPDX-License-Identifier: Apache-2.0
"""What holds for every call: forms that are not judged, metadata, details and codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.rpc import error_details_pb2, status_pb2

from pytrace_cas.conform.cache import DENIED
from pytrace_cas.conform.registry import Broken, NotOffered, expect, rule
from pytrace_cas.conform.wire import CallFailed, Code
from pytrace_proto import remote_execution_pb2 as reapi

if TYPE_CHECKING:
    from pytrace_cas.conform.cache import Cache

METADATA = "build.bazel.remote.execution.v2.requestmetadata-bin"
DETAILS = "grpc-status-details-bin"


@rule("64")
def forms(cache: Cache) -> str:
    """Store directories and commands that are not canonical, as blobs."""
    node = reapi.FileNode(name="b/c", digest=cache.fresh().digest)
    unsorted = reapi.Directory(files=[node, reapi.FileNode(name="a", digest=node.digest), node])
    command = reapi.Command(output_paths=["b", "/a"])
    command.environment_variables.add(name="B")
    command.environment_variables.add(name="A", value=cache.fresh().digest.hash)
    for message in (unsorted, command):
        blob = cache.put(cache.blob(message))
        expect(cache.has(blob), "missing after its upload", "blobs are bytes")
    return "a directory and a command that are not canonical are taken"


@rule("66")
def request_metadata(cache: Cache) -> str:
    """Send metadata, sound and malformed."""
    sound = reapi.RequestMetadata(
        tool_details=reapi.ToolDetails(tool_name="conform", tool_version="1"),
        action_id="a", tool_invocation_id="i", correlated_invocations_id="c",
        action_mnemonic="m", target_id="//:t", configuration_id="k",
    ).SerializeToString()  # fmt: skip
    request = reapi.FindMissingBlobsRequest(**cache.about(), blob_digests=[cache.fresh().digest])
    for what, data in {"sound": sound, "malformed": b"\xff\xff\xff", "empty": b""}.items():
        try:
            cache.wire.call("FindMissingBlobs", request, ((METADATA, data),))
        except CallFailed as error:
            raise Broken(f"{what} metadata: {error}", "OK") from None
    return "sound, malformed and empty metadata are taken"


@rule("67")
def violations(cache: Cache) -> str:
    """Store a result that lacks a blob, and read the details of the refusal."""
    gone, action = cache.fresh(), cache.action()
    result = reapi.ActionResult(output_files=[reapi.OutputFile(path="x", digest=gone.digest)])
    try:
        cache.update(action, result)
    except CallFailed as error:
        if error.code is not Code.FAILED_PRECONDITION or DETAILS not in error.trailers:
            raise NotOffered(f"an update that lacks a blob is {error.code.name} without details") from None
        return _read_details(error.trailers[DETAILS], f"blobs/{gone.segments}")
    raise NotOffered("an update that lacks a blob is taken, and Execute is not asked")


def _read_details(data: bytes, subject: str) -> str:
    status = status_pb2.Status.FromString(data)
    expect(status.code == Code.FAILED_PRECONDITION.value[0], f"code {status.code} in the details", "the call's")
    failure = error_details_pb2.PreconditionFailure()
    found = [failure for detail in status.details if detail.Unpack(failure)]
    expect(bool(found), "details without a PreconditionFailure", "one")
    told = [(violation.type, violation.subject) for violation in failure.violations]
    expect(told == [("MISSING", subject)], f"violations {told}", f"MISSING {subject}")
    return "a PreconditionFailure names the missing blob"


@rule("68")
def codes(cache: Cache) -> str:
    """Send what is no message, call what nobody has, and look for UNKNOWN among all that came."""
    try:
        answer = cache.wire.call("FindMissingBlobs", b"\xff\xff\xff\xff")
    except CallFailed as error:
        garbage = error.code
        expect(garbage is not Code.UNKNOWN, f"bytes that are no message: {error}", "a code of its own")
    else:
        raise Broken(f"bytes that are no message: OK ({answer})", "an error")
    try:
        cache.wire.call_by_path("/no.such.Service/Method", b"")
    except CallFailed as error:
        expect(error.code is Code.UNIMPLEMENTED, str(error), "UNIMPLEMENTED")
    else:
        raise Broken("a service that does not exist answered", "UNIMPLEMENTED")
    unknown = sorted({method for method, code in cache.wire.seen if code is Code.UNKNOWN})
    expect(not unknown, f"UNKNOWN from {', '.join(unknown)} in this run", "codes of their own")
    return f"no message: {garbage.name}; no such service: UNIMPLEMENTED; no UNKNOWN in this run{_denied(cache)}"


def _denied(cache: Cache) -> str:
    if cache.reader is None:
        return ""
    request = cache.update_request(cache.action(), reapi.ActionResult())
    try:
        cache.reader.call("UpdateActionResult", request)
    except CallFailed as error:
        expect(error.code in DENIED, str(error), "PERMISSION_DENIED or UNAUTHENTICATED")
        return f"; who may only read: {error.code.name}"
    raise Broken("an update of somebody who may only read is OK", "PERMISSION_DENIED")
