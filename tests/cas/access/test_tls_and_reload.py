# SPDX-License-Identifier: Apache-2.0
"""Encrypted connections, client certificates, and SIGHUP, which reads files again and cuts nobody off."""

from __future__ import annotations

import http.client
import json
import shutil
import signal
import ssl
import subprocess
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import grpc
import pytest

from pytrace_cas.digest import SHA256
from pytrace_proto import bytestream_pb2 as bytestream
from pytrace_proto import bytestream_pb2_grpc, remote_execution_pb2_grpc
from pytrace_proto import remote_execution_pb2 as reapi
from tests.support import messages
from tests.support.credentials import Authority, Issuer, basic, htpasswd, rights
from tests.support.server import PYTRACE_CAS, running_server, server_environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.server import RunningServer

Code = grpc.StatusCode
Pair = tuple["Path", "Path"]
CURL = shutil.which("curl")


def grpc_code(
    server: RunningServer, authority: Authority, client: Pair | None = None, header: str | None = None, name: str = ""
) -> grpc.StatusCode:
    """Look for blobs over a new connection; say how it ended."""
    with grpc.secure_channel(server.grpc, authority.channel_credentials(client)) as channel:
        cas = remote_execution_pb2_grpc.ContentAddressableStorageStub(channel)
        request = reapi.FindMissingBlobsRequest(instance_name=name)
        try:
            cas.FindMissingBlobs(request, metadata=(("authorization", header),) if header else (), timeout=20)
        except grpc.RpcError as error:
            code: grpc.StatusCode = error.code()
            return code
    return Code.OK


def http_status(
    server: RunningServer, authority: Authority, client: Pair | None = None, header: str | None = None, name: str = ""
) -> int:
    """Ask for the empty blob over a new connection; give the status, 0 when there is no connection."""
    connection = http.client.HTTPSConnection(
        urlsplit(server.http_url).netloc, context=authority.context(client), timeout=30
    )
    path = f"/{name}/cas/{SHA256.empty_digest().hash}".replace("//", "/")
    try:
        connection.request("GET", path, headers={"Authorization": header} if header else {})
        return connection.getresponse().status
    except (ssl.SSLError, ConnectionError):
        return 0
    finally:
        connection.close()


def hang_up(server: RunningServer) -> str:
    """Send SIGHUP; return the line that says what came of it."""
    assert server.process.stderr is not None
    server.process.send_signal(signal.SIGHUP)
    for line in server.process.stderr:
        if "SIGHUP" in line:
            return line
    raise AssertionError("the server ended")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    folder = tmp_path / "authority"
    folder.mkdir()
    return Authority(folder)


@pytest.fixture
def stranger(tmp_path: Path) -> Authority:
    folder = tmp_path / "stranger"
    folder.mkdir()
    return Authority(folder)


def test_both_protocols_are_encrypted(tmp_path: Path, authority: Authority, stranger: Authority) -> None:
    with running_server(tmp_path / "s", *authority.tls_options(clients=False)) as server:
        assert (urlsplit(server.grpc_url).scheme, urlsplit(server.http_url).scheme) == ("grpcs", "https")
        assert (grpc_code(server, authority), http_status(server, authority)) == (Code.OK, 200)
        assert (grpc_code(server, stranger), http_status(server, stranger)) == (Code.UNAVAILABLE, 0)
        with grpc.insecure_channel(server.grpc) as channel, pytest.raises(grpc.RpcError):
            remote_execution_pb2_grpc.CapabilitiesStub(channel).GetCapabilities(
                reapi.GetCapabilitiesRequest(), timeout=20
            )


def test_old_versions_of_tls_are_refused(tmp_path: Path, authority: Authority) -> None:
    with running_server(tmp_path / "s", *authority.tls_options(clients=False)) as server:
        context = authority.context()
        with pytest.warns(DeprecationWarning, match="TLS"):
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        host = urlsplit(server.http_url).netloc
        connection = http.client.HTTPSConnection(host, context=context, timeout=30)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            connection.request("GET", "/healthz")
        connection.close()


def test_names_of_certificates_are_identities(tmp_path: Path, authority: Authority, stranger: Authority) -> None:
    grants = tmp_path / "rights"
    grants.write_text(rights(("ann", "a", ["read"]), ("spiffe://x/bot", "b", ["read"]), ("bot.example", "c", ["read"])))
    options = (*authority.tls_options(clients=True), "--rights-file", str(grants))
    ann = authority.issue("ann", "bot.example", common_name="ann")
    bot = authority.issue("bot", "bot.example", "other.example")
    uri = authority.issue_uri("uri", "spiffe://x/bot")
    foreign = stranger.issue("foreign", common_name="ann")
    with running_server(tmp_path / "s", *options) as server:
        for client, may in ((ann, "a"), (uri, "b"), (bot, "c")):
            for name in "abc":
                ends = (Code.OK, 200) if name == may else (Code.PERMISSION_DENIED, 403)
                assert (
                    grpc_code(server, authority, client, name=name),
                    http_status(server, authority, client, name=name),
                ) == ends
        # gRPC cannot ask for a certificate without insisting on one; over HTTP probes get through.
        assert (grpc_code(server, authority), http_status(server, authority)) == (Code.UNAVAILABLE, 401)
        assert (grpc_code(server, authority, foreign), http_status(server, authority, foreign)) == (Code.UNAVAILABLE, 0)


def test_a_header_counts_before_a_certificate(tmp_path: Path, authority: Authority) -> None:
    (tmp_path / "passwords").write_text(htpasswd(bob="bob's"))
    (tmp_path / "rights").write_text(rights(("ann", "a", ["read"]), ("bob", "b", ["read"])))
    options = ("--htpasswd-file", str(tmp_path / "passwords"), "--rights-file", str(tmp_path / "rights"))
    ann = authority.issue("ann", common_name="ann")
    with running_server(tmp_path / "s", *authority.tls_options(clients=True), *options) as server:
        for header, name, code, status in (
            (None, "a", Code.OK, 200),
            (basic("bob", "bob's"), "a", Code.PERMISSION_DENIED, 403),
            (basic("bob", "bob's"), "b", Code.OK, 200),
            (basic("bob", "wrong"), "a", Code.UNAUTHENTICATED, 401),
        ):
            assert grpc_code(server, authority, ann, header, name) == code
            assert http_status(server, authority, ann, header, name) == status
        assert http_status(server, authority, None, basic("bob", "bob's"), "b") == 200


def test_web_tokens_over_both_protocols(tmp_path: Path, authority: Authority) -> None:
    issuer = Issuer()
    (tmp_path / "jwks").write_text(json.dumps(issuer.jwks()))
    options = ("--jwks-file", str(tmp_path / "jwks"), "--jwt-audience", "cache", "--jwt-issuer", "issuer")
    with running_server(tmp_path / "s", *authority.tls_options(clients=False), *options) as server:
        for token, code, status in (
            (issuer.token("ES256"), Code.OK, 200),
            (issuer.token("EdDSA"), Code.OK, 200),
            (issuer.token("RS256", exp=time.time() - 60), Code.UNAUTHENTICATED, 401),
            (issuer.token("RS256", aud="other"), Code.UNAUTHENTICATED, 401),
        ):
            assert grpc_code(server, authority, header=f"Bearer {token}") == code
            assert http_status(server, authority, header=f"Bearer {token}") == status


def test_hanging_up_replaces_files_and_cuts_no_stream(
    tmp_path: Path, authority: Authority, stranger: Authority
) -> None:
    passwords = tmp_path / "passwords"
    passwords.write_text(htpasswd(ann="old"))
    data = b"begun before and ended after"
    begun, go_on = threading.Event(), threading.Event()

    def slowly() -> Iterator[bytestream.WriteRequest]:
        yield bytestream.WriteRequest(resource_name=messages.upload_name(data), data=data[:5])
        begun.set()
        go_on.wait(60)
        yield bytestream.WriteRequest(write_offset=5, data=data[5:], finish_write=True)

    options = (*authority.tls_options(clients=False), "--htpasswd-file", str(passwords))
    old, new = basic("ann", "old"), basic("ann", "new")
    about = (("authorization", old),)
    with (
        running_server(tmp_path / "s", *options, stderr=True) as server,
        grpc.secure_channel(server.grpc, authority.channel_credentials()) as channel,
    ):
        upload = bytestream_pb2_grpc.ByteStreamStub(channel).Write.future(slowly(), metadata=about)
        assert begun.wait(30)
        host = urlsplit(server.http_url).netloc
        put = http.client.HTTPSConnection(host, context=authority.context(), timeout=30)
        body = b"over HTTP, in two pieces"
        put.putrequest("PUT", f"/cas/{SHA256.of(body).hash}")
        put.putheader("Content-Length", str(len(body)))
        put.putheader("Authorization", old)
        put.endheaders(body[:5])
        # What is answered after them tells that both were let in before the change.
        asked = bytestream.QueryWriteStatusRequest(resource_name=messages.upload_name(data))
        bytestream_pb2_grpc.ByteStreamStub(channel).QueryWriteStatus(asked, metadata=about)
        assert http_status(server, authority, header=old) == 200

        cert, key = stranger.issue("server", "localhost", "127.0.0.1")
        shutil.copy(cert, authority.folder / "server.pem")
        shutil.copy(key, authority.folder / "server.key")
        passwords.write_text(htpasswd(ann="new"))
        assert "read again" in hang_up(server)

        assert (grpc_code(server, stranger, header=new), http_status(server, stranger, header=new)) == (
            Code.OK,
            200,
        )
        assert grpc_code(server, stranger, header=old) == Code.UNAUTHENTICATED
        assert http_status(server, stranger, header=old) == 401
        assert (grpc_code(server, authority, header=new), http_status(server, authority, header=new)) == (
            Code.UNAVAILABLE,
            0,
        )
        go_on.set()
        assert upload.result().committed_size == len(data)
        put.send(body[5:])
        assert put.getresponse().status == 200
        put.close()


def test_hanging_up_replaces_who_is_trusted(tmp_path: Path, authority: Authority, stranger: Authority) -> None:
    ours, theirs = authority.issue("ours", common_name="ann"), stranger.issue("theirs", common_name="ann")
    with running_server(tmp_path / "s", *authority.tls_options(clients=True), stderr=True) as server:

        def ends(client: Pair) -> tuple[grpc.StatusCode, int]:
            return grpc_code(server, authority, client), http_status(server, authority, client)

        assert (ends(ours), ends(theirs)) == ((Code.OK, 200), (Code.UNAVAILABLE, 0))
        server_ca = authority.file.read_bytes()
        trusted = authority.folder / "ca.pem"
        # `Authority.file` writes its own certificate again, so the server has a copy.
        trusted.write_bytes(stranger.file.read_bytes())
        hang_up(server)
        trusted.write_bytes(server_ca)
        assert (ends(ours), ends(theirs)) == ((Code.UNAVAILABLE, 0), (Code.OK, 200))


def test_hanging_up_with_a_bad_file_changes_nothing(tmp_path: Path, authority: Authority) -> None:
    passwords = tmp_path / "passwords"
    passwords.write_text(htpasswd(ann="old"))
    options = (*authority.tls_options(clients=False), "--htpasswd-file", str(passwords))
    with running_server(tmp_path / "s", *options, stderr=True) as server:
        good = (authority.folder / "server.pem").read_bytes()
        passwords.write_text(htpasswd(ann="new"))
        (authority.folder / "server.pem").write_text("half written")
        assert "server.pem" in hang_up(server)
        assert grpc_code(server, authority, header=basic("ann", "old")) == Code.OK
        (authority.folder / "server.pem").write_bytes(good)
        passwords.write_text("ann:in clear")
        line = hang_up(server)
        assert "line 1" in line
        assert "in clear" not in line
        assert http_status(server, authority, header=basic("ann", "old")) == 200
        passwords.write_text(htpasswd(ann="new"))
        hang_up(server)
        assert grpc_code(server, authority, header=basic("ann", "old")) == Code.UNAUTHENTICATED


def test_hanging_up_ends_no_server_without_files(tmp_path: Path) -> None:
    with running_server(tmp_path / "s", stderr=True) as server:
        hang_up(server)
        assert server.terminate() == 0


def serve(tmp_path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a server that is to refuse its options."""
    addresses = ("--grpc-address", "127.0.0.1:0", "--http-address", "none")
    return subprocess.run(
        [PYTRACE_CAS, "serve", "--dir", str(tmp_path / "s"), *addresses, *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=server_environment(),
    )


@pytest.mark.parametrize("name", ["htpasswd", "bearer-token", "jwks", "rights", "tls-cert"])
def test_a_bad_file_is_told_at_the_start(tmp_path: Path, authority: Authority, name: str) -> None:
    bad, good = tmp_path / "bad", tmp_path / "good"
    bad.write_text("hunter2-hunter2\n")
    good.write_text(htpasswd(ann="x"))
    known = ("--htpasswd-file", str(good)) if name == "rights" else ()
    key = ("--tls-key-file", str(authority.issue("a", "localhost")[1])) if name == "tls-cert" else ()
    done = serve(tmp_path, f"--{name}-file", str(bad), *known, *key)
    assert (done.returncode, done.stdout) == (2, "")
    assert str(bad) in done.stderr
    assert "hunter2" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_option_that_would_do_nothing_ends_with_2(tmp_path: Path) -> None:
    done = serve(tmp_path, "--allow-unauthenticated-reads")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)


def test_an_operator_is_warned_of_what_others_can_reach(tmp_path: Path) -> None:
    with running_server(tmp_path / "s", "--http-address", "0.0.0.0:0", stderr=True) as server:
        server.terminate()
        assert "WARNING" in server.errors()


def test_the_access_log_has_no_secrets(tmp_path: Path, authority: Authority) -> None:
    (tmp_path / "passwords").write_text(htpasswd(ann="hunter2"))
    options = (*authority.tls_options(clients=False), "--htpasswd-file", str(tmp_path / "passwords"))
    header = basic("ann", "hunter2")
    with running_server(tmp_path / "s", *options, "--access-log", "all", stderr=True) as server:
        assert grpc_code(server, authority, header=header) == Code.OK
        assert http_status(server, authority, header=basic("ann", "wrong-one")) == 401
        server.terminate()
        log = server.errors()
    assert "FindMissingBlobs status=OK" in log
    for secret in ("hunter2", "wrong-one", header.split()[1], basic("ann", "wrong-one").split()[1]):
        assert secret not in log


@pytest.mark.skipif(CURL is None, reason="curl is not installed (Debian: curl)")
def test_curl_as_the_recipes_have_it(tmp_path: Path, authority: Authority) -> None:
    (tmp_path / "passwords").write_text(htpasswd(ann="secret"))
    (tmp_path / "tokens").write_text("ci:0123456789abcdef0123\n")
    options = (
        *authority.tls_options(clients=True),
        *("--htpasswd-file", str(tmp_path / "passwords")),
        *("--bearer-token-file", str(tmp_path / "tokens")),
    )
    cert, key = authority.issue("ann", common_name="ann")
    with running_server(tmp_path / "s", *options) as server:

        def curl(*arguments: str) -> str:
            command = [str(CURL), "-sS", "--cacert", str(authority.file), "-o", "/dev/null", "-w", "%{http_code}"]
            url = f"{server.http_url}/cas/{SHA256.of(b'sent').hash}"
            done = subprocess.run(
                [*command, *arguments, url], input="sent", capture_output=True, text=True, check=False, timeout=60
            )
            return done.stdout

        assert curl("-T", "-") == "401"
        assert curl("-T", "-", "-u", "ann:wrong") == "401"
        assert curl("-T", "-", "-u", "ann:secret") == "200"
        assert curl("-H", "Authorization: Bearer 0123456789abcdef0123") == "200"
        assert curl("--cert", str(cert), "--key", str(key)) == "200"
        assert curl("-I", "--cert", str(cert), "--key", str(key)) == "200"
