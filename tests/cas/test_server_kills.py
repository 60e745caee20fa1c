# SPDX-License-Identifier: Apache-2.0
"""`kill -9` of a server under load: what it acknowledged is there and right, and its store is sound."""

from __future__ import annotations

import random
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest

from pytrace_cas.digest import SHA256, Digest
from pytrace_cas.store import Store
from pytrace_proto import bytestream_pb2_grpc, remote_execution_pb2_grpc
from pytrace_proto import remote_execution_pb2 as reapi
from tests.support import messages
from tests.support.server import start_server

if TYPE_CHECKING:
    from tests.support.server import RunningServer

CLIENTS = 4
DYING_SERVER = Path(__file__).with_name("dying_server.py")
POINTS = ("staged", "written", "announced", "file-moved-in", "before-commit", "after-commit")


class Client(threading.Thread):
    """Stores blobs and results until the server is gone; remembers what was acknowledged.

    `moment` says how far its last result was: not asked for, under way, or acknowledged.
    """

    def __init__(self, target: str, seed: int) -> None:
        super().__init__()
        self._target = target
        self._random = random.Random(seed)
        self.results: list[tuple[bytes, reapi.ActionResult]] = []
        self.blobs: list[Digest] = []
        self.moment = "before"

    def run(self) -> None:
        """Work until a call fails."""
        with grpc.insecure_channel(self._target) as channel, suppress(grpc.RpcError):
            while True:
                self.moment = "before"
                self._store_one(channel)
                self.moment = "after"
                time.sleep(self._random.uniform(0, 0.02))

    def _store_one(self, channel: grpc.Channel) -> None:
        small = self._random.randbytes(self._random.randrange(1, 10_000))
        large = self._random.randbytes(self._random.randrange(20_000, 200_000))
        cas = remote_execution_pb2_grpc.ContentAddressableStorageStub(channel)
        cas.BatchUpdateBlobs(messages.update_request(small))
        self.blobs.append(SHA256.of(small))
        requests = messages.write_requests(large, messages.upload_name(large), piece=50_000)
        bytestream_pb2_grpc.ByteStreamStub(channel).Write(requests)
        self.blobs.append(SHA256.of(large))
        action = self._random.randbytes(32)
        request = messages.put_result_request(action, messages.result_of({"s": small, "l": large}))
        self.moment = "during"
        remote_execution_pb2_grpc.ActionCacheStub(channel).UpdateActionResult(request)
        self.results.append((action, request.action_result))


def load(server: RunningServer, seed: int) -> list[Client]:
    """Start clients of a server."""
    clients = [Client(server.grpc, seed * CLIENTS + number) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    return clients


def wait_for_the_end(server: RunningServer, clients: list[Client]) -> None:
    """Join the clients of a server that is gone or going."""
    for client in clients:
        client.join()
    server.process.wait(30)
    assert server.process.stdout is not None
    server.process.stdout.close()


def check_all(path: Path, clients: list[Client]) -> None:
    """Read everything back from the store itself."""
    with Store.open(bytes(path), create=False) as store:
        for client in clients:
            for action, result in client.results:
                message = store.get_action_result(SHA256, "", SHA256.of(action))
                assert message is not None
                assert reapi.ActionResult.FromString(message) == result
            for digest in client.blobs:
                assert SHA256.of(store.get(SHA256, digest)) == digest
        assert store.check(read_data=True).problems == ()


@pytest.mark.parametrize("kills", [16, pytest.param(100, marks=pytest.mark.soak)])
def test_killed_at_random_nothing_acknowledged_is_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kills: int
) -> None:
    chance = random.Random(kills)
    clients: list[Client] = []
    moments: list[str] = []
    for number in range(kills):
        server = start_server(tmp_path / "store", "--http-address", "none")
        now = load(server, number)
        while not any(client.results for client in now):
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.1))
        moments += [client.moment for client in now]
        server.kill()
        wait_for_the_end(server, now)
        clients += now
    fell = {moment: moments.count(moment) for moment in ("before", "during", "after")}
    with capsys.disabled():
        print(f"\n{kills} kills of a server with {CLIENTS} clients; when it fell, their writes of results were {fell}")
    assert all(fell.values())
    check_all(tmp_path / "store", clients)


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_a_named_point_nothing_acknowledged_is_lost(tmp_path: Path, point: str) -> None:
    program = (sys.executable, str(DYING_SERVER), point, "24")
    server = start_server(tmp_path / "store", "--http-address", "none", program=program)
    clients = load(server, POINTS.index(point))
    wait_for_the_end(server, clients)
    assert server.process.returncode == -9
    assert any(client.results for client in clients)
    check_all(tmp_path / "store", clients)
