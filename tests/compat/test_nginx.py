# SPDX-License-Identifier: Apache-2.0
"""nginx before a server, with the settings of `examples/`: gRPC streams and HTTP go through."""

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

pytestmark = pytest.mark.nginx

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "nginx.conf"
# Where it would keep what it buffers, beside the settings of a system's own.
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@contextmanager
def proxy(server: RunningServer, folder: Path) -> Iterator[tuple[str, str, subprocess.Popen[bytes]]]:
    """Run nginx before a server; yield a gRPC target, a URL and its process."""
    grpc_port, http_port = free_ports()
    folders = "".join(f"\n    {name}_temp_path {folder / name};" for name in TEMPORARY)
    text = EXAMPLE.read_text()
    for old, new in (
        ("listen 19092", f"listen 127.0.0.1:{grpc_port}"),
        ("listen 18080", f"listen 127.0.0.1:{http_port}"),
        ("127.0.0.1:9092", server.grpc),
        ("http://127.0.0.1:8080", server.http_url),
        ("http {", f"http {{{folders}"),
    ):
        assert old in text
        text = text.replace(old, new)
    settings, log = folder / "nginx.conf", folder / "log"
    settings.write_text(f"daemon off;\nmaster_process off;\npid {folder / 'pid'};\nerror_log {log};\n{text}")
    with subprocess.Popen(["nginx", "-p", folder, "-e", log, "-c", settings], stderr=subprocess.DEVNULL) as process:
        try:
            yield f"127.0.0.1:{grpc_port}", f"http://127.0.0.1:{http_port}", process
        finally:
            process.terminate()


def test_both_protocols_pass_through(tmp_path: Path) -> None:
    with running_server(tmp_path / "s", "--drain-uploads") as server, proxy(server, tmp_path) as (target, url, process):
        answers(f"{url}/readyz", 200, process)
        passes_through(target, url)
