# SPDX-License-Identifier: Apache-2.0
"""Every RPC and every HTTP verb, tried by everybody: each may do what they may, and nothing else."""

from __future__ import annotations

import http.client
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from pytrace_cas.access.demands import DEMANDS
from pytrace_cas.digest import SHA256
from pytrace_cas.grpc_server import action_cache, byte_stream, capabilities, content_addressable_storage
from pytrace_proto import bytestream_pb2 as bytestream
from pytrace_proto import bytestream_pb2_grpc, remote_execution_pb2_grpc
from pytrace_proto import remote_execution_pb2 as reapi
from tests.support import messages
from tests.support.credentials import basic, htpasswd, rights
from tests.support.server import running_server

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.server import RunningServer

Code = grpc.StatusCode
REAPI = "build.bazel.remote.execution.v2"
ROOT = reapi.Directory(files=[reapi.FileNode(name="f")]).SerializeToString()
HERE = b"everybody's bytes"
TOKENS = {"limited": "limited-secret-token", "uploader": "uploader-secret-token", "publisher": "publisher-secret-token"}
HEADERS: dict[str, str | None] = {
    "anonymous": None,
    "mistaken": basic("reader", "wrong"),
    "unheard": "Bearer nobodys-secret-token",
    "odd": "Negotiate abc",
    "stranger": basic("stranger", "stranger's"),
    "reader": basic("reader", "reader's"),
    "all": basic("all", "all's"),
    **{name: f"bearer {token}" for name, token in TOKENS.items()},
}
UNKNOWN = ("anonymous", "mistaken", "unheard", "odd")
OURS, THEIRS = "team/a", "other"


class Caller:
    """One caller in one instance; each method makes the call of that name."""

    def __init__(self, channel: grpc.Channel, header: str | None, instance: str) -> None:
        self._about = (("authorization", header),) if header else ()
        self._instance = instance
        self._of = {
            "Capabilities": remote_execution_pb2_grpc.CapabilitiesStub(channel),
            "ActionCache": remote_execution_pb2_grpc.ActionCacheStub(channel),
            "ContentAddressableStorage": remote_execution_pb2_grpc.ContentAddressableStorageStub(channel),
            "ByteStream": bytestream_pb2_grpc.ByteStreamStub(channel),
        }

    def call(self, method: str, request: Any) -> Any:
        """Make a call; give its answers as a list."""
        service, name = method.split(".")
        answer = getattr(self._of[service], name)(request, metadata=self._about)
        return list(answer) if isinstance(answer, Iterator) else [answer]

    def code(self, method: str, data: bytes = HERE) -> grpc.StatusCode:
        """Make a call of that name that is good but for who makes it; say how it ended."""
        try:
            answers = self.call(method, REQUESTS[method](self._instance, data))
        except grpc.RpcError as error:
            code: grpc.StatusCode = error.code()
            return code
        assert answers
        return Code.OK


def _with(request: Any, instance: str) -> Any:
    request.instance_name = instance
    return request


def _write(instance: str, data: bytes) -> Iterator[bytestream.WriteRequest]:
    return messages.write_requests(data, messages.upload_name(data, f"{instance}/"))


# Good requests; `data` is what they write.
REQUESTS: dict[str, Callable[[str, bytes], Any]] = {
    "Capabilities.GetCapabilities": lambda i, _: reapi.GetCapabilitiesRequest(instance_name=i),
    "ActionCache.GetActionResult": lambda i, _: messages.get_result_request(b"action", i),
    "ActionCache.UpdateActionResult": lambda i, data: messages.put_result_request(
        data, messages.result_of({"out": HERE}), i
    ),
    "ContentAddressableStorage.FindMissingBlobs": lambda i, _: _with(messages.missing_request(HERE), i),
    "ContentAddressableStorage.BatchUpdateBlobs": lambda i, data: _with(messages.update_request(data), i),
    "ContentAddressableStorage.BatchReadBlobs": lambda i, _: _with(messages.read_request(HERE), i),
    "ContentAddressableStorage.GetTree": lambda i, _: reapi.GetTreeRequest(
        instance_name=i, root_digest=messages.digest(ROOT)
    ),
    "ContentAddressableStorage.SplitBlob": lambda i, _: reapi.SplitBlobRequest(
        instance_name=i, blob_digest=messages.digest(HERE)
    ),
    "ContentAddressableStorage.SpliceBlob": lambda i, _: reapi.SpliceBlobRequest(
        instance_name=i, blob_digest=messages.digest(2 * HERE), chunk_digests=2 * [messages.digest(HERE)]
    ),
    "ByteStream.Read": lambda i, _: bytestream.ReadRequest(resource_name=f"{i}/{messages.read_name(HERE)}"),
    "ByteStream.Write": _write,
    "ByteStream.QueryWriteStatus": lambda i, _: bytestream.QueryWriteStatusRequest(
        resource_name=messages.upload_name(HERE, f"{i}/")
    ),
}
# Who may make each call, in the instance of the limited one; "limited" may make none elsewhere.
MAY = {
    "Capabilities.GetCapabilities": "reader limited uploader publisher",
    "ActionCache.GetActionResult": "reader limited",
    "ActionCache.UpdateActionResult": "limited publisher",
    "ContentAddressableStorage.FindMissingBlobs": "reader limited uploader",
    "ContentAddressableStorage.BatchUpdateBlobs": "limited uploader",
    "ContentAddressableStorage.BatchReadBlobs": "reader limited",
    "ContentAddressableStorage.GetTree": "reader limited",
    "ContentAddressableStorage.SplitBlob": "reader limited",
    "ContentAddressableStorage.SpliceBlob": "limited uploader",
    "ByteStream.Read": "reader limited",
    "ByteStream.Write": "limited uploader",
    "ByteStream.QueryWriteStatus": "limited uploader",
}
READS = [method for method, names in MAY.items() if "reader" in names]
VERBS = {
    ("GET", "ac"): "reader limited",
    ("HEAD", "ac"): "reader limited",
    ("PUT", "ac"): "limited publisher",
    ("GET", "cas"): "reader limited",
    ("HEAD", "cas"): "reader limited",
    ("PUT", "cas"): "limited uploader",
}


def access_options(folder: Path) -> tuple[str, ...]:
    """Write the files of access; return the options that name them."""
    people = {name: f"{name}'s" for name in ("stranger", "reader", "all")}
    words = ("read", "cas", "ac")
    files = {
        "htpasswd": htpasswd(**people),
        "bearer-token": "".join(f"{name}:{token}\n" for name, token in TOKENS.items()),
        "rights": rights(
            ("reader", "*", ["read"]),
            ("limited", "team/*", words),
            ("uploader", "*", ["cas"]),
            ("publisher", "*", ["ac"]),
            ("all", "*", words),
        ),
    }
    options = []
    for name, text in files.items():
        (folder / name).write_text(text)
        options += [f"--{name}-file", str(folder / name)]
    return tuple(options)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Serve what may be read in two instances."""
    folder = tmp_path_factory.mktemp("guarded")
    with running_server(folder / "store", *access_options(folder)) as server:
        fill(server)
        yield server


@pytest.fixture(scope="module")
def readable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Serve the same, and let everybody read."""
    folder = tmp_path_factory.mktemp("readable")
    with running_server(folder / "store", *access_options(folder), "--allow-unauthenticated-reads") as server:
        fill(server)
        yield server


def fill(server: RunningServer) -> None:
    """Store what the calls read."""
    with grpc.insecure_channel(server.grpc) as channel:
        for instance in (OURS, THEIRS):
            everything = Caller(channel, HEADERS["all"], instance)
            for data in (HERE, ROOT):
                assert everything.code("ByteStream.Write", data) == Code.OK
            assert everything.code("ActionCache.UpdateActionResult", b"action") == Code.OK


def expected(who: str, allowed: Sequence[str], *, ours: bool) -> grpc.StatusCode:
    """Say how a call ends."""
    if who in UNKNOWN:
        return Code.UNAUTHENTICATED
    may = who == "all" or (who in allowed and (ours or who != "limited"))
    return Code.OK if may else Code.PERMISSION_DENIED


def ask(
    server: RunningServer, who: str, method: str, path: str, body: bytes | None = None
) -> tuple[int, http.client.HTTPMessage]:
    """Make an HTTP request; return its status and the answer's headers."""
    connection = http.client.HTTPConnection(urlsplit(server.http_url).netloc, timeout=30)
    try:
        header = HEADERS[who]
        connection.request(method, path, body, {"Authorization": header} if header else {})
        response = connection.getresponse()
        response.read()
        return response.status, response.headers
    finally:
        connection.close()


def test_every_method_is_in_the_tables() -> None:
    """A method that is added must say who may call it, and be tried here."""
    adapters = (
        capabilities.CapabilitiesServicer,
        action_cache.ActionCacheServicer,
        content_addressable_storage.ContentAddressableStorageServicer,
        byte_stream.ByteStreamServicer,
    )
    served = {
        method.full_name for adapter in adapters for method in adapter.SERVICE.methods if hasattr(adapter, method.name)
    }
    tried = {f"google.bytestream.{name}" if name.startswith("Byte") else f"{REAPI}.{name}" for name in MAY}
    assert served == tried
    assert served <= DEMANDS.keys()


@pytest.mark.parametrize("method", MAY)
def test_each_rpc_by_everybody(guarded: RunningServer, method: str) -> None:
    found, right = {}, {}
    with grpc.insecure_channel(guarded.grpc) as channel:
        for who, header in HEADERS.items():
            for instance in (OURS, THEIRS):
                data = HERE if method in READS else uuid.uuid4().bytes
                found[who, instance] = Caller(channel, header, instance).code(method, data)
                right[who, instance] = expected(who, MAY[method].split(), ours=instance == OURS)
                if found[who, instance] != Code.OK and data != HERE:
                    assert nowhere(channel, data)
    assert found == right


def nowhere(channel: grpc.Channel, data: bytes) -> bool:
    """Whether bytes are neither a blob nor an action with a result."""
    for instance in (OURS, THEIRS):
        everything = Caller(channel, HEADERS["all"], instance)
        (answer,) = everything.call("ContentAddressableStorage.FindMissingBlobs", messages.missing_request(data))
        if not answer.missing_blob_digests:
            return False
        with pytest.raises(grpc.RpcError) as raised:
            everything.call("ActionCache.GetActionResult", messages.get_result_request(data, instance))
        assert raised.value.code() == Code.NOT_FOUND
    return True


@pytest.mark.parametrize("method", MAY)
def test_anonymous_reads_let_everybody_read_and_nobody_write(readable: RunningServer, method: str) -> None:
    with grpc.insecure_channel(readable.grpc) as channel:
        for instance in (OURS, THEIRS):
            codes = {
                who: Caller(channel, HEADERS[who], instance).code(method, uuid.uuid4().bytes)
                for who in ("anonymous", "mistaken", "stranger")
            }
            reading = method in READS
            assert codes == {
                "anonymous": Code.OK if reading else Code.UNAUTHENTICATED,
                # Who shows something wrong is told so, and not served as somebody else.
                "mistaken": Code.UNAUTHENTICATED,
                "stranger": Code.OK if reading else Code.PERMISSION_DENIED,
            }


def test_capabilities_tell_the_callers_own_rights(guarded: RunningServer, readable: RunningServer) -> None:
    def updates(server: RunningServer, who: str, instance: str) -> bool:
        with grpc.insecure_channel(server.grpc) as channel:
            request = reapi.GetCapabilitiesRequest(instance_name=instance)
            (answer,) = Caller(channel, HEADERS[who], instance).call("Capabilities.GetCapabilities", request)
            enabled: bool = answer.cache_capabilities.action_cache_update_capabilities.update_enabled
            return enabled

    assert [who for who in ("reader", "limited", "uploader", "publisher", "all") if updates(guarded, who, OURS)] == [
        "limited",
        "publisher",
        "all",
    ]
    assert not updates(readable, "anonymous", OURS)
    assert not updates(readable, "limited", THEIRS)


def test_another_instance_cannot_be_named_later_in_a_stream(guarded: RunningServer) -> None:
    data = uuid.uuid4().bytes

    def requests() -> Iterator[bytestream.WriteRequest]:
        yield bytestream.WriteRequest(resource_name=messages.upload_name(data, f"{OURS}/"), data=data[:5])
        name = messages.upload_name(data, f"{THEIRS}/")
        yield bytestream.WriteRequest(resource_name=name, write_offset=5, data=data[5:], finish_write=True)

    with grpc.insecure_channel(guarded.grpc) as channel:
        with pytest.raises(grpc.RpcError) as raised:
            Caller(channel, HEADERS["limited"], OURS).call("ByteStream.Write", requests())
        assert raised.value.code() == Code.INVALID_ARGUMENT
        assert nowhere(channel, data)


@pytest.mark.parametrize(
    "name", [f"{THEIRS}/team/a", "team", "", "teams/a", "Team/a", f"{THEIRS}/blobs/team/a", "/team/a", "team//a"]
)
def test_names_that_only_look_like_ours_are_not(guarded: RunningServer, name: str) -> None:
    with grpc.insecure_channel(guarded.grpc) as channel:
        for method in MAY:
            code = Caller(channel, HEADERS["limited"], name).code(method, uuid.uuid4().bytes)
            assert code in (Code.PERMISSION_DENIED, Code.INVALID_ARGUMENT)


def test_who_is_unknown_is_told_so_before_what_they_sent_is_read(guarded: RunningServer) -> None:
    with grpc.insecure_channel(guarded.grpc) as channel:
        get: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"/{REAPI}.ActionCache/GetActionResult")
        with pytest.raises(grpc.RpcError) as raised:
            get(b"\xff\xff", metadata=(("authorization", "Bearer wrong"),))
        assert raised.value.code() == Code.UNAUTHENTICATED


def test_health_is_open_to_everybody(guarded: RunningServer) -> None:
    with grpc.insecure_channel(guarded.grpc) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check  # type: ignore[attr-defined]  # as its stubs say
        for header in HEADERS.values():
            answer = check(health_pb2.HealthCheckRequest(), metadata=(("authorization", header),) if header else ())
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


def path_of(kind: str, instance: str, data: bytes) -> str:
    return f"/{instance}/{kind}/{SHA256.of(data).hash}"


@pytest.mark.parametrize(("verb", "kind"), VERBS)
def test_each_verb_by_everybody(guarded: RunningServer, verb: str, kind: str) -> None:
    status = {Code.OK: 200, Code.UNAUTHENTICATED: 401, Code.PERMISSION_DENIED: 403}
    found, right = {}, {}
    with grpc.insecure_channel(guarded.grpc) as channel:
        for who in HEADERS:
            for instance in (OURS, THEIRS):
                data = uuid.uuid4().bytes if verb == "PUT" else HERE if kind == "cas" else b"action"
                body = data if verb == "PUT" else None
                found[who, instance], headers = ask(guarded, who, verb, path_of(kind, instance, data), body)
                code = expected(who, VERBS[verb, kind].split(), ours=instance == OURS)
                right[who, instance] = status[code]
                challenges = headers.get_all("www-authenticate") or []
                assert [words.split()[0] for words in challenges] == (
                    ["Basic", "Bearer"] if code == Code.UNAUTHENTICATED else []
                )
                if found[who, instance] != 200 and verb == "PUT":
                    assert nowhere(channel, data)
    assert found == right


@pytest.mark.parametrize("verb", ["POST", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "MKCOL", "MOVE"])
def test_other_verbs_do_nothing_for_anybody(guarded: RunningServer, verb: str) -> None:
    for who in HEADERS:
        assert ask(guarded, who, verb, path_of("cas", OURS, HERE))[0] == 405
    assert ask(guarded, "reader", "GET", path_of("cas", OURS, HERE))[0] == 200


def test_pages(guarded: RunningServer, readable: RunningServer) -> None:
    for who in HEADERS:
        for path in ("/", "/healthz", "/readyz"):
            assert ask(guarded, who, "GET", path)[0] == 200
        known = 401 if who in UNKNOWN else 403 if who == "stranger" else 200
        assert [ask(guarded, who, "GET", path)[0] for path in ("/status", "/metrics")] == [known] * 2
    assert ask(readable, "anonymous", "GET", "/status")[0] == 200


@pytest.mark.parametrize(
    "path", ["/team/a/../../other/ac/", "/team/a%2f..%2f../ac/", "/other%2Fac/", "/%74eam/../other/ac/", "/team/../ac/"]
)
def test_path_tricks_lead_nowhere(guarded: RunningServer, path: str) -> None:
    """Dots are no directories here: what is asked for is an instance of that very name, in which nothing is."""
    assert ask(guarded, "limited", "GET", path + SHA256.of(b"action").hash)[0] in (403, 404)


def test_read_only_counts_for_everybody(tmp_path: Path) -> None:
    options = access_options(tmp_path)
    with running_server(tmp_path / "store", *options) as server:
        fill(server)
    with (
        running_server(tmp_path / "store", *options, "--read-only") as server,
        grpc.insecure_channel(server.grpc) as channel,
    ):
        caller = Caller(channel, HEADERS["all"], OURS)
        codes = {method: caller.code(method, uuid.uuid4().bytes) for method in MAY}
        refused = {method for method, code in codes.items() if code == Code.PERMISSION_DENIED}
        assert refused == {
            "ActionCache.UpdateActionResult",
            "ContentAddressableStorage.BatchUpdateBlobs",
            "ContentAddressableStorage.SpliceBlob",
            "ByteStream.Write",
        }
        assert ask(server, "anonymous", "PUT", path_of("cas", OURS, b"x"), b"x")[0] == 401
        assert ask(server, "all", "PUT", path_of("cas", OURS, b"x"), b"x")[0] == 403
