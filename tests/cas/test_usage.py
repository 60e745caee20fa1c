# SPDX-License-Identifier: Apache-2.0
"""A server writes down who stores results and who asks for them."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import grpc
import pytest

from pytrace_cas.calls import METADATA
from pytrace_cas.catalogue import Catalogue, Query
from pytrace_cas.digest import SHA256
from pytrace_cas.store import Store
from pytrace_proto import remote_execution_pb2 as reapi
from tests.support.server import running_server

SERVICE = "/build.bazel.remote.execution.v2.ActionCache/"
ACTION = SHA256.of(b"action")


def _metadata(**fields: str) -> tuple[tuple[str, str | bytes], ...]:
    tool = reapi.ToolDetails(tool_name="bazel", tool_version="7.1")
    return ((METADATA, reapi.RequestMetadata(tool_details=tool, **fields).SerializeToString()),)


def _method(channel: grpc.Channel, name: str) -> grpc.UnaryUnaryMultiCallable[Any, reapi.ActionResult]:
    return channel.unary_unary(
        SERVICE + name, lambda message: message.SerializeToString(), reapi.ActionResult.FromString
    )


def test_requests_are_written_down_with_their_metadata(tmp_path: Path) -> None:
    named = reapi.Digest(hash=ACTION.hash, size_bytes=ACTION.size_bytes)
    wanted = reapi.GetActionResultRequest(action_digest=named)
    made = reapi.UpdateActionResultRequest(action_digest=named, action_result=reapi.ActionResult(exit_code=1))
    with running_server(tmp_path / "store") as server:
        with grpc.insecure_channel(server.grpc) as channel:
            get, put = _method(channel, "GetActionResult"), _method(channel, "UpdateActionResult")
            with pytest.raises(grpc.RpcError):
                get(wanted, metadata=_metadata(target_id="//too:early"))
            put(made, metadata=_metadata(target_id="//a:b", action_mnemonic="Javac", tool_invocation_id="one"))
            get(wanted, metadata=((METADATA, b"\xff\xff"),))
            for invocation in ("two", "three"):
                get(wanted, metadata=_metadata(target_id="//a:b", tool_invocation_id=invocation))
        with pytest.raises(urllib.error.HTTPError) as missing:
            urllib.request.urlopen(f"{server.http_url}/ac/{'0' * 64}")
        missing.value.close()
        server.terminate()
    with Store.open(str(tmp_path / "store")) as store, Catalogue(store) as catalogue:
        (row,) = catalogue.actions(Query.parse("target=//a:b mnemonic=Javac tool=bazel")).rows
        assert (row.digest, row.hits, row.invocation) == (ACTION, 3, "one")
        (hour,) = catalogue.statistics(3600).hours
        assert hour.asked == {"hit": 3, "miss": 2}
        requests = store.history.requests(SHA256, "", ACTION)
        assert [(one.kind, one.invocation) for one in requests] == [("asked", "three"), ("stored", "one")]
