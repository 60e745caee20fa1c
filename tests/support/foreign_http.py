# SPDX-License-Identifier: Apache-2.0
"""A cache of Bazel's HTTP protocol that is not ours: a real server over a dictionary, with faults on demand."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import attrs


@attrs.define
class ForeignHttp:
    """What it holds by path, how it behaves, and what it was asked.

    `status`: the answer to every request of a method, in place of the right one. `corrupt`: every blob comes out with
    its first byte changed; `cut`: with its last byte missing. `torn`: of each body only half comes, then the end, or
    with `stalled` nothing until the client goes. `forgetful`: each connection is closed after one answer
    that promised to keep it.
    """

    status: dict[str, int] = attrs.field(factory=dict)
    corrupt: bool = False
    cut: bool = False
    torn: bool = False
    stalled: bool = False
    forgetful: bool = False
    bodies: dict[str, bytes] = attrs.field(factory=dict)
    requests: list[tuple[str, str]] = attrs.field(factory=list)
    headers: list[dict[str, str]] = attrs.field(factory=list)
    connections: int = 0

    def sent(self, path: str) -> bytes | None:
        """What is sent for a path."""
        body = self.bodies.get(path)
        if body and "/cas/" in path:
            body = bytes([body[0] ^ 1]) + body[1:] if self.corrupt else body
            body = body[:-1] if self.cut else body
        return body


def _handler(cache: ForeignHttp) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            cache.connections += 1

        def do_GET(self) -> None:
            self._note()
            body = cache.sent(self.path)
            status = cache.status.get(self.command, 404 if body is None else 200)
            self._answer(status, (body or b"") if status == 200 else b"no")

        do_HEAD = do_GET

        def do_PUT(self) -> None:
            self._note()
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = cache.status.get("PUT", 200)
            if status < 300:
                cache.bodies[self.path] = body
            self._answer(status, b"")

        def _note(self) -> None:
            cache.requests.append((self.command, self.path))
            cache.headers.append({name.lower(): value for name, value in self.headers.items()})

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            half = cache.torn or cache.stalled
            if self.command != "HEAD":
                self.wfile.write(body[: len(body) // 2] if half else body)
            if cache.stalled:
                self.rfile.read(1)
            self.close_connection = cache.forgetful or half

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    return Handler


@contextmanager
def foreign_http(cache: ForeignHttp, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve a cache, over TLS with a context; yield its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(cache))
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
