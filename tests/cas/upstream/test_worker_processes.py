# SPDX-License-Identifier: Apache-2.0
"""A server of several processes with one upstream: one of them writes back, all are counted together."""

from __future__ import annotations

import os
import signal
import socket
from typing import TYPE_CHECKING

import grpc
import pytest

from tests.support.server import running_server
from tests.support.upstreams import Client, eventually, metric, pushed, random_blobs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.server import RunningServer

REQUESTS = "pytrace_cas_upstream_requests_total"
BREAKER = "pytrace_cas_upstream_breaker"


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that stands behind the others."""
    with running_server(tmp_path_factory.mktemp("far") / "store") as server:
        yield server


def test_one_writes_back_and_metrics_are_sums(tmp_path: Path, far: RunningServer) -> None:
    near, there, blobs = tmp_path / "near", tmp_path / "other", random_blobs(12, 3000)
    with running_server(near, "--workers", "2", "--upstream", far.grpc_url) as server:
        for blob in blobs:  # each over a connection of its own: any worker may take it
            with Client(server) as client:
                client.put(blob)
        pushed(server)
        written = "pytrace_cas_upstream_bytes_total"
        assert {metric(server, written, direction="written") for _ in range(8)} == {12 * 3000}
        eventually(lambda: metric(server, BREAKER, state="closed") == 2)
        assert metric(server, BREAKER) == 2
        assert metric(server, "pytrace_cas_upstream_queue_entries") == 0
        assert server.terminate() == 0
    with running_server(there, "--workers", "2", "--upstream", far.grpc_url) as server:
        for blob in blobs:
            with Client(server) as client:
                assert client.read(blob) == blob
        assert {metric(server, REQUESTS, method="read", status="ok") for _ in range(8)} == {12}


def test_another_worker_writes_back_when_one_is_killed(tmp_path: Path, far: RunningServer) -> None:
    (first, *others) = random_blobs(5, 500)
    with running_server(tmp_path / "near", "--workers", "2", "--upstream", far.grpc_url) as server:
        with Client(server) as client:
            client.put(first)
        pushed(server)
        victim = server.workers()[0]
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: victim not in server.workers() and len(server.workers()) == 2)
        for blob in others:
            eventually(lambda blob=blob: _stored(server, blob))  # type: ignore[misc]
        eventually(lambda: metric(server, "pytrace_cas_upstream_queue_entries") == 0)
        with Client(far) as there:
            assert there.missing(first, *others) == []


def _stored(server: RunningServer, blob: bytes) -> bool:
    try:
        with Client(server) as client:
            client.put(blob)
    except grpc.RpcError:
        return False  # it went to the worker that was killed
    return True


def test_each_worker_has_a_breaker(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        nobody = f"grpc://127.0.0.1:{reserved.getsockname()[1]}"
    with running_server(tmp_path / "s", "--workers", "2", "--upstream", nobody, "--upstream-read-only") as server:
        assert metric(server, BREAKER) in (1, 2)  # the other one may not have counted itself yet
        eventually(lambda: _miss(server) and metric(server, BREAKER, state="closed") < 2)
        eventually(lambda: metric(server, BREAKER) == 2)


def _miss(server: RunningServer) -> bool:
    with Client(server) as client:
        return client.read_code(os.urandom(20)) == grpc.StatusCode.NOT_FOUND
