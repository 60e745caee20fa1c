# SPDX-License-Identifier: Apache-2.0
"""`serve --workers 2`: one address, one sum of metrics, workers that die and come back, an end that leaves nothing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bench.idle import share_bytes
from pytrace_cas.digest import SHA256
from pytrace_cas.store import Store
from pytrace_proto import bytestream_pb2 as bytestream
from pytrace_proto import bytestream_pb2_grpc, remote_execution_pb2_grpc
from tests.support import messages
from tests.support.server import PYTRACE_CAS, running_server, server_environment, start_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.server import RunningServer

WORKERS = ("--workers", "2")
EMPTY = SHA256.empty_digest().hash
HITS = 'pytrace_cas_requests_total{kind="cas",method="get",status="hit"}'


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place of the test's own for what servers keep while they run."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def until(met: Callable[[], bool]) -> None:
    """Wait for a condition, for as long as tests may take."""
    deadline = time.monotonic() + 120
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def get(url: str) -> bytes:
    """Ask over a connection of its own."""
    with urllib.request.urlopen(url, timeout=30) as response:
        return bytes(response.read())


def is_there(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for does not."""
    with suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    return False


def processor_ticks(pid: int) -> int:
    """What a process has used of processors (proc(5), `stat`)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return int(fields[11]) + int(fields[12])


def hits(server: RunningServer) -> float:
    """Ask for the count of blobs that were read."""
    lines = get(f"{server.http_url}/metrics").decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(HITS))


class SlowUpload:
    """An upload of which the server has the first byte, and gets the others when it is told to end."""

    DATA = b"on its way when the signal came" * 1000  # what is small is not told before its stream ends

    def __init__(self, channel: grpc.Channel) -> None:
        self._name = messages.upload_name(self.DATA)
        self._told = threading.Event()
        stub = bytestream_pb2_grpc.ByteStreamStub(channel)
        self.call = stub.Write.future(self._requests())
        asked = bytestream.QueryWriteStatusRequest(resource_name=self._name)
        until(lambda: stub.QueryWriteStatus(asked).committed_size == 1)

    def _requests(self) -> Iterator[bytestream.WriteRequest]:
        yield bytestream.WriteRequest(resource_name=self._name, data=self.DATA[:1])
        self._told.wait(60)
        yield bytestream.WriteRequest(write_offset=1, data=self.DATA[1:], finish_write=True)

    def end(self) -> None:
        """Send the rest; raise what the call ends with."""
        self._told.set()
        assert self.call.result().committed_size == len(self.DATA)

    def failed(self) -> bool:
        """Wait for the call's end, without sending more; tell whether it failed."""
        try:
            return self.call.exception() is not None
        finally:
            self._told.set()


def test_two_workers_share_both_ports(tmp_path: Path) -> None:
    with running_server(tmp_path / "s", *WORKERS) as server:
        workers = server.workers()
        assert len(workers) == 2
        for url in (server.grpc_url, server.http_url):
            number = int(url.rpartition(":")[2])
            tables = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
            rows = [line.split() for line in tables.splitlines()]
            assert sum(row[3] == "0A" and row[1].endswith(f":{number:04X}") for row in rows) == 2
        assert server.terminate() == 0
        assert not any(is_there(pid) for pid in workers)


@pytest.mark.parametrize("option", ["--grpc-address", "--http-address"])
def test_a_second_server_at_the_port_of_the_first_is_refused(tmp_path: Path, option: str) -> None:
    other = "--http-address" if option == "--grpc-address" else "--grpc-address"
    with running_server(tmp_path / "s", *WORKERS) as server:
        taken = (server.grpc_url if option == "--grpc-address" else server.http_url).partition("://")[2]
        for workers in ("1", "2"):
            options = ("--dir", str(tmp_path / "t"), option, taken, other, "127.0.0.1:0", "--workers", workers)
            done = subprocess.run(
                [PYTRACE_CAS, "serve", *options],
                capture_output=True,
                env=server_environment(),
                check=False,
                timeout=60,
            )
            assert (done.returncode, done.stdout) == (98, b"")


def test_workers_at_a_unix_socket_share_it(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/http"
    with running_server(tmp_path / "s", *WORKERS, "--http-address", address) as server:
        assert len(server.workers()) == 2
        for _ in range(8):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(f"{tmp_path}/http")
                connection.sendall(f"GET /cas/{EMPTY} HTTP/1.0\r\n\r\n".encode())
                assert connection.recv(100).startswith(b"HTTP/1.1 200")


def test_metrics_are_the_sum_of_all_workers_and_go_on_after_a_death(tmp_path: Path, temporary: Path) -> None:
    with running_server(tmp_path / "s", *WORKERS) as server:
        for _ in range(30):
            get(f"{server.http_url}/cas/{EMPTY}")
        assert {hits(server) for _ in range(10)} == {30}
        (folder,) = temporary.glob("pytrace-cas-run-*")
        assert len(list(folder.glob("counter_*.db"))) == 2
        for victim in server.workers():
            os.kill(victim, signal.SIGKILL)
            until(lambda victim=victim: victim not in server.workers() and len(server.workers()) == 2)  # type: ignore[misc]
        until(lambda: _answers(server))
        assert hits(server) == 30
        get(f"{server.http_url}/cas/{EMPTY}")
        assert {hits(server) for _ in range(10)} == {31}
    assert not list(temporary.iterdir())


def _answers(server: RunningServer) -> bool:
    with suppress(OSError):
        return get(f"{server.http_url}/readyz") == b"ok\n"
    return False


def test_a_worker_that_dies_is_replaced_and_the_log_says_so(tmp_path: Path) -> None:
    with running_server(tmp_path / "s", *WORKERS, stderr=True) as server:
        before = server.workers()
        os.kill(before[0], signal.SIGKILL)
        until(lambda: len(server.workers()) == 2 and server.workers() != before)
        assert before[1] in server.workers()
        until(lambda: _answers(server))
        assert server.terminate() == 0
        assert f"(process {before[0]}) was killed by signal 9" in server.errors()


def test_a_killed_supervisor_leaves_no_process_behind(tmp_path: Path, temporary: Path) -> None:
    server = start_server(tmp_path / "s", *WORKERS)
    workers = server.workers()
    server.kill()
    assert server.process.stdout is not None
    # Every worker holds the other end.
    assert server.process.stdout.read() == ""
    server.process.stdout.close()
    until(lambda: not any(is_there(pid) for pid in workers))
    abandoned = set(temporary.iterdir())
    assert abandoned
    with running_server(tmp_path / "s", *WORKERS):
        assert not abandoned & set(temporary.iterdir())


@pytest.mark.parametrize("workers", ["1", "2"])
def test_draining_lets_an_upload_end_and_says_that_it_is_not_ready(tmp_path: Path, workers: str) -> None:
    with (
        running_server(tmp_path / "s", "--workers", workers) as server,
        grpc.insecure_channel(server.grpc) as channel,
    ):
        watch = health_pb2_grpc.HealthStub(channel).Watch  # type: ignore[attr-defined]  # as its stubs say
        states = watch(health_pb2.HealthCheckRequest())
        assert next(states).status == health_pb2.HealthCheckResponse.SERVING
        upload = SlowUpload(channel)
        server.process.send_signal(signal.SIGTERM)
        assert next(states).status == health_pb2.HealthCheckResponse.NOT_SERVING
        states.cancel()
        until(lambda: _status(f"{server.http_url}/readyz") == 503)
        assert _status(f"{server.http_url}/healthz") == 200
        upload.end()
        assert server.process.wait(30) == 0
    with Store.open(bytes(tmp_path / "s")) as store:
        assert store.get(SHA256, SHA256.of(upload.DATA)) == upload.DATA


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=30) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except OSError:
        return 0  # the connection went to a worker that has just ended


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_second_signal_stops_at_once(tmp_path: Path, workers: str) -> None:
    with (
        running_server(tmp_path / "s", "--workers", workers) as server,
        grpc.insecure_channel(server.grpc) as channel,
    ):
        upload = SlowUpload(channel)
        server.process.send_signal(signal.SIGTERM)
        until(lambda: _status(f"{server.http_url}/readyz") == 503)
        assert not upload.call.done()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
        assert upload.failed()
    assert not list((tmp_path / "s" / "tmp").iterdir())


@pytest.mark.parametrize("workers", ["1", "2"])
def test_it_stops_when_nobody_calls_but_not_while_somebody_does(tmp_path: Path, workers: str) -> None:
    with (
        running_server(tmp_path / "s", "--workers", workers, "--idle-timeout", "2s") as server,
        grpc.insecure_channel(server.grpc) as channel,
    ):
        upload = SlowUpload(channel)
        with pytest.raises(subprocess.TimeoutExpired):
            server.process.wait(2.5)
        upload.end()
        assert server.process.wait(30) == 0


def test_a_hang_up_leaves_workers_and_calls_alone(tmp_path: Path) -> None:
    with running_server(tmp_path / "s", *WORKERS) as server, grpc.insecure_channel(server.grpc) as channel:
        before = server.workers()
        cas = remote_execution_pb2_grpc.ContentAddressableStorageStub(channel)
        for _ in range(5):
            server.process.send_signal(signal.SIGHUP)
            assert not cas.BatchUpdateBlobs(messages.update_request(b"x")).responses[0].status.code
        assert server.workers() == before
        assert server.terminate() == 0


def test_a_signal_to_the_whole_group_still_drains(tmp_path: Path) -> None:
    arguments = ("serve", "--dir", str(tmp_path / "s"), "--grpc-address", "127.0.0.1:0", "--http-address", "none")
    process = subprocess.Popen(
        [PYTRACE_CAS, *arguments, *WORKERS],
        stdout=subprocess.PIPE,
        text=True,
        env=server_environment(),
        start_new_session=True,
    )
    assert process.stdout is not None
    with process:
        target = process.stdout.readline().split()[1].removeprefix("grpc://")
        with grpc.insecure_channel(target) as channel:
            upload = SlowUpload(channel)
            os.killpg(process.pid, signal.SIGTERM)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.5)
            upload.end()
        assert process.wait(30) == 0


def test_a_thousand_connections_leave_no_descriptor_open(tmp_path: Path) -> None:
    def descriptors() -> int:
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in (server.process.pid, *server.workers()))

    with running_server(tmp_path / "s", *WORKERS) as server:
        ask(server, 20)
        before = descriptors()
        ask(server, 1000)
        # Connections to the index are kept for the next call: at most one a thread that was ever busy.
        until(lambda: descriptors() <= before + 20)


def ask(server: RunningServer, connections: int) -> None:
    """Connect and ask so often; every twentieth time over gRPC."""
    host, port = server.http_url.removeprefix("http://").split(":")
    for number in range(connections):
        if number % 20:
            with socket.create_connection((host, int(port))) as connection:
                connection.sendall(f"GET /cas/{EMPTY} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                assert connection.recv(100).startswith(b"HTTP/1.1 200")
        else:
            options = (("grpc.use_local_subchannel_pool", 1),)
            with grpc.insecure_channel(server.grpc, options) as channel:
                cas = remote_execution_pb2_grpc.ContentAddressableStorageStub(channel)
                assert not cas.FindMissingBlobs(messages.missing_request(b"")).missing_blob_digests


def test_the_supervisor_has_not_imported_grpc_and_sleeps(tmp_path: Path) -> None:
    with running_server(tmp_path / "s", *WORKERS) as server:
        mapped = Path(f"/proc/{server.process.pid}/maps").read_text()
        assert "cygrpc" not in mapped
        assert "cygrpc" in Path(f"/proc/{server.workers()[0]}/maps").read_text()
        before = processor_ticks(server.process.pid)
        time.sleep(1)
        assert processor_ticks(server.process.pid) - before <= 10


@pytest.mark.parametrize("address", ["127.0.0.1:0", "[::1]:0", "localhost:0"])
def test_names_and_both_kinds_of_addresses_can_be_shared(tmp_path: Path, address: str) -> None:
    if "::1" in address:
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError:
            address = "127.0.0.1:0"  # this machine has no IPv6: nothing is lost that it could have
    options = ("--grpc-address", address, "--http-address", address)
    with running_server(tmp_path / "s", *WORKERS, *options) as server:
        with grpc.insecure_channel(server.grpc) as channel:
            cas = remote_execution_pb2_grpc.ContentAddressableStorageStub(channel)
            assert not cas.FindMissingBlobs(messages.missing_request(b"")).missing_blob_digests
        assert get(f"{server.http_url}/healthz") == b"ok\n"


def test_an_idle_supervisor_and_two_workers_take_little_memory(tmp_path: Path) -> None:
    with running_server(tmp_path / "s", *WORKERS) as server:
        assert share_bytes([server.process.pid, *server.workers()]) < 150_000_000
