# SPDX-License-Identifier: Apache-2.0
"""What only a real gRPC server shows: codes, streams, cancelling, message sizes, concurrency, health."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from pytrace_cas.digest import BLAKE3, SHA256
from pytrace_proto import bytestream_pb2 as bytestream
from pytrace_proto import bytestream_pb2_grpc, remote_execution_pb2_grpc
from pytrace_proto import remote_execution_pb2 as reapi
from tests.support import messages
from tests.support.server import running_server
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pytrace_cas.digest import DigestFunction
    from tests.support.server import RunningServer

Code = grpc.StatusCode
LARGE = os.urandom(1 << 20) * 6


class Stubs:
    """All clients over one channel."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.capabilities = remote_execution_pb2_grpc.CapabilitiesStub(channel)
        self.ac = remote_execution_pb2_grpc.ActionCacheStub(channel)
        self.cas = remote_execution_pb2_grpc.ContentAddressableStorageStub(channel)
        self.stream = bytestream_pb2_grpc.ByteStreamStub(channel)
        self.execution = remote_execution_pb2_grpc.ExecutionStub(channel)
        self.health = health_pb2_grpc.HealthStub(channel)

    def missing(self, data: bytes) -> bool:
        """Ask whether one blob is missing."""
        return bool(self.cas.FindMissingBlobs(messages.missing_request(data)).missing_blob_digests)

    def write(self, data: bytes, piece: int = 1 << 20) -> int:
        """Upload bytes; return the committed size."""
        requests = messages.write_requests(data, messages.upload_name(data), piece=piece)
        return self.stream.Write(requests).committed_size

    def read(self, data: bytes) -> bytes:
        """Read bytes back."""
        return self.read_named(messages.read_name(data))

    def read_named(self, name: str) -> bytes:
        """Read what a resource name says."""
        responses = self.stream.Read(bytestream.ReadRequest(resource_name=name))
        return b"".join(response.data for response in responses)


@pytest.fixture
def stubs(channel: grpc.Channel) -> Stubs:
    return Stubs(channel)


def code_of(call: Callable[[], object]) -> grpc.StatusCode:
    """Make a call that fails; return how."""
    with pytest.raises(grpc.RpcError) as raised:
        call()
    code: grpc.StatusCode = raised.value.code()
    return code


def test_rules_16_and_17_capabilities(stubs: Stubs) -> None:
    answer = stubs.capabilities.GetCapabilities(reapi.GetCapabilitiesRequest())
    assert answer.high_api_version.minor == 12


def test_a_result_and_its_blobs_go_round(stubs: Stubs) -> None:
    stubs.cas.BatchUpdateBlobs(messages.update_request(b"output"))
    result = messages.result_of({"out": b"output"})
    assert stubs.ac.UpdateActionResult(messages.put_result_request(b"action", result)) == result
    assert stubs.ac.GetActionResult(messages.get_result_request(b"action")) == result
    read = stubs.cas.BatchReadBlobs(messages.read_request(b"output"))
    assert read.responses[0].data == b"output"


def test_rule_24_a_hundred_thousand_digests(stubs: Stubs, server: RunningServer) -> None:
    digests = [reapi.Digest(hash=f"{number:064x}", size_bytes=1 + number) for number in range(100_000)]
    options = (("grpc.max_receive_message_length", -1),)
    with grpc.insecure_channel(server.grpc, options) as channel:
        response = Stubs(channel).cas.FindMissingBlobs(reapi.FindMissingBlobsRequest(blob_digests=digests))
    assert len(response.missing_blob_digests) == len(digests)


@pytest.mark.parametrize("piece", [16 << 10, 2 << 20, 5 << 20])
def test_rule_45_large_blobs_in_and_out(stubs: Stubs, piece: int) -> None:
    data = b"%d" % piece + LARGE
    assert stubs.write(data, piece=piece) == len(data)
    assert stubs.read(data) == data


def test_rule_32_many_tiny_messages(stubs: Stubs) -> None:
    data = b"tiny messages" * 50
    assert stubs.write(data, piece=5) == len(data)
    assert stubs.read(data) == data


def test_rule_37_an_early_answer_ends_the_stream(stubs: Stubs) -> None:
    data = b"early" + LARGE
    stubs.write(data)
    sent = []

    def requests() -> Iterator[bytestream.WriteRequest]:
        for request in messages.write_requests(data, messages.upload_name(data), piece=1000):
            sent.append(request)
            yield request

    assert stubs.stream.Write(requests()).committed_size == len(data)
    assert len(sent) < len(data) // 1000


def test_rule_38_concurrent_uploads_of_one_blob(server: RunningServer) -> None:
    data = b"together" + LARGE

    def bring(number: int) -> int:
        with grpc.insecure_channel(server.grpc) as channel:
            return Stubs(channel).write(data, piece=100_000 + number)

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(bring, range(6))) == {len(data)}


def test_rule_35_a_cancelled_upload_goes_on_later(stubs: Stubs) -> None:
    data = b"interrupted" + LARGE
    name = messages.upload_name(data)
    taken = threading.Event()

    def stall() -> Iterator[bytestream.WriteRequest]:
        yield bytestream.WriteRequest(resource_name=name, data=data[: 1 << 20])
        taken.wait(30)

    call = stubs.stream.Write.future(stall())
    status = bytestream.QueryWriteStatusRequest(resource_name=name)
    until(lambda: stubs.stream.QueryWriteStatus(status).committed_size, "what was sent of the upload")
    call.cancel()
    taken.set()
    assert stubs.missing(data)
    committed = stubs.stream.QueryWriteStatus(status).committed_size
    assert committed == 1 << 20
    rest = messages.write_requests(data, name, offset=committed)
    assert stubs.stream.Write(rest).committed_size == len(data)
    assert stubs.read(data) == data


def test_rule_68_a_cancelled_read_frees_the_blob(stubs: Stubs, server: RunningServer) -> None:
    data = b"half read" + LARGE
    stubs.write(data)
    for _ in range(5):
        call = stubs.stream.Read(bytestream.ReadRequest(resource_name=messages.read_name(data)))
        next(call)
        call.cancel()
    until(lambda: not server.blobs_open(), "the end of all downloads")
    assert stubs.read(data) == data


def test_a_client_that_leaves_is_no_failure_of_the_server(tmp_path: Path) -> None:
    data = LARGE * 3  # more than the connection takes before somebody reads
    with running_server(tmp_path / "store", stderr=True) as server:
        with grpc.insecure_channel(server.grpc) as channel:
            stream = bytestream_pb2_grpc.ByteStreamStub(channel)
            stream.Write(messages.write_requests(data, messages.upload_name(data)))
            for _ in range(10):
                call = stream.Read(bytestream.ReadRequest(resource_name=messages.read_name(data)))
                next(call)
                call.cancel()
        until(lambda: not server.blobs_open(), "the end of all downloads")
        server.terminate()
        assert "failed" not in server.errors()


@pytest.mark.parametrize("function", [SHA256, BLAKE3], ids=lambda function: function.name)
def test_rule_67_missing_blobs_are_named_in_the_details(stubs: Stubs, function: DigestFunction) -> None:
    gone = [messages.digest(b"gone %d" % number, function) for number in range(100)]
    files = [reapi.OutputFile(path=digest.hash, digest=digest) for digest in gone]
    request = reapi.UpdateActionResultRequest(
        action_digest=messages.digest(b"action of rule 67", function),
        action_result=reapi.ActionResult(output_files=files),
        digest_function=function.number,  # type: ignore[arg-type]
    )
    with pytest.raises(grpc.RpcError) as raised:
        stubs.ac.UpdateActionResult(request)
    error: Any = raised.value
    trailers = dict(error.trailing_metadata())
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    failure = error_details_pb2.PreconditionFailure()
    assert status.details[0].Unpack(failure)
    assert (error.code(), status.code) == (Code.FAILED_PRECONDITION, Code.FAILED_PRECONDITION.value[0])
    assert {violation.type for violation in failure.violations} == {"MISSING"}
    named = "blobs/" if function is SHA256 else "blobs/blake3/"
    subjects = {violation.subject for violation in failure.violations}
    # As many as a header holds.
    assert len(subjects) == 30
    assert subjects <= {f"{named}{digest.hash}/{digest.size_bytes}" for digest in gone}


def test_reflection_describes_every_service(channel: grpc.Channel) -> None:
    described = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
    for name in (
        "build.bazel.remote.execution.v2.ActionCache",
        "build.bazel.remote.execution.v2.Capabilities",
        "build.bazel.remote.execution.v2.ContentAddressableStorage",
        "google.bytestream.ByteStream",
        "grpc.health.v1.Health",
    ):
        assert described.FindServiceByName(name).methods
    names = ProtoReflectionDescriptorDatabase(channel).get_services()
    assert "build.bazel.remote.execution.v2.Execution" not in names


def test_rule_68_codes_are_never_unknown(stubs: Stubs) -> None:
    bad = reapi.Digest(hash="nonsense", size_bytes=1)
    calls: dict[grpc.StatusCode, list[Callable[[], object]]] = {
        Code.INVALID_ARGUMENT: [
            lambda: stubs.capabilities.GetCapabilities(reapi.GetCapabilitiesRequest(instance_name="a//b")),
            lambda: stubs.cas.FindMissingBlobs(reapi.FindMissingBlobsRequest(blob_digests=[bad])),
            lambda: stubs.ac.GetActionResult(reapi.GetActionResultRequest(action_digest=bad)),
            lambda: stubs.ac.UpdateActionResult(
                messages.put_result_request(b"a", reapi.ActionResult(output_files=[reapi.OutputFile()]))
            ),
            lambda: list(stubs.cas.GetTree(reapi.GetTreeRequest(root_digest=bad))),
            lambda: stubs.read_named("?"),
            lambda: stubs.stream.Write(iter([bytestream.WriteRequest(resource_name="?")])),
            lambda: stubs.stream.Write(iter([])),
            lambda: stubs.read_named("blobs/" + "0123" * 10_000),
            lambda: stubs.cas.SplitBlob(reapi.SplitBlobRequest()),
            lambda: stubs.cas.SpliceBlob(reapi.SpliceBlobRequest()),
            lambda: stubs.stream.QueryWriteStatus(bytestream.QueryWriteStatusRequest(resource_name="?")),
            lambda: stubs.stream.Write(messages.write_requests(b"wrong bytes", messages.upload_name(b"right bytes"))),
        ],
        Code.NOT_FOUND: [
            lambda: stubs.ac.GetActionResult(messages.get_result_request(b"never ran")),
            lambda: stubs.read(b"never stored"),
            lambda: list(stubs.cas.GetTree(reapi.GetTreeRequest(root_digest=messages.digest(b"no root")))),
            lambda: stubs.cas.SplitBlob(reapi.SplitBlobRequest(blob_digest=messages.digest(b"never stored"))),
            lambda: stubs.cas.SpliceBlob(
                reapi.SpliceBlobRequest(
                    blob_digest=messages.digest(b"never stored"), chunk_digests=[messages.digest(b"never stored")]
                )
            ),
        ],
        Code.FAILED_PRECONDITION: [
            lambda: stubs.ac.UpdateActionResult(
                messages.put_result_request(b"a", messages.result_of({"out": b"never stored"}))
            )
        ],
        Code.OUT_OF_RANGE: [
            lambda: list(
                stubs.stream.Read(bytestream.ReadRequest(resource_name=messages.read_name(b""), read_offset=1))
            )
        ],
        Code.UNIMPLEMENTED: [
            lambda: list(stubs.execution.Execute(reapi.ExecuteRequest())),
        ],
    }
    for code, failing in calls.items():
        assert [code_of(call) for call in failing] == [code] * len(failing)


def test_rule_68_bytes_that_are_no_message(channel: grpc.Channel) -> None:
    get: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
        "/build.bazel.remote.execution.v2.ActionCache/GetActionResult"
    )
    write: grpc.StreamUnaryMultiCallable[bytes, bytes] = channel.stream_unary("/google.bytestream.ByteStream/Write")
    assert code_of(lambda: get(b"\xff\xff")) == Code.INVALID_ARGUMENT
    assert code_of(lambda: write(iter([b"\xff\xff"]))) == Code.INVALID_ARGUMENT


def test_rule_15_a_resource_name_in_the_header_is_passed_over(stubs: Stubs) -> None:
    data = b"named twice"
    for named in (messages.upload_name(data), "instance/uploads/other", ""):
        header = (("build.bazel.remote.execution.v2.resource-name", named),)
        requests = messages.write_requests(data, messages.upload_name(data))
        assert stubs.stream.Write(requests, metadata=header).committed_size == len(data)
        read = bytestream.ReadRequest(resource_name=messages.read_name(data))
        assert b"".join(part.data for part in stubs.stream.Read(read, metadata=header)) == data


def test_rule_66_metadata_is_optional_and_may_be_malformed(stubs: Stubs) -> None:
    key = "build.bazel.remote.execution.v2.requestmetadata-bin"
    for value in (b"\xff\xff", reapi.RequestMetadata(action_id="a").SerializeToString()):
        answer = stubs.cas.FindMissingBlobs(messages.missing_request(), metadata=((key, value),))
        assert not answer.missing_blob_digests


def test_rule_41_a_read_only_server_says_so(tmp_path: Path) -> None:
    with running_server(tmp_path / "store") as server, grpc.insecure_channel(server.grpc) as channel:
        Stubs(channel).write(b"already here")
    with (
        running_server(tmp_path / "store", "--read-only") as server,
        grpc.insecure_channel(server.grpc) as channel,
    ):
        stubs = Stubs(channel)
        assert stubs.read(b"already here") == b"already here"
        assert code_of(lambda: stubs.write(b"new")) == Code.PERMISSION_DENIED
        update = messages.put_result_request(b"action", reapi.ActionResult())
        assert code_of(lambda: stubs.ac.UpdateActionResult(update)) == Code.PERMISSION_DENIED


def test_rule_41_no_room_beside_what_stays(tmp_path: Path) -> None:
    blobs = [os.urandom(300_000) for _ in range(3)]
    options = ("--max-size", "1M", "--min-lifetime", "3h")
    with running_server(tmp_path / "store", *options) as server, grpc.insecure_channel(server.grpc) as channel:
        stubs = Stubs(channel)
        for blob in blobs:
            stubs.write(blob)
        assert code_of(lambda: stubs.write(os.urandom(300_000))) == Code.RESOURCE_EXHAUSTED
        assert [stubs.read(blob) for blob in blobs] == blobs


def test_health_serves_each_service_by_name(stubs: Stubs) -> None:
    check = stubs.health.Check  # type: ignore[attr-defined]  # its stubs know no instance attributes
    for name in (
        "",
        "google.bytestream.ByteStream",
        "build.bazel.remote.execution.v2.ActionCache",
        "build.bazel.remote.execution.v2.ContentAddressableStorage",
    ):
        answer = check(health_pb2.HealthCheckRequest(service=name))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_unix_sockets_are_their_owners(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/socket"
    with running_server(tmp_path / "store", "--grpc-address", address) as server:
        assert server.grpc == address
        assert (tmp_path / "socket").stat().st_mode & 0o777 == 0o600
        with grpc.insecure_channel(server.grpc) as channel:
            assert Stubs(channel).write(b"over a unix socket") == 18
