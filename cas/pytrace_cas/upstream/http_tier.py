# SPDX-License-Identifier: Apache-2.0
"""A tier that speaks Bazel's HTTP protocol: GET, HEAD and PUT of `/ac/HASH` and `/cas/HASH`, SHA-256 only."""

from __future__ import annotations

import ssl
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import urllib3
from urllib3.util import Retry, Timeout

from pytrace_cas.digest import SHA256, Digest
from pytrace_cas.upstream.location import safe_path
from pytrace_cas.upstream.one_by_one import AT_A_TIME, Looker
from pytrace_cas.upstream.tier import CHUNK, LARGEST_RESULT, BlobAbsent, TierFailed, TierRefused, patience

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pytrace_cas.digest import DigestFunction
    from pytrace_cas.upstream.location import Upstream

_ABSENT = (404, 410)
_KEPT = 2 * AT_A_TIME  # connections that wait for the next request
_NO_REDIRECTS = Retry(total=0, redirect=False, raise_on_redirect=False)


class HttpTier:
    """A pool of kept connections. The URL's path stands before `/ac` and `/cas`, an instance's name before `/ac`."""

    def __init__(self, upstream: Upstream) -> None:
        location = upstream.location
        self.name = location.name
        self._base = f"{location.scheme}://{location.authority}/"
        self._prefix = location.prefix
        self._timeout = upstream.timeout
        self._headers = upstream.all_headers()
        self._pool = urllib3.PoolManager(
            maxsize=_KEPT, retries=_NO_REDIRECTS, ssl_context=_tls(upstream) if location.secure else None
        )
        self._looker = Looker(upstream.timeout)

    def serves(self, function: DigestFunction) -> bool:
        """SHA-256 alone."""
        return function is SHA256

    def missing(self, function: DigestFunction, digests: Sequence[Digest]) -> list[Digest]:
        """A HEAD for each."""
        return self._looker.missing(digests, lambda digest: self.find(function, digest.hash) == digest)

    def find(self, function: DigestFunction, hash: str) -> Digest | None:
        """What the length of its answer says."""
        with self._asked("HEAD", f"cas/{hash}") as response:
            if self._absent(response):
                return None
            length = response.headers.get("content-length", "")
            if not length.isdecimal():
                raise TierFailed(self.name, "it does not say how long a blob is")
            return Digest(hash, int(length))

    def read(self, function: DigestFunction, digest: Digest, sink: Callable[[bytes], object]) -> None:
        """One GET."""
        with self._asked("GET", f"cas/{digest.hash}") as response:
            length = response.headers.get("content-length", "")
            if self._absent(response) or (length.isdecimal() and int(length) != digest.size_bytes):
                raise BlobAbsent(digest)
            for chunk in self._body(response, digest.size_bytes):
                sink(chunk)

    def write(self, function: DigestFunction, digest: Digest, chunks: Iterable[bytes]) -> None:
        """One PUT."""
        self._put(f"cas/{digest.hash}", chunks, digest.size_bytes)

    def get_result(self, function: DigestFunction, instance: str, digest: Digest) -> bytes | None:
        """One GET; the action's size is not part of the question."""
        with self._asked("GET", "ac/" + digest.hash, instance) as response:
            if self._absent(response):
                return None
            message = b"".join(self._body(response, LARGEST_RESULT))
        if len(message) > LARGEST_RESULT:
            raise TierFailed(self.name, "an answer is larger than any result")
        return message

    def put_result(self, function: DigestFunction, instance: str, digest: Digest, message: bytes) -> None:
        """One PUT."""
        self._put("ac/" + digest.hash, (message,), len(message), instance)

    def close(self) -> None:
        """Close the kept connections."""
        self._looker.close()
        self._pool.clear()

    def _put(self, path: str, chunks: Iterable[bytes], size: int, instance: str = "") -> None:
        with self._asked("PUT", path, instance, chunks, size) as response:
            if response.status >= 500 and response.status != 507:
                raise TierFailed(self.name, f"PUT is answered with status {response.status}")
            if response.status >= 300:
                raise TierRefused(self.name, f"PUT is answered with status {response.status}")

    def _absent(self, response: urllib3.BaseHTTPResponse) -> bool:
        """Whether an answer says that there is nothing; raise `TierFailed` if it says neither that nor 200."""
        if response.status in _ABSENT:
            response.drain_conn()  # so that the connection is kept
            return True
        if response.status != 200:
            raise TierFailed(self.name, f"it answers with status {response.status}")
        return False

    def _body(self, response: urllib3.BaseHTTPResponse, limit: int) -> Iterator[bytes]:
        """An answer's body, little beyond the limit at most; raise `TierFailed` if it comes too slowly."""
        end = time.monotonic() + patience(self._timeout, limit)
        left = limit + 1
        while left > 0 and (chunk := response.read1(CHUNK, decode_content=False)):
            left -= len(chunk)
            yield chunk
            if time.monotonic() > end:
                raise TierFailed(self.name, "it sends too slowly")

    @contextmanager
    def _asked(
        self, method: str, path: str, instance: str = "", chunks: Iterable[bytes] | None = None, size: int = 0
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        """Ask, and read the answer in the context; a connection whose answer was not read to its end is closed."""
        full = safe_path(self._prefix, instance, path)
        if full is None:
            raise TierRefused(self.name, "an instance's name cannot be part of a path")
        headers = dict(self._headers)
        if chunks is not None:
            headers |= {"content-type": "application/octet-stream", "content-length": str(size)}
        response: urllib3.BaseHTTPResponse | None = None
        try:
            response = self._pool.request(
                method,
                self._base + full,
                body=chunks,
                headers=headers,
                timeout=Timeout(self._timeout),
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
            yield response
            response.drain_conn()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise TierFailed(self.name, str(error) or type(error).__name__) from error
        finally:
            if response is not None:
                # Kept when it was read to the end, closed otherwise.
                response.close()
                response.release_conn()


def _tls(upstream: Upstream) -> ssl.SSLContext:
    """TLS as the user wants it; raise OSError when a file cannot be used."""
    context = ssl.create_default_context(cafile=upstream.ca)
    if upstream.cert is not None:
        context.load_cert_chain(upstream.cert, upstream.key)
    return context
