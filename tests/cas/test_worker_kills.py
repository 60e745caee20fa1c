# SPDX-License-Identifier: Apache-2.0
"""`kill -9` of workers under load, with maintenance beside it: clients that retry lose nothing, read no wrong byte."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

import grpc
import pytest

from pytrace_cas.digest import SHA256
from pytrace_cas.store import Store
from pytrace_proto import bytestream_pb2 as bytestream
from pytrace_proto import bytestream_pb2_grpc, remote_execution_pb2_grpc
from pytrace_proto import remote_execution_pb2 as reapi
from tests.support import messages
from tests.support.server import PYTRACE_CAS, running_server, server_environment
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.server import RunningServer

T = TypeVar("T")

CLIENTS = 4
PATIENCE = 90  # seconds that a client tries to get through
# What a client may see of a worker that dies, and what it then does again.
TO_RETRY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.UNKNOWN)
OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 20),
    ("grpc.max_reconnect_backoff_ms", 100),
    ("grpc.enable_retries", 0),
)


class Client(threading.Thread):
    """Stores and reads until told to stop, and does again what a dead worker did not answer."""

    def __init__(self, target: str, seed: int, stop: threading.Event) -> None:
        super().__init__()
        self._target = target
        self._random = random.Random(seed)
        self._stop_asked = stop
        self.kept: dict[bytes, tuple[bytes, bytes]] = {}
        self.retries = 0
        self.failure: BaseException | None = None

    def run(self) -> None:
        """Store a pair of blobs and their result, and read an earlier one back."""
        try:
            with grpc.insecure_channel(self._target, OPTIONS) as channel:
                while not self._stop_asked.is_set():
                    self._store(channel)
                    self._read(channel, self._random.choice(list(self.kept)))
        except BaseException as error:
            self.failure = error

    def _again(self, call: Callable[[], T]) -> T:
        given_up = time.monotonic() + PATIENCE
        while True:
            try:
                return call()
            except grpc.RpcError as error:
                if error.code() not in TO_RETRY or time.monotonic() > given_up:
                    raise
                self.retries += 1
                time.sleep(0.01)

    def _store(self, channel: grpc.Channel) -> None:
        small, large = self._random.randbytes(500), self._random.randbytes(200_000)
        action = self._random.randbytes(32)
        cas = remote_execution_pb2_grpc.ContentAddressableStorageStub(channel)
        stream = bytestream_pb2_grpc.ByteStreamStub(channel)
        self._again(lambda: cas.BatchUpdateBlobs(messages.update_request(small)))
        self._again(lambda: stream.Write(messages.write_requests(large, messages.upload_name(large), piece=50_000)))
        request = messages.put_result_request(action, messages.result_of({"s": small, "l": large}))
        self._again(lambda: remote_execution_pb2_grpc.ActionCacheStub(channel).UpdateActionResult(request))
        self.kept[action] = (small, large)

    def _read(self, channel: grpc.Channel, action: bytes) -> None:
        small, large = self.kept[action]
        ac = remote_execution_pb2_grpc.ActionCacheStub(channel)
        result: reapi.ActionResult = self._again(lambda: ac.GetActionResult(messages.get_result_request(action)))
        assert result == messages.result_of({"s": small, "l": large})
        stream = bytestream_pb2_grpc.ByteStreamStub(channel)
        asked = bytestream.ReadRequest(resource_name=messages.read_name(large))
        assert self._again(lambda: b"".join(piece.data for piece in stream.Read(asked))) == large


def maintain(server: RunningServer, folder: Path) -> None:
    """Check, prune what nobody needs and back up, beside the load; all of it must be well."""
    verbs = (("check",), ("prune", "--older-than", "1h"), ("prune", "--dry-run"), ("backup", str(folder / "copy")))
    for verb, *arguments in verbs:
        command = [str(PYTRACE_CAS), verb, "--dir", str(server.store), "--json", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=server_environment(), check=False)
        assert done.returncode == 0, (verb, done.stdout, done.stderr)
        assert json.loads(done.stdout)["schema"] == 1


def kill_one(server: RunningServer, chance: random.Random) -> None:
    """Kill a worker, and wait until all are there again."""
    with suppress(ProcessLookupError):
        os.kill(chance.choice(server.workers()), signal.SIGKILL)
    until(lambda: len(server.workers()) >= 2, "another worker")


@pytest.mark.parametrize("kills", [6, pytest.param(60, marks=pytest.mark.soak)])
def test_workers_killed_at_random_lose_nothing_acknowledged(tmp_path: Path, kills: int) -> None:
    stop, chance = threading.Event(), random.Random(kills)
    with running_server(tmp_path / "store", "--workers", "2") as server:
        clients = [Client(server.grpc, kills * CLIENTS + number, stop) for number in range(CLIENTS)]
        for client in clients:
            client.start()
        try:
            for number in range(kills):
                time.sleep(chance.uniform(0.1, 0.6))
                kill_one(server, chance)
                if number == kills // 2:
                    maintain(server, tmp_path)
        finally:
            stop.set()
            for client in clients:
                client.join()
        assert server.terminate() == 0
    assert [client.failure for client in clients if client.failure] == []
    assert sum(client.retries for client in clients)
    with Store.open(bytes(tmp_path / "store"), create=False) as store:
        for client in clients:
            for action, blobs in client.kept.items():
                assert store.get_action_result(SHA256, "", SHA256.of(action)) is not None
                for blob in blobs:
                    assert store.get(SHA256, SHA256.of(blob)) == blob
        assert store.check(read_data=True).problems == ()
