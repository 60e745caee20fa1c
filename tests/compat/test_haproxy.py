# SPDX-License-Identifier: Apache-2.0
"""HAProxy before a server, with the settings of `examples/`: gRPC streams and HTTP go through, health checks count."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.proxied import answers, free_ports, passes_through
from tests.support.server import running_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.server import RunningServer

pytestmark = pytest.mark.haproxy

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "haproxy.cfg"


@contextmanager
def proxy(server: RunningServer, folder: Path) -> Iterator[tuple[str, str, subprocess.Popen[bytes]]]:
    """Run HAProxy before a server; yield a gRPC target, a URL and its process."""
    grpc_port, http_port = free_ports()
    behind = server.http_url.rpartition(":")[2]
    text = EXAMPLE.read_text()
    for old, new in (
        (":19092", f"127.0.0.1:{grpc_port}"),
        (":18080", f"127.0.0.1:{http_port}"),
        ("127.0.0.1:9092", server.grpc),
        ("127.0.0.1:8080", f"127.0.0.1:{behind}"),
        ("check port 8080", f"check port {behind}"),
    ):
        assert old in text
        text = text.replace(old, new)
    settings = folder / "haproxy.cfg"
    settings.write_text(text)
    with subprocess.Popen(["haproxy", "-db", "-f", settings], stderr=subprocess.DEVNULL) as process:
        try:
            yield f"127.0.0.1:{grpc_port}", f"http://127.0.0.1:{http_port}", process
        finally:
            process.terminate()


def test_both_protocols_pass_through_and_a_server_that_stops_is_noticed(tmp_path: Path) -> None:
    options = ("--workers", "2", "--drain-uploads")
    with running_server(tmp_path / "s", *options) as server, proxy(server, tmp_path) as (target, url, process):
        answers(f"{url}/readyz", 200, process)
        passes_through(target, url)
        assert server.terminate() == 0
        answers(f"{url}/readyz", 503, process)
