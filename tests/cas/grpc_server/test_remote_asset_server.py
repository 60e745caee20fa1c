# SPDX-License-Identifier: Apache-2.0
"""Remote Asset over a real server: off by default, codes, details, fetches beside each other and at the end."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import grpc
import pytest
from google.rpc import code_pb2, error_details_pb2, status_pb2

from pytrace_proto import remote_asset_pb2 as asset
from pytrace_proto import remote_asset_pb2_grpc, remote_execution_pb2_grpc
from tests.support import messages
from tests.support.origin import Page, running_origin
from tests.support.server import PYTRACE_CAS, running_server, server_environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.origin import Origin
    from tests.support.server import RunningServer


@pytest.fixture
def origin() -> Iterator[Origin]:
    with running_origin() as origin:
        yield origin


@pytest.fixture
def server(tmp_path: Path, origin: Origin) -> Iterator[RunningServer]:
    allowed = ("--remote-asset-allow", f"http://127.0.0.1:{origin.port}", "--remote-asset-allow", "https://a.invalid")
    with running_server(tmp_path / "store", "--remote-asset", *allowed) as server:
        yield server


def test_it_is_off_unless_asked_for(tmp_path: Path) -> None:
    with running_server(tmp_path / "store") as server, grpc.insecure_channel(server.grpc) as channel:
        fetch, push = remote_asset_pb2_grpc.FetchStub(channel), remote_asset_pb2_grpc.PushStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            fetch.FetchBlob(asset.FetchBlobRequest())
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
        with pytest.raises(grpc.RpcError) as caught:
            push.PushBlob(asset.PushBlobRequest())
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_fetch_and_push(server: RunningServer, origin: Origin) -> None:
    with grpc.insecure_channel(server.grpc) as channel:
        fetch, push = remote_asset_pb2_grpc.FetchStub(channel), remote_asset_pb2_grpc.PushStub(channel)
        url = origin.publish("/a", b"published")
        assert fetch.FetchBlob(asset.FetchBlobRequest(uris=[url])).blob_digest == messages.digest(b"published")
        cas = remote_execution_pb2_grpc.ContentAddressableStorageStub(channel)
        (read,) = cas.BatchReadBlobs(messages.read_request(b"published")).responses
        assert read.data == b"published"
        push.PushBlob(asset.PushBlobRequest(uris=["urn:a"], blob_digest=messages.digest(b"published")))
        assert fetch.FetchBlob(asset.FetchBlobRequest(uris=["urn:a"])).status.code == code_pb2.OK
        absent = fetch.FetchDirectory(asset.FetchDirectoryRequest(uris=["urn:a"]))
        assert absent.status.code == code_pb2.NOT_FOUND
        with pytest.raises(grpc.RpcError) as caught:
            push.PushBlob(asset.PushBlobRequest(uris=["urn:a"], blob_digest=messages.digest(b"absent")))
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION


def test_unsupported_qualifiers_are_named(server: RunningServer) -> None:
    with grpc.insecure_channel(server.grpc) as channel:
        fetch = remote_asset_pb2_grpc.FetchStub(channel)
        qualifiers = [asset.Qualifier(name=name, value="x") for name in ("vcs.branch", "other")]
        with pytest.raises(grpc.RpcError) as blob:
            fetch.FetchBlob(asset.FetchBlobRequest(uris=["http://a/"], qualifiers=qualifiers))
        with pytest.raises(grpc.RpcError) as directory:
            fetch.FetchDirectory(asset.FetchDirectoryRequest(uris=["http://a/"], qualifiers=qualifiers))
    for caught in (blob, directory):
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        (packed,) = [item.value for item in caught.value.trailing_metadata() if item.key == "grpc-status-details-bin"]
        assert isinstance(packed, bytes)
        detail = error_details_pb2.BadRequest()
        assert status_pb2.Status.FromString(packed).details[0].Unpack(detail)
        said = [(violation.field, violation.description) for violation in detail.field_violations]
        assert said == [("qualifiers.name", f'"{name}" not supported') for name in ("other", "vcs.branch")]


def test_slow_origins_hold_nobody_else_up_and_do_not_delay_the_end(server: RunningServer, origin: Origin) -> None:
    origin.pages["/hang"] = Page(b"begun", length=100, hang=True)
    with grpc.insecure_channel(server.grpc) as channel:
        fetch = remote_asset_pb2_grpc.FetchStub(channel)
        request = asset.FetchBlobRequest(uris=[origin.url("/hang")])
        running = [fetch.FetchBlob.future(request, timeout=60) for _ in range(10)]
        while len(origin.asked) < 8:
            assert not any(future.done() for future in running)
        cas = remote_execution_pb2_grpc.ContentAddressableStorageStub(channel)
        assert cas.BatchUpdateBlobs(messages.update_request(b"x" * 100_000)).responses[0].status.code == code_pb2.OK
        remote_asset_pb2_grpc.PushStub(channel).PushBlob(
            asset.PushBlobRequest(uris=["urn:a"], blob_digest=messages.digest(b"x" * 100_000))
        )
        assert fetch.FetchBlob(asset.FetchBlobRequest(uris=["urn:a"])).status.code == code_pb2.OK
        for future in running:
            assert future.cancel()
        assert server.terminate() == 0


@pytest.mark.parametrize(
    "options", [("--remote-asset", "--remote-asset-allow", "file:///"), ("--remote-asset-allow", "http://a")]
)
def test_wrong_options(tmp_path: Path, options: tuple[str, ...]) -> None:
    command = [str(PYTRACE_CAS), "serve", "--dir", str(tmp_path / "store"), *options]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60, env=server_environment())
    assert done.returncode == 2
