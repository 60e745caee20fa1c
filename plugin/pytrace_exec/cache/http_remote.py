# SPDX-License-Identifier: Apache-2.0
"""A cache that speaks Bazel's HTTP protocol: GET, HEAD and PUT of `/ac/HASH` and `/cas/HASH`, SHA-256 only."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import threading
from contextlib import contextmanager
from urllib.parse import quote

from pytrace_exec.cache.errors import BlobMissing, RemoteDenied, RemoteFailed, RemoteRefused
from pytrace_exec.cache.remote import LARGEST_RESULT, Terms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytrace_cas.digest import Digest, DigestFunction
    from pytrace_exec.cache.remote import Access, Address

CHUNK = 1 << 18
_ASK_FIRST = 1 << 16  # bytes; a smaller blob is sent without asking, which costs as much as the question
_ERROR_PAGE = 1 << 16  # bytes of an answer's body that are read so that the connection can be kept
_ABSENT = (404, 410)
_DENIED = (401, 403)
_FULL = 507
_FAILURES = (OSError, http.client.HTTPException, ValueError)


class HttpRemote:
    """One kept-alive connection; see `Remote`."""

    def __init__(self, address: Address, access: Access) -> None:
        self._address = address
        self._access = access
        self._prefix = f"/{quote(address.instance)}" if address.instance else ""
        self._connection = _new_connection(address, access)

    def terms(self) -> Terms:
        """What the protocol offers; it has no way to ask."""
        return Terms(("sha256",), may_write=None)

    def get_result(self, function: DigestFunction, action: Digest, inline: Sequence[str]) -> bytes | None:
        """The message under a key's hash; nothing comes along inline."""
        with self._exchange("GET", f"/ac/{action.hash}", LARGEST_RESULT) as response:
            if self._absent(response):
                return None
            message = b"".join(self._body(response, LARGEST_RESULT))
        if len(message) > LARGEST_RESULT:
            raise self._failed("the answer is larger than any result")
        return message

    def put_result(self, function: DigestFunction, action: Digest, message: bytes) -> None:
        """Keep a message under a key's hash."""
        self._put(f"/ac/{action.hash}", message, len(message))

    def missing(self, function: DigestFunction, digests: Sequence[Digest]) -> list[Digest]:
        """The small blobs, and those others that the cache does not have."""
        return [digest for digest in digests if digest.size_bytes < _ASK_FIRST or not self._has(digest)]

    def read_many(self, function: DigestFunction, digests: Sequence[Digest]) -> Iterator[tuple[Digest, bytes]]:
        """Blobs one by one: the protocol knows no batches."""
        for digest in digests:
            try:
                yield digest, b"".join(self.read(function, digest))
            except BlobMissing:
                continue

    def read(self, function: DigestFunction, digest: Digest) -> Iterator[bytes]:
        """A blob a piece at a time, one byte beyond its size at most; raise `BlobMissing`."""
        with self._exchange("GET", f"/cas/{digest.hash}", digest.size_bytes) as response:
            if self._absent(response):
                raise BlobMissing(digest)
            yield from self._body(response, digest.size_bytes)

    def write_many(self, function: DigestFunction, blobs: Sequence[tuple[Digest, bytes]]) -> None:
        """Send blobs one by one."""
        for digest, data in blobs:
            self._put(f"/cas/{digest.hash}", data, digest.size_bytes)

    def write(self, function: DigestFunction, digest: Digest, chunks: Iterable[bytes]) -> None:
        """Send a blob a piece at a time."""
        # On a connection of its own: what was sent of it cannot be sent again when a kept one proves to be closed.
        self._connection.close()
        self._put(f"/cas/{digest.hash}", chunks, digest.size_bytes)

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    def _has(self, digest: Digest) -> bool:
        with self._exchange("HEAD", f"/cas/{digest.hash}", 0) as response:
            return not self._absent(response)

    def _put(self, path: str, body: bytes | Iterable[bytes], size: int) -> None:
        with self._exchange("PUT", path, size, body) as response:
            if response.status >= 500 and response.status != _FULL:
                raise self._failed(f"PUT is answered with status {response.status}")
            if response.status >= 300:
                raise RemoteRefused(self._address.name, f"PUT is answered with status {response.status}")

    def _absent(self, response: http.client.HTTPResponse) -> bool:
        """Whether an answer says that there is nothing; raise `RemoteFailed` if it says neither that nor 200."""
        if response.status in (200, *_ABSENT):
            return response.status != 200
        why = f"is answered with status {response.status}"
        if response.status in _DENIED:
            raise RemoteDenied(self._address.name, f"{why}; --remote-header gives credentials")
        raise self._failed(why)

    def _body(self, response: http.client.HTTPResponse, limit: int) -> Iterator[bytes]:
        """An answer's body, one byte beyond the limit at most; raise `RemoteFailed` if it ends too early."""
        left = limit + 1
        while left and (chunk := response.read(min(CHUNK, left))):
            left -= len(chunk)
            yield chunk
        if left and response.length:
            raise self._failed("its answer was cut short")

    def _failed(self, why: str) -> RemoteFailed:
        return RemoteFailed(self._address.name, why)

    @contextmanager
    def _exchange(
        self, method: str, path: str, size: int, body: bytes | Iterable[bytes] | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        """Ask, and read the answer in the context; what goes wrong is `RemoteFailed`, and ends the connection."""
        late = threading.Event()
        try:
            kept = self._connection.sock is not None
            if not kept:
                self._connection.connect()
            with self._deadline(self._access.patience(size), late):
                try:
                    response = self._answer(method, path, size, body)
                except (ConnectionError, http.client.BadStatusLine):
                    # A connection that was kept may have been closed by the other side meanwhile.
                    if not kept or late.is_set() or not (body is None or isinstance(body, bytes)):
                        raise
                    self._connection.close()
                    self._connection.connect()
                    response = self._answer(method, path, size, body)
                yield response
                self._finish(response)
        except (*_FAILURES, RemoteFailed) as error:
            self._connection.close()
            if late.is_set() or isinstance(error, TimeoutError):
                raise self._failed("it did not answer in time (--remote-timeout)") from error
            if isinstance(error, RemoteFailed):
                raise
            raise self._failed(str(error) or type(error).__name__) from error
        except BaseException:
            self._connection.close()
            raise

    def _answer(
        self, method: str, path: str, size: int, body: bytes | Iterable[bytes] | None
    ) -> http.client.HTTPResponse:
        """Send a request and read the head of its answer, which may come before all of the body was taken."""
        headers = dict(self._access.headers)
        if body is not None:
            headers |= {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        try:
            self._connection.request(method, self._prefix + path, body, headers)
        except (BrokenPipeError, ConnectionResetError):
            if body is None:
                raise
        return self._connection.getresponse()

    def _finish(self, response: http.client.HTTPResponse) -> None:
        """Read what is left of an answer, or give the connection up if that is much."""
        response.read(_ERROR_PAGE)
        if not response.isclosed() and response.length != 0:
            self._connection.close()

    @contextmanager
    def _deadline(self, seconds: float, late: threading.Event) -> Iterator[None]:
        """End the connection when time is up: a time limit of the socket's would begin anew with every byte."""

        def give_up() -> None:
            late.set()
            if isinstance(self._connection.sock, socket.socket):
                _shut(self._connection.sock)

        timer = threading.Timer(seconds, give_up)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


def _shut(sock: socket.socket) -> None:
    try:
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:
        return  # It is closed already.


def _new_connection(address: Address, access: Access) -> http.client.HTTPConnection:
    """Return a connection, not opened yet; raise OSError when a file for TLS cannot be used."""
    if address.scheme == "http":
        return http.client.HTTPConnection(address.host, address.port, timeout=access.timeout)
    context = ssl.create_default_context(cafile=None if access.ca is None else os.fsdecode(access.ca))
    if access.cert is not None:
        context.load_cert_chain(access.cert, access.key)
    return http.client.HTTPSConnection(address.host, address.port, timeout=access.timeout, context=context)
