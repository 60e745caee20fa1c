# SPDX-License-Identifier: Apache-2.0
"""What the log says of calls, for people and for programs."""

from __future__ import annotations

import http.client
import json
import subprocess
import urllib.request
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from pytrace_cas.digest import SHA256
from pytrace_proto import bytestream_pb2 as bytestream
from pytrace_proto import bytestream_pb2_grpc, remote_execution_pb2_grpc
from pytrace_proto import remote_execution_pb2 as reapi
from tests.support import messages
from tests.support.server import PYTRACE_CAS, running_server, server_environment

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.server import RunningServer

HEADER = "build.bazel.remote.execution.v2.requestmetadata-bin"
ASKED = reapi.RequestMetadata(
    action_id="0123abcd",
    tool_invocation_id="an-invocation",
    target_id="//some:target",
    action_mnemonic="CppCompile",
    tool_details=reapi.ToolDetails(tool_name="bazel"),
)
DATA = b"x" * 300_000


def call_all(server: RunningServer) -> None:
    """Store, read and miss over both protocols; the first call says for whom, the second says it badly."""
    with grpc.insecure_channel(server.grpc) as channel:
        cas = remote_execution_pb2_grpc.ContentAddressableStorageStub(channel)
        cas.FindMissingBlobs(messages.missing_request(b"x"), metadata=((HEADER, ASKED.SerializeToString()),))
        cas.FindMissingBlobs(messages.missing_request(b"x"), metadata=((HEADER, b"\xff\xff\xff"),))
        stream = bytestream_pb2_grpc.ByteStreamStub(channel)
        stream.Write(messages.write_requests(DATA, messages.upload_name(DATA), piece=100_000))
        assert b"".join(p.data for p in stream.Read(bytestream.ReadRequest(resource_name=messages.read_name(DATA))))
        ac = remote_execution_pb2_grpc.ActionCacheStub(channel)
        with pytest.raises(grpc.RpcError):
            ac.GetActionResult(messages.get_result_request(b"action"))
    url = f"{server.http_url}/cas/{SHA256.of(DATA).hash}"
    with urllib.request.urlopen(url) as response:
        assert response.read() == DATA
    host = http.client.HTTPConnection(server.http_url.removeprefix("http://"))
    host.request("GET", "/cas/forged%0DERROR%1B%20pytrace:%20a%20line")
    with host.getresponse() as answer:
        assert answer.status == 400
    host.close()


def logged(tmp_path: Path, *options: str) -> list[str]:
    """Serve all calls; return the lines of the log."""
    with running_server(tmp_path / "s", *options, stderr=True) as server:
        call_all(server)
        server.terminate()
        return server.errors().splitlines()


def test_programs_read_a_json_object_a_line(tmp_path: Path) -> None:
    lines: list[dict[str, Any]] = [
        json.loads(line) for line in logged(tmp_path, "--access-log", "all", "--log-format", "json")
    ]
    calls = [line for line in lines if line["logger"] == "pytrace_cas.access"]
    assert all({"time", "level", "protocol", "peer", "method", "status", "seconds"} <= call.keys() for call in calls)
    first, second, write, read, miss = (call for call in calls if call["protocol"] == "grpc")
    # The line of a call is written once its last byte is, when the next one may be under way.
    get, bad = sorted((call for call in calls if call["protocol"] == "http"), key=lambda call: str(call["status"]))
    whose = {"action": "0123abcd", "target": "//some:target", "mnemonic": "CppCompile", "tool": "bazel"}
    assert {**first, **whose, "invocation": "an-invocation"} == first
    assert "target" not in second
    assert (write["status"], read["status"], miss["status"]) == ("OK", "OK", "NOT_FOUND")
    assert write["received"] > len(DATA) > write["sent"]
    assert read["sent"] > len(DATA) > read["received"]
    assert miss["action"] == SHA256.of(b"action").hash
    assert (get["method"], get["status"], get["sent"]) == ("GET", "200", len(DATA))
    assert bad["status"] == "400"


def test_people_read_a_line_a_call_that_no_client_can_forge(tmp_path: Path) -> None:
    lines = logged(tmp_path, "--access-log", "all")
    assert len(lines) == 7
    assert all(line.startswith("INFO pytrace_cas.access: call ") for line in lines)
    assert "target=//some:target mnemonic=CppCompile invocation=an-invocation" in lines[0]
    assert "forged\\rERROR\\u001b" in "".join(lines)


def test_nothing_is_logged_of_calls_unless_asked_for(tmp_path: Path) -> None:
    assert logged(tmp_path) == []


def test_the_form_is_an_option_like_the_others() -> None:
    command = [str(PYTRACE_CAS), "config", "show", "--json"]
    environment = server_environment() | {"PYTRACE_CAS_LOG_FORMAT": "json", "PYTRACE_CAS_WORKERS": "3"}
    done = subprocess.run(command, capture_output=True, env=environment, check=True)
    settings = json.loads(done.stdout)["settings"]
    assert settings["log-format"] == {"value": "json", "source": "environment"}
    assert settings["workers"] == {"value": 3, "source": "environment"}
    assert settings["idle-timeout"] == {"value": None, "source": "default"}
