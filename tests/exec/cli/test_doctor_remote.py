# SPDX-License-Identifier: Apache-2.0
"""`pytrace doctor --remote`: what it finds out about real servers, ours and others, leaving nothing there."""

from __future__ import annotations

import socket
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import pytest

from pytrace_cas.digest import SHA256
from pytrace_cas.store import Store
from tests.exec.cli.project import Project
from tests.support import foreign_grpc
from tests.support.foreign_grpc import ForeignCache
from tests.support.foreign_http import ForeignHttp, foreign_http
from tests.support.server import RunningServer, running_server

PROTOCOLS = ("grpc", "http")
Code = grpc.StatusCode


def _url(server: RunningServer, protocol: str) -> str:
    return server.grpc_url if protocol == "grpc" else server.http_url


def _examined(project: Project, url: str, *options: str, **variables: str) -> tuple[int, Any, dict[str, str]]:
    """How it ended, what it tells of the remote, and the level of each check of the remote."""
    done = project.pytrace("doctor", "--json", "--remote", url, *options, **variables)
    levels = {check["name"]: check["status"] for check in done.json["checks"]}
    remote = {name: level for name, level in levels.items() if name in ("remote", "functions", "reading", "writing")}
    return done.status, done.json["remote"], remote


@pytest.mark.strace
def test_our_server_over_grpc(project: Project) -> None:
    with running_server(project.base / "server") as server:
        status, told, levels = _examined(project, server.grpc_url)
        assert (status, set(levels.values())) == (0, {"ok"})
        assert 0 < told.pop("round_trip_ms") < 10_000
        assert told == {
            "name": server.grpc_url,
            "api_versions": ["2.0", "2.12"],
            "digest_functions": ["sha256", "blake3"],
            "digest_function": "sha256",
            "may_write": True,
        }
        assert _examined(project, server.grpc_url, "--digest-function", "blake3")[1]["digest_function"] == "blake3"


@pytest.mark.strace
def test_our_server_over_http(project: Project) -> None:
    with running_server(project.base / "server") as server:
        status, told, levels = _examined(project, server.http_url)
        assert (status, levels) == (0, {"remote": "ok", "functions": "ok", "reading": "ok", "writing": "warning"})
        assert (told["digest_function"], told["api_versions"], told["may_write"]) == ("sha256", None, None)
        assert told["round_trip_ms"] > 0


def _names(store: Path) -> set[Path]:
    """What lies in a server's store, but for what it writes down now and then of who asked."""
    return {path.relative_to(store) for path in store.rglob("*")} - {Path("counters")}


@pytest.mark.strace
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nothing_is_left_behind(project: Project, protocol: str) -> None:
    with running_server(project.base / "server") as server:
        before = _names(server.store)
        assert _examined(project, _url(server, protocol))[0] == 0
        assert _names(server.store) == before
        with Store.open(str(server.store), read_only=True) as store:
            assert list(store.action_results()) == []
            assert store.size()[0] == 0
    assert not project.store.exists()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_only_questions_are_asked(project: Project, protocol: str) -> None:
    if protocol == "grpc":
        cache = ForeignCache()
        with foreign_grpc.foreign_grpc(cache) as url:
            _examined(project, url)
        assert set(cache.calls) == {"GetCapabilities", "GetActionResult", "Read"}
    else:
        web = ForeignHttp()
        with foreign_http(web) as url:
            _examined(project, url)
        assert {(method, path.split("/")[1]) for method, path in web.requests} == {("GET", "ac"), ("GET", "cas")}


@pytest.mark.strace
def test_a_server_that_takes_no_results(project: Project) -> None:
    Store.open(str(project.base / "server")).close()
    with running_server(project.base / "server", "--read-only") as server:
        status, told, levels = _examined(project, server.grpc_url)
    assert (status, levels["writing"], told["may_write"]) == (0, "warning", False)


@pytest.mark.strace
def test_a_server_that_says_little(project: Project) -> None:
    with foreign_grpc.foreign_grpc(ForeignCache(functions=(), update_enabled=None)) as url:
        status, told, levels = _examined(project, url)
    assert (status, levels["writing"], told["may_write"], told["api_versions"]) == (0, "warning", None, None)
    assert told["digest_function"] == "sha256"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nobody_is_there(project: Project, protocol: str) -> None:
    with running_server(project.base / "server") as server:
        url = _url(server, protocol)
    assert _examined(project, url.replace("//", "//user:secret@")) == (13, None, {"remote": "problem"})
    told = project.pytrace("doctor", "--remote", url.replace("//", "//user:secret@"))
    (line,) = [line for line in told.stdout.decode().splitlines() if line.split()[1] == "remote"]
    assert url in line
    assert "secret" not in line


def test_a_host_that_has_no_address(project: Project) -> None:
    done = project.pytrace("doctor", "--json", "--remote", "grpc://nohost.invalid:1", "--remote-timeout", "5s")
    (message,) = [check["message"] for check in done.json["checks"] if check["name"] == "remote"]
    assert done.status == 13
    assert message.startswith("grpc://nohost.invalid:1: ")
    assert "]" not in message


def test_a_socket_that_is_not_there(project: Project) -> None:
    assert _examined(project, f"unix:{project.base}/nobody")[0] == 13


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_it_does_not_answer_in_time(project: Project, protocol: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"{protocol}://127.0.0.1:{listener.getsockname()[1]}"
        assert _examined(project, url, "--remote-timeout", "200ms")[0] == 13


@pytest.mark.parametrize("scheme", ["grpcs", "https"])
def test_certificates_that_cannot_be_read(project: Project, scheme: str) -> None:
    status, told, levels = _examined(project, f"{scheme}://127.0.0.1:1", PYTRACE_REMOTE_CA="/nonexistent")
    assert (status, told, levels) == (13, None, {"remote": "problem"})


@pytest.mark.parametrize("code", [Code.UNAUTHENTICATED, Code.PERMISSION_DENIED])
@pytest.mark.parametrize("method", ["GetCapabilities", "GetActionResult", "Read"])
def test_it_may_not_be_read_over_grpc(project: Project, method: str, code: grpc.StatusCode) -> None:
    with foreign_grpc.foreign_grpc(ForeignCache(denying={method: code})) as url:
        assert _examined(project, url) == (12, None, {"remote": "problem"})


@pytest.mark.parametrize("answered", [401, 403])
def test_it_may_not_be_read_over_http(project: Project, answered: int) -> None:
    with foreign_http(ForeignHttp(status={"GET": answered})) as url:
        assert _examined(project, url) == (12, None, {"remote": "problem"})


def test_it_fails(project: Project) -> None:
    with foreign_http(ForeignHttp(status={"GET": 500})) as url:
        assert _examined(project, url)[0] == 13


@pytest.mark.strace
def test_a_web_server_that_is_no_cache(project: Project) -> None:
    handler = partial(QuietFiles, directory=str(project.root))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        try:
            status, _, levels = _examined(project, f"http://127.0.0.1:{server.server_address[1]}")
        finally:
            server.shutdown()
    assert (status, levels["remote"], levels["reading"]) == (0, "ok", "warning")


class QuietFiles(SimpleHTTPRequestHandler):
    """The files of a folder."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Everything(dict[str, bytes]):
    """A page at every path."""

    def get(self, path: str, default: object = None) -> bytes:
        """The page."""
        return self["page"]


@pytest.mark.parametrize("page", [b"welcome", b""])
def test_a_web_server_that_has_a_page_for_everything(project: Project, page: bytes) -> None:
    with foreign_http(ForeignHttp(bodies=Everything(page=page))) as url:
        status, _, levels = _examined(project, url)
    assert (status, levels["reading"]) == (1, "problem")


def test_a_digest_function_that_it_lacks(project: Project) -> None:
    with foreign_http(ForeignHttp(bodies={f"/cas/{SHA256.empty_digest().hash}": b""})) as url:
        status, told, levels = _examined(project, url, "--digest-function", "blake3")
    assert (status, told["digest_function"], levels["functions"], levels["reading"]) == (1, None, "problem", "ok")
    cache = ForeignCache(functions=(2,))  # SHA-1
    with foreign_grpc.foreign_grpc(cache) as url:
        status, told, levels = _examined(project, url)
    assert (status, told["digest_functions"], told["round_trip_ms"]) == (1, [], None)
    assert (levels["remote"], levels["functions"], levels["reading"]) == ("ok", "problem", "problem")
    assert cache.calls == ["GetCapabilities"]


@pytest.mark.parametrize("version", [1, 3])
def test_another_version_of_the_protocol(project: Project, version: int) -> None:
    with foreign_grpc.foreign_grpc(ForeignCache(version=version)) as url:
        status, told, levels = _examined(project, url)
    assert (status, levels["remote"], told["api_versions"]) == (1, "problem", [f"{version}.0"] * 2)


def test_headers_by_flag_and_variable(project: Project) -> None:
    cache = ForeignCache()
    with foreign_grpc.foreign_grpc(cache) as url:
        _examined(project, url, "--remote-header", "x-flag=f", PYTRACE_REMOTE_HEADER="x-variable=v")
    assert {(item["x-flag"], item["x-variable"]) for item in cache.metadata} == {("f", "v")}


def test_a_remote_from_the_environment_is_asked_too(project: Project) -> None:
    with foreign_grpc.foreign_grpc(ForeignCache()) as url:
        told = project.pytrace("doctor", "--json", PYTRACE_REMOTE=url, PYTRACE_INSTANCE_NAME="team").json["remote"]
    assert told["name"] == f"{url}/team"
    assert project.pytrace("doctor", "--json").json["remote"] is None


def test_a_failure_a_moment_ago_does_not_keep_it_from_asking(project: Project) -> None:
    web = ForeignHttp(status={"GET": 401})
    with foreign_http(web) as url:
        assert project.wrapped("true", options=("--remote", url)).status == 0
        assert _examined(project, url)[0] == 12
        web.status.clear()
        assert _examined(project, url)[2]["remote"] == "ok"
