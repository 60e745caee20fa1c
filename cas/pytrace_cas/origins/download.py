# SPDX-License-Identifier: Apache-2.0
"""Downloading over HTTP, from allowed origins alone, each redirect included.

A name is resolved once, judged, and the connection goes to the address that was judged, so that a name which means
something else a moment later leads nowhere. Time is bounded as a whole, however slowly an origin drips.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from pytrace_cas import __version__
from pytrace_cas.origins.allowed import check_addresses
from pytrace_cas.origins.errors import (
    AssetAbsent,
    AssetTooLarge,
    OriginFailed,
    OriginRefused,
    OriginTimeout,
    TruncationPossible,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from urllib3 import HTTPResponse

    from pytrace_cas.origins.allowed import AllowList, Target

    Write = Callable[[bytes], object]

MOST_REDIRECTS = 10
CONNECT_SECONDS = 15.0
PIECE = 256 << 10
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_ABSENT = frozenset((404, 410))
_REFUSED = frozenset((401, 402, 403, 407, 451))
_OWN_HEADERS = {"User-Agent": f"pytrace-cas/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity"}


class Downloader:
    """Downloads of one server; safe to use from many threads. Assets have at most `max_bytes` bytes."""

    def __init__(self, allowed: AllowList, max_bytes: int) -> None:
        self._allowed = allowed
        self._max_bytes = max_bytes
        self._tls = ssl.create_default_context()
        self._lock = threading.Lock()
        # The sockets themselves: a connection lets go of its own as soon as the last answer has begun.
        self._open: set[socket.socket] = set()
        self._closed = False

    def fetch(self, url: str, headers: Mapping[str, str], seconds: float, write: Write, *, verified: bool) -> None:
        """Hand an asset's bytes to `write`; raise a `FetchError`.

        `headers` go to the origin of `url` and to no other. `verified`: whether the caller has a checksum, without
        which only bodies are taken whose end the origin states.
        """
        target = first = self._allowed.target(url)
        deadline = time.monotonic() + seconds
        for _ in range(MOST_REDIRECTS + 1):
            sent = dict(headers) if target.origin == first.origin else {}
            try:
                onward = self._ask(target, sent, deadline, write, verified)
            except (OSError, HTTPError, ValueError) as error:
                if time.monotonic() >= deadline:
                    raise OriginTimeout(target.origin, seconds) from None
                raise OriginFailed(target.origin, _short(error)) from error
            if time.monotonic() >= deadline:
                # A body without a stated end would look complete.
                raise OriginTimeout(target.origin, seconds)
            if onward is None:
                return
            target = self._allowed.target(urljoin(target.url, onward))
        raise OriginFailed(first.origin, f"more than {MOST_REDIRECTS} redirects")

    def close(self) -> None:
        """Break off what is running, and refuse what comes."""
        with self._lock:
            self._closed = True
            sockets = list(self._open)
        for connected in sockets:
            _cut(connected)

    def _ask(
        self, target: Target, headers: Mapping[str, str], deadline: float, write: Write, verified: bool
    ) -> str | None:
        """Ask once; return where a redirect leads."""
        with self._connected(target, deadline) as connection:
            sent = {**_OWN_HEADERS, **headers, "Host": _host(target)}
            connection.request("GET", target.path, headers=sent, preload_content=False, decode_content=False)
            response = connection.getresponse()
            if response.status in _REDIRECTS and "location" in response.headers:
                return response.headers["location"]
            self._judge(target, response, verified)
            self._receive(target, response, write)
            return None

    @contextmanager
    def _connected(self, target: Target, deadline: float) -> Iterator[HTTPConnection]:
        """Connect to one of the host's addresses; cut the connection at the deadline."""
        connection = self._connect(target, deadline)
        connected = connection.sock
        timer = threading.Timer(max(0.0, deadline - time.monotonic()), _cut, (connected,))
        timer.daemon = True
        with self._lock:
            self._open.add(connected)
            closed = self._closed
        timer.start()
        try:
            if closed:
                raise OriginFailed(target.origin, "this server is stopping")
            yield connection
        finally:
            timer.cancel()
            with self._lock:
                self._open.discard(connected)
            connection.close()

    def _connect(self, target: Target, deadline: float) -> HTTPConnection:
        addresses = _resolve(target)
        check_addresses(target, addresses)
        for last, address in enumerate(addresses, 1 - len(addresses)):
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            connection = self._connection(target, address, min(left, CONNECT_SECONDS))
            try:
                connection.connect()
            except (OSError, HTTPError):
                connection.close()
                if not last:
                    raise
                continue
            connection.sock.settimeout(max(0.1, deadline - time.monotonic()))
            return connection
        raise OriginFailed(target.origin, "the name has no address")

    def _connection(self, target: Target, address: str, seconds: float) -> HTTPConnection:
        if target.scheme == "http":
            return HTTPConnection(address, target.port, timeout=seconds)
        return HTTPSConnection(
            address,
            target.port,
            timeout=seconds,
            ssl_context=self._tls,
            server_hostname=target.host,
            assert_hostname=target.host,
        )

    def _judge(self, target: Target, response: HTTPResponse, verified: bool) -> None:
        """Raise unless the answer is an asset that can be taken."""
        if response.status in _ABSENT:
            raise AssetAbsent(target.origin, response.status)
        if response.status in _REFUSED:
            raise OriginRefused(target.origin, response.status)
        if response.status != 200:
            raise OriginFailed(target.origin, f"it answered {response.status}")
        if response.headers.get("content-encoding", "identity") != "identity":
            raise OriginFailed(target.origin, "it encoded the content, which was not asked for")
        length = response.headers.get("content-length")
        if length is not None and int(length) > self._max_bytes:
            raise AssetTooLarge(target.origin, self._max_bytes)
        chunked = response.headers.get("transfer-encoding", "").lower() == "chunked"
        if length is None and not chunked and not verified:
            raise TruncationPossible(target.origin)

    def _receive(self, target: Target, response: HTTPResponse, write: Write) -> None:
        length = response.headers.get("content-length")
        received = 0
        while data := response.read1(PIECE, decode_content=False):
            received += len(data)
            if received > self._max_bytes:
                raise AssetTooLarge(target.origin, self._max_bytes)
            write(data)
        if length is not None and received != int(length):
            raise OriginFailed(target.origin, f"it broke off after {received} of {length} bytes")


def _resolve(target: Target) -> list[str]:
    """Return the host's addresses, in the system's order."""
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise OriginFailed(target.origin, "the name cannot be resolved") from None
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _host(target: Target) -> str:
    return target.origin.partition("://")[2]


def _cut(connected: socket.socket) -> None:
    """Let whoever reads from it see the end at once."""
    with suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)


def _short(error: Exception) -> str:
    """Say what broke, without the URL that some errors carry."""
    reason = error.strerror if isinstance(error, OSError) else None
    return reason or type(error).__name__
