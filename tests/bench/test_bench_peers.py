# SPDX-License-Identifier: Apache-2.0
"""`python -m bench server URL --peer URL`, and whose CPU is counted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.endpoint import given
from tests.bench.printed import CALLS, bench, rows
from tests.support.bazel import BAZEL
from tests.support.server import running_server


@pytest.mark.soak
def test_any_endpoint_can_be_given_and_a_peer_beside_it(tmp_path: Path) -> None:
    with running_server(tmp_path / "one") as one, running_server(tmp_path / "two") as two:
        lines = bench("server", "--quick", one.grpc_url, "--peer", two.grpc_url)
    _, *table = rows(lines, "Servers")
    assert [row[1] for row in table] == [one.grpc_url, two.grpc_url] * len(CALLS)
    assert all(row[3] != "-" for row in table)


def test_the_processes_of_an_endpoint_are_found_by_its_port(tmp_path: Path) -> None:
    with running_server(tmp_path / "store") as server:
        assert given(server.grpc_url, "").pids == (server.process.pid,)
    assert os.getpid() not in given(server.grpc_url, "").pids
    assert given("grpc://192.0.2.1:9092", "").pids == ()


@pytest.mark.soak
@pytest.mark.bazel
@pytest.mark.slow
@pytest.mark.skipif(BAZEL is None, reason="Bazel is not installed (Debian: bazel-bootstrap)")
def test_a_warm_build_is_timed_through_each_cache(tmp_path: Path) -> None:
    with running_server(tmp_path / "one") as one, running_server(tmp_path / "two") as two:
        nobody = "grpc://127.0.0.1:1"
        lines = bench("warm", "--quick", one.grpc_url, "--peer", nobody, "--peer", two.http_url)
    _, *table = rows(lines, "A warm build of 10 actions")
    assert [row[0] for row in table] == [one.grpc_url, two.http_url, nobody]
    assert table[2][1] == "-"
    assert "ERROR" in table[2][2]
