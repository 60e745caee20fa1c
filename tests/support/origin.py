# SPDX-License-Identifier: Apache-2.0
"""A web server on loopback that publishes what a test tells it to, well or badly."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator


@attrs.frozen
class Page:
    """One answer; `length` is the Content-Length that is told, None for none; `hang` stops before the end."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = attrs.field(factory=dict)
    length: int | None = -1
    hang: bool = False


class Origin:
    """Pages by path, and what was asked for: paths with their headers."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.port = 0
        self.stopping = threading.Event()

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        """Name a page."""
        return f"http://{host}:{self.port}{path}"

    def publish(self, path: str, body: bytes) -> str:
        """Publish bytes; return their URL."""
        self.pages[path] = Page(body)
        return self.url(path)


@contextmanager
def running_origin() -> Iterator[Origin]:
    """Run one on a free port."""
    origin = Origin()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            origin.asked.append((self.path, dict(self.headers.items())))
            page = origin.pages.get(self.path, Page(b"nothing here", 404))
            self.send_response(page.status)
            for name, value in page.headers.items():
                self.send_header(name, value)
            if page.length is not None:
                self.send_header("Content-Length", str(len(page.body) if page.length < 0 else page.length))
            self.end_headers()
            self.wfile.write(page.body)
            if page.hang:
                self.wfile.flush()
                origin.stopping.wait(60)

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        origin.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield origin
        finally:
            origin.stopping.set()
            server.shutdown()
            thread.join()
