# SPDX-License-Identifier: Apache-2.0
"""`pytrace-cas conform` over our own server, and over servers that misbehave altogether."""

from __future__ import annotations

import json
import logging
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from bench.conform import ours
from pytrace_cas.conform.endpoint import Access, Endpoint, MalformedEndpoint
from pytrace_cas.conform.runner import rules
from pytrace_cas.conform.titles import TITLES
from tests.support.conformance import judged
from tests.support.server import PYTRACE_CAS, running_server, server_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SECRET = "Bearer-of-a-secret"


def conform(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(PYTRACE_CAS), "conform", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=server_environment(), check=False)


def test_every_rule_has_a_check_and_a_title() -> None:
    assert [rule.id for rule in rules()] == list(TITLES)
    assert [str(number) for number in range(1, 69)] == [id for id in TITLES if id.isdigit()]


def test_our_server_keeps_every_rule(tmp_path: Path) -> None:
    with ours(tmp_path / "ours") as (url, options):
        ran = conform(url, *options, "--json")
        lines = conform(url, *options, "--instance-name", "an/instance")
    told = json.loads(ran.stdout)
    assert (told["schema"], told["endpoint"]) == (1, url)
    assert [one["rule"] for one in told["rules"]] == list(TITLES)
    assert {one["rule"]: one["message"] for one in told["rules"] if one["status"] != "pass"} == {}
    assert (ran.returncode, lines.returncode) == (0, 0)
    shown = ran.stdout + ran.stderr + lines.stdout + lines.stderr
    assert not [secret for secret in options if "Bearer" in secret and secret.partition(" ")[2] in shown]
    assert len(lines.stdout.splitlines()) == len(TITLES)


def test_what_needs_options_is_not_offered_without_them(tmp_path: Path) -> None:
    with running_server(tmp_path / "store") as server:
        found = judged(server.grpc_url)
    left_out = {id for id, (status, _) in found.items() if status == "not_offered"}
    assert left_out == {id for id in TITLES if id.startswith(("A", "H"))}
    assert {id for id, (status, _) in found.items() if status == "fail"} == set()


def test_rules_that_need_evictions(tmp_path: Path) -> None:
    with running_server(tmp_path / "store", "--max-size", "32M") as server:
        found = judged(server.grpc_url, "23", "45", overfill=48 << 20)
    assert {id: status for id, (status, _) in found.items()} == {"23": "pass", "45": "pass"}
    assert "--overfill" not in found["23"][1] + found["45"][1]


def test_http_alone(tmp_path: Path) -> None:
    with running_server(tmp_path / "store") as server:
        told = json.loads(conform(server.http_url, "--instance-name", "a/b", "--json").stdout)
    passed = {one["rule"] for one in told["rules"] if one["status"] == "pass"}
    assert passed == {id for id in TITLES if id.startswith("H")} - {"H13", "H18"}


def test_a_caller_who_may_only_read(tmp_path: Path) -> None:
    with running_server(tmp_path / "store"):
        pass
    with running_server(tmp_path / "store", "--read-only") as server:
        found = judged(server.grpc_url, "18", "22", "55")
    assert found["18"][0] == "pass"
    assert {found["22"][0], found["55"][0]} == {"not_offered"}


@pytest.fixture
def silent() -> Iterator[str]:
    """A port that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"grpc://127.0.0.1:{listener.getsockname()[1]}"


def test_a_server_that_never_answers_is_not_waited_for(silent: str) -> None:
    found = judged(silent, timeout=0.2)
    assert {found[id][0] for id in found if not id.startswith("H")} == {"fail"}
    assert found.keys() == TITLES.keys()


def _unknown(request: bytes, context: grpc.ServicerContext) -> bytes:
    raise RuntimeError("planted by a test")


def _garbage(request: bytes, context: grpc.ServicerContext) -> bytes:
    return b"\xff\xff\xff\xff"


def _nothing(request: bytes, context: grpc.ServicerContext) -> bytes:
    return b""


@pytest.mark.parametrize("answer", [_unknown, _garbage, _nothing])
def test_nonsense_breaks_rules_and_not_the_tool(
    answer: Callable[[bytes, grpc.ServicerContext], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    class Everything(grpc.GenericRpcHandler):
        def service(self, details: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(answer)

    caplog.set_level(logging.CRITICAL, "grpc")
    server = grpc.server(ThreadPoolExecutor(4), handlers=[Everything()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        found = judged(f"grpc://127.0.0.1:{port}", timeout=5)
    finally:
        server.stop(None).wait()
    assert found.keys() == TITLES.keys()
    assert {found[id][0] for id in ("1", "2", "16", "22", "55", "68")} == {"fail"}


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("ftp://a",), 2),
        (("grpc://localhost:1", "--header", "novalue"), 2),
        (("grpc://localhost:1", "--http", "grpc://localhost"), 2),
        (("grpc://127.0.0.1:1", "--json"), 1),
    ],
)
def test_exit_statuses(arguments: tuple[str, ...], status: int) -> None:
    assert conform(*arguments).returncode == status


def test_endpoints() -> None:
    assert Endpoint.parse("grpc://h").target == "h:9092"
    assert Endpoint.parse("grpcs://h:1/a/b").instance == "a/b"
    assert Endpoint.parse("http://[::1]:8080/").authority == "[::1]:8080"
    assert Endpoint.parse("unix:/run/s").target == "unix:/run/s"
    for wrong in ("", "unix:", "grpc:/h", "grpc://u:p@h", "h:1"):
        with pytest.raises(MalformedEndpoint):
            Endpoint.parse(wrong)
    assert SECRET not in repr(Access(headers=(("k", SECRET),)))
