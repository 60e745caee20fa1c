# SPDX-License-Identifier: Apache-2.0
"""Prometheus scrapes a server with several workers: the sums are there under the names that dashboards know."""

from __future__ import annotations

import json
import socket
import subprocess
import urllib.parse
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs
import grpc
import pytest

from pytrace_cas.digest import SHA256
from pytrace_proto import remote_execution_pb2_grpc
from tests.support import messages
from tests.support.server import running_server
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.server import RunningServer

pytestmark = pytest.mark.prometheus


@attrs.frozen
class Watching:
    """A Prometheus that runs."""

    url: str
    process: subprocess.Popen[bytes]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Ask for the value of an expression now; nothing while it is not up."""
        assert self.process.poll() is None, f"Prometheus ended with status {self.process.returncode}"
        address = f"{self.url}/api/v1/query?query={urllib.parse.quote(expression)}"
        try:
            with urllib.request.urlopen(address, timeout=30) as response:
                found: list[dict[str, Any]] = json.load(response)["data"]["result"]
                return found
        except OSError:
            return []

    def sees(self, expression: str, expected: float) -> None:
        """Wait until the sum of an expression is that."""
        until(
            lambda: [float(row["value"][1]) for row in self.query(f"sum({expression})")] == [expected],
            f"{expected} as the sum of {expression}",
            step=0.05,
        )


@contextmanager
def prometheus(server: RunningServer, folder: Path) -> Iterator[Watching]:
    """Let Prometheus watch a server."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    settings = folder / "prometheus.yaml"
    target = server.http_url.removeprefix("http://")
    settings.write_text(
        "global: {scrape_interval: 500ms}\n"
        f"scrape_configs: [{{job_name: pytrace-cas, static_configs: [{{targets: ['{target}']}}]}}]\n"
    )
    options = (f"--config.file={settings}", f"--storage.tsdb.path={folder}/data", f"--web.listen-address={address}")
    with subprocess.Popen(["prometheus", *options], stderr=subprocess.DEVNULL) as process:
        try:
            yield Watching(f"http://{address}", process)
        finally:
            process.terminate()


def test_it_sees_the_sums_over_all_workers(tmp_path: Path) -> None:
    with running_server(tmp_path / "s", "--workers", "2") as server:
        for _ in range(12):
            with urllib.request.urlopen(f"{server.http_url}/cas/{SHA256.empty_digest().hash}"):
                pass
        with grpc.insecure_channel(server.grpc) as channel:
            cas = remote_execution_pb2_grpc.ContentAddressableStorageStub(channel)
            cas.BatchUpdateBlobs(messages.update_request(b"x" * 1000))
        metrics = urllib.request.urlopen(f"{server.http_url}/metrics").read()
        checked = subprocess.run(["promtool", "check", "metrics"], input=metrics, capture_output=True, check=False)
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
        with prometheus(server, tmp_path) as watching:
            watching.sees("up", 1)
            watching.sees('pytrace_cas_requests_total{method="get",kind="cas",status="hit"}', 12)
            watching.sees('grpc_server_handled_total{grpc_method="BatchUpdateBlobs",grpc_code="OK"}', 1)
            watching.sees("pytrace_cas_blob_bytes_count", 1)
            watching.sees("pytrace_cas_disk_size_limit_bytes", 10 << 30)
            (row,) = watching.query("pytrace_cas_disk_size_bytes")
            assert float(row["value"][1]) > 1000
