# SPDX-License-Identifier: Apache-2.0
"""Tiers that lie, hang, break off or are not there: misses and metrics, no errors and no wrong bytes."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

import grpc
import pytest

from pytrace_cas.digest import SHA256
from pytrace_cas.upstream.breaker import FAILURES
from tests.support import messages
from tests.support.foreign_grpc import ForeignCache, foreign_grpc
from tests.support.foreign_http import ForeignHttp, foreign_http
from tests.support.server import running_server
from tests.support.upstreams import Client, eventually, metric, pushed, status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOT_FOUND = grpc.StatusCode.NOT_FOUND
REQUESTS = "pytrace_cas_upstream_requests_total"


@pytest.fixture
def hole() -> Iterator[tuple[int, list[socket.socket]]]:
    """A port that takes connections and never says anything; and the connections."""
    taken: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:

        def take() -> None:
            while True:
                try:
                    taken.append(listener.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=take)
        thread.start()
        yield listener.getsockname()[1], taken
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
    for connection in taken:
        connection.close()


def test_a_wrong_blob_is_a_miss_and_counted(tmp_path: Path) -> None:
    blob = os.urandom(100_000)
    cache = ForeignCache(corrupt=True, blobs={SHA256.of(blob).hash: blob})
    with ExitStack() as stack:
        url = stack.enter_context(foreign_grpc(cache))
        server = stack.enter_context(running_server(tmp_path / "a", "--upstream", url))
        client = stack.enter_context(Client(server))
        assert client.missing(blob) == []
        assert client.read_code(blob) == NOT_FOUND
        assert metric(server, REQUESTS, method="read", status="mismatch") == 1
        # It is not believed again, so that the client sends the blob.
        assert client.missing(blob) == [blob]
        client.put(blob)
        assert client.read(blob) == blob
        assert not list((tmp_path / "a" / "tmp").iterdir())


@pytest.mark.parametrize("fault", ["corrupt", "cut", "torn"])
def test_wrong_bodies_over_http(tmp_path: Path, fault: str) -> None:
    blob = os.urandom(300_000)
    cache = ForeignHttp(bodies={f"/cas/{SHA256.of(blob).hash}": blob})
    setattr(cache, fault, True)
    with ExitStack() as stack:
        url = stack.enter_context(foreign_http(cache))
        server = stack.enter_context(running_server(tmp_path / "a", "--upstream", url))
        client = stack.enter_context(Client(server))
        assert client.read_code(blob) == NOT_FOUND
        setattr(cache, fault, False)
        assert client.read(blob) == blob


def test_a_result_that_is_none_is_a_miss(tmp_path: Path) -> None:
    action, other = os.urandom(40), os.urandom(40)
    path = messages.result_of({"/absolute": b"x"}).SerializeToString()
    cache = ForeignHttp(bodies={f"/ac/{SHA256.of(action).hash}": b"\xffnone", f"/ac/{SHA256.of(other).hash}": path})
    with ExitStack() as stack:
        url = stack.enter_context(foreign_http(cache))
        server = stack.enter_context(running_server(tmp_path / "a", "--upstream", url))
        client = stack.enter_context(Client(server))
        assert client.result(action) is None
        assert client.result(other) is None
        assert metric(server, REQUESTS, method="get_result", status="malformed") == 2


def test_a_tier_that_hangs_is_left_alone(tmp_path: Path, hole: tuple[int, list[socket.socket]]) -> None:
    """Its breaker opens; then misses are misses at once, and what is here was never asked of it."""
    port, taken = hole
    known = os.urandom(1000)
    options = ("--upstream", f"http://127.0.0.1:{port}", "--upstream-timeout", "1s", "--upstream-read-only")
    with running_server(tmp_path / "a", *options) as server, Client(server) as client:
        client.put(known)
        readers = [threading.Thread(target=client.read_code, args=(os.urandom(50),)) for _ in range(FAILURES)]
        for reader in readers:
            reader.start()
        assert client.read(known) == known
        for reader in readers:
            reader.join()
        assert status(server)["breaker"] in ("open", "half_open")
        assert metric(server, "pytrace_cas_upstream_breaker", state="closed") == 0
        asked = len(taken)
        for _ in range(50):
            assert client.read(known) == known
            assert client.missing(known) == []
        assert len(taken) == asked
        for _ in range(200):
            assert client.read_code(os.urandom(50)) == NOT_FOUND
        # At most a few probes got through; each of them can only have been one call.
        assert metric(server, REQUESTS, method="read", status="open") >= 190
        assert metric(server, REQUESTS, method="read", status="error") < FAILURES + 10


def test_a_tier_that_is_down_then_up(tmp_path: Path) -> None:
    blobs = [os.urandom(2000) for _ in range(10)]
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        address = f"127.0.0.1:{reserved.getsockname()[1]}"
    with running_server(tmp_path / "a", "--upstream", f"grpc://{address}") as server, Client(server) as client:
        client.put(*blobs)
        for _ in range(20):
            assert client.read_code(os.urandom(50)) == NOT_FOUND
            assert client.result(os.urandom(10)) is None
        assert client.read(blobs[0]) == blobs[0]
        assert status(server)["queue_entries"] == len(blobs)
        eventually(lambda: metric(server, REQUESTS, status="open") > 0)
        with running_server(tmp_path / "far", "--grpc-address", address) as far:
            pushed(server)
            assert status(server)["breaker"] == "closed"
            with Client(far) as there:
                assert there.missing(*blobs) == []


def test_a_tier_that_takes_no_writes(tmp_path: Path) -> None:
    """Readable, but not writable: entries wait their turn, and nothing of it reaches a client."""
    old, new = os.urandom(3000), os.urandom(3000)
    cache = ForeignCache(refusing=grpc.StatusCode.PERMISSION_DENIED, blobs={SHA256.of(old).hash: old})
    with ExitStack() as stack:
        url = stack.enter_context(foreign_grpc(cache))
        server = stack.enter_context(running_server(tmp_path / "a", "--upstream", url))
        client = stack.enter_context(Client(server))
        client.put(new)
        eventually(lambda: metric(server, REQUESTS, method="write", status="refused") >= 2)
        assert status(server)["breaker"] == "closed"
        assert client.read(old) == old
        cache.refusing = None
        pushed(server)
        assert cache.blobs[SHA256.of(new).hash] == new


def test_secrets_are_sent_and_not_shown(tmp_path: Path) -> None:
    cache = ForeignCache()
    with ExitStack() as stack:
        url = stack.enter_context(foreign_grpc(cache)).replace("grpc://", "grpc://who:geheim@")
        options = ("--upstream", url, "--upstream-header", "x-token=verborgen")
        server = stack.enter_context(running_server(tmp_path / "a", *options, "--access-log", "all", stderr=True))
        client = stack.enter_context(Client(server))
        assert client.read_code(os.urandom(10)) == NOT_FOUND
        assert cache.metadata[-1]["x-token"] == "verborgen"
        assert cache.metadata[-1]["authorization"] == "Basic d2hvOmdlaGVpbQ=="
        metric(server, REQUESTS)
        shown = str(status(server))
        server.terminate()
        shown += server.errors()
        assert "verborgen" not in shown
        assert "geheim" not in shown
