# SPDX-License-Identifier: Apache-2.0
"""Many clients, workers and servers that are killed, a disk that fills up: nothing acknowledged is lost or wrong.

The store promises to keep blobs for a while (`--min-lifetime`): until then what was acknowledged must be there. Later
it may be gone, since the store is small and evicts; then it is missing, and never wrong.
"""

from __future__ import annotations

import os
import random
import signal
import statistics
import subprocess
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import grpc
import pytest

from pytrace_cas.digest import SHA256
from pytrace_cas.store import Store
from pytrace_proto import bytestream_pb2 as bytestream
from pytrace_proto import bytestream_pb2_grpc, remote_execution_pb2_grpc
from pytrace_proto import remote_execution_pb2 as reapi
from tests.support import messages
from tests.support.server import start_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.server import RunningServer

CLIENTS = 16
LIFETIME = 20  # seconds that the store promises
SAFE = 12  # seconds within which a blob is asked for again: a call may take some time
DISK, LIMIT = "256m", "128M"
KEPT = 400  # blobs that a client remembers
PATIENCE = 120  # seconds that a client tries to get through
SLOWEST = 60  # seconds for one call
AWAY = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL}
FULL = {grpc.StatusCode.RESOURCE_EXHAUSTED}
GROWTH = 64 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(place)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a file system needs root")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


@attrs.define
class Told:
    """What all clients did and met."""

    counts: Counter[str] = attrs.field(factory=Counter)
    writes: list[float] = attrs.field(factory=list)
    failure: BaseException | None = None
    ended: threading.Event = attrs.field(factory=threading.Event)


class Client(threading.Thread):
    """Stores and reads until it is told to end; remembers when what was acknowledged."""

    def __init__(self, target: str, seed: int, told: Told) -> None:
        super().__init__()
        self._target = target
        self._chance = random.Random(seed)
        self._told = told
        self._blobs: list[tuple[float, bytes]] = []

    def run(self) -> None:
        """Work over one channel, which finds its server again."""
        options = [("grpc.max_reconnect_backoff_ms", 500), ("grpc.initial_reconnect_backoff_ms", 100)]
        try:
            with grpc.insecure_channel(self._target, options) as channel:
                while not self._told.ended.is_set():
                    self._one(channel)
        except BaseException as failure:  # told by the test's own thread
            self._told.failure = failure
            self._told.ended.set()

    def _one(self, channel: grpc.Channel) -> None:
        work = self._chance.choices((self._batch, self._stream, self._result, self._read), (3, 2, 2, 5))[0]
        given_up = time.monotonic() + PATIENCE
        while not self._told.ended.is_set():
            try:
                work(channel)
            except grpc.RpcError as error:
                if error.code() in FULL:
                    self._told.counts["refused: no room"] += 1
                    time.sleep(0.05)
                    return
                if error.code() not in AWAY or time.monotonic() > given_up:
                    raise
                self._told.counts["tried again"] += 1
                time.sleep(0.1)
                continue
            return

    def _data(self, most: int) -> bytes:
        return self._chance.randbytes(self._chance.randrange(1, most))

    def _remember(self, data: bytes) -> None:
        self._blobs.append((time.monotonic(), data))
        if len(self._blobs) > KEPT:
            del self._blobs[: KEPT // 2]

    def _batch(self, channel: grpc.Channel) -> None:
        data = self._data(8_000)
        cas = remote_execution_pb2_grpc.ContentAddressableStorageStub(channel)
        began = time.monotonic()
        answer = cas.BatchUpdateBlobs(messages.update_request(data), timeout=SLOWEST)
        self._told.writes.append(time.monotonic() - began)
        (entry,) = answer.responses
        if entry.status.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]:
            self._told.counts["refused: no room"] += 1
            return
        assert not entry.status.code, entry
        self._remember(data)
        self._told.counts["batch"] += 1

    def _stream(self, channel: grpc.Channel) -> None:
        data = self._data(1 << 20)
        stream = bytestream_pb2_grpc.ByteStreamStub(channel)
        requests = messages.write_requests(data, messages.upload_name(data), piece=100_000)
        assert stream.Write(requests, timeout=SLOWEST).committed_size == len(data)
        self._remember(data)
        self._told.counts["stream"] += 1

    def _result(self, channel: grpc.Channel) -> None:
        """A result is answered at once, and everything that it names is there."""
        self._batch(channel)
        if not self._blobs:
            return
        _, data = self._blobs[-1]
        ac = remote_execution_pb2_grpc.ActionCacheStub(channel)
        action = self._chance.randbytes(16)
        try:
            ac.UpdateActionResult(
                messages.put_result_request(action, messages.result_of({"out": data})), timeout=SLOWEST
            )
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.FAILED_PRECONDITION and self._is_old(self._blobs[-1][0]):
                return
            raise
        found = ac.GetActionResult(messages.get_result_request(action), timeout=SLOWEST)
        assert found.output_files[0].digest == messages.digest(data)
        self._told.counts["result"] += 1

    def _read(self, channel: grpc.Channel) -> None:
        if not self._blobs:
            return
        when, data = self._chance.choice(self._blobs)
        old = self._is_old(when)
        if self._chance.random() < 0.3:
            self._find(channel, data, old)
            return
        stream = bytestream_pb2_grpc.ByteStreamStub(channel)
        request = bytestream.ReadRequest(resource_name=messages.read_name(data))
        try:
            found = b"".join(part.data for part in stream.Read(request, timeout=SLOWEST))
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.NOT_FOUND and (old or self._is_old(when)):
                self._told.counts["evicted"] += 1
                return
            raise
        assert found == data
        self._told.counts["read"] += 1

    def _find(self, channel: grpc.Channel, data: bytes, old: bool) -> None:
        cas = remote_execution_pb2_grpc.ContentAddressableStorageStub(channel)
        request = reapi.FindMissingBlobsRequest(blob_digests=[messages.digest(data)])
        missing = cas.FindMissingBlobs(request, timeout=SLOWEST).missing_blob_digests
        assert old or not missing, f"{SHA256.of(data)} was acknowledged and is missing"
        self._told.counts["found" if not missing else "evicted"] += 1

    @staticmethod
    def _is_old(when: float) -> bool:
        return time.monotonic() - when > SAFE


def _workers(server: RunningServer) -> list[int]:
    pid = server.process.pid
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _runs(pid: int) -> bool:
    """Whether a process runs; an orphan that nobody waits for has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    return False


def _resident(pids: list[int]) -> int:
    total = 0
    for pid in pids:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        total = max(total, next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmRSS:")))
    return total


def _descriptors(pids: list[int]) -> int:
    return max(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids)


class Trouble:
    """Kills workers and servers, and fills the disk, in turn; the server comes back at its port."""

    def __init__(self, disk: Path, chance: random.Random, told: Told) -> None:
        self._disk = disk
        self._chance = chance
        self._told = told
        self._options = ("--workers", "2", "--max-size", LIMIT, "--min-lifetime", f"{LIFETIME}s")
        self.server = start_server(disk / "store", *self._options)

    @property
    def target(self) -> str:
        """Where clients connect."""
        return self.server.grpc

    def make(self) -> None:
        """Make some."""
        trouble = self._chance.choices((self._kill_worker, self._kill_server, self._fill_disk), (4, 2, 2))[0]
        trouble()
        self._told.counts[trouble.__name__.strip("_").replace("_", " ")] += 1

    def _kill_worker(self) -> None:
        if workers := _workers(self.server):
            with suppress(ProcessLookupError):  # it was killed just before
                os.kill(self._chance.choice(workers), signal.SIGKILL)

    def _kill_server(self) -> None:
        self.end()
        self.server = start_server(
            self._disk / "store", *self._options, "--grpc-address", self.target, "--http-address", "none"
        )

    def _fill_disk(self) -> None:
        filler = self._disk / "filler"
        # What a buffer still held would fail once more when the file is closed.
        with open(filler, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(1 << 20))
            except OSError:
                self._told.counts["times full"] += 1
        time.sleep(self._chance.uniform(0.2, 1))
        os.unlink(filler)

    def all_workers(self) -> list[int]:
        """The workers, once those that were killed are replaced."""
        deadline = time.monotonic() + PATIENCE
        while len(found := _workers(self.server)) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        return found

    def end(self) -> None:
        """Kill the server, unless it has ended; its workers end with it."""
        if self.server.process.poll() is None:
            workers = _workers(self.server)
            self.server.kill()
            deadline = time.monotonic() + PATIENCE
            while any(map(_runs, workers)) and time.monotonic() < deadline:
                time.sleep(0.01)
        assert self.server.process.stdout is not None
        self.server.process.stdout.close()


@pytest.mark.parametrize("seconds", [15, pytest.param(3600, marks=pytest.mark.soak)])
def test_mixed_load(disk: Path, capsys: pytest.CaptureFixture[str], seconds: int) -> None:
    told, chance = Told(), random.Random(seconds)
    trouble = Trouble(disk, chance, told)
    clients = [Client(trouble.target, number, told) for number in range(CLIENTS)]
    try:
        for client in clients:
            client.start()
        ended = time.monotonic() + seconds
        while time.monotonic() < ended and not told.ended.wait(chance.uniform(0.5, min(6.0, seconds / 6))):
            trouble.make()
        told.ended.wait(1)
        _end(told, clients)
        if told.failure is not None:
            raise told.failure
        workers = trouble.all_workers()
        resident, descriptors = _resident(workers), _descriptors(workers)
        assert trouble.server.terminate() == 0
    finally:
        _end(told, clients)
        trouble.end()
    _print(capsys, told, resident, descriptors)
    assert resident < 4 * GROWTH
    assert descriptors < 400
    _is_sound(disk / "store")


def _end(told: Told, clients: list[Client]) -> None:
    told.ended.set()
    for client in clients:
        client.join()


def _print(capsys: pytest.CaptureFixture[str], told: Told, resident: int, descriptors: int) -> None:
    writes = sorted(told.writes)
    p99 = statistics.quantiles(writes, n=100)[98] if len(writes) > 1 else 0.0
    with capsys.disabled():
        print(f"\nmixed load: {dict(told.counts.most_common())}")
        print(f"small writes: median {statistics.median(writes) * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms")
        print(f"a worker in the end: {resident / (1 << 20):.0f} MiB resident, {descriptors} descriptors")


def _is_sound(place: Path) -> None:
    """Nothing lies about that the next hour's sweep would not find, and everything is what it says."""
    with Store.open(str(place)) as store:
        report = store.check(read_data=True, repair=True)
        assert {problem.code for problem in report.problems} <= {"file-unindexed"}
        assert store.check(read_data=True).problems == ()
        used, limit = store.size()
        assert used <= limit
