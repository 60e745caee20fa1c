# SPDX-License-Identifier: Apache-2.0
"""A bucket of S3, Google Cloud Storage or Azure as a tier, by way of `obstore`; docs/upstream.md has the layout.

Credentials, region and endpoint come from the environment and from the machine, as the providers' own tools take
them.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import from_url

from pytrace_cas.digest import Digest
from pytrace_cas.upstream.location import content_of, safe_path
from pytrace_cas.upstream.one_by_one import Looker
from pytrace_cas.upstream.tier import CHUNK, LARGEST_RESULT, BlobAbsent, TierFailed, TierRefused, patience

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from pytrace_cas.digest import DigestFunction
    from pytrace_cas.upstream.location import Upstream

_PART = 8 << 20  # bytes of a large object that are sent by one request
_PARTS = 9_000  # S3 takes 10,000
_AT_ONCE = 2  # parts of one object that are sent at a time, each of them in memory
_FAILURES = (BaseError, OSError, ValueError)
_DENIED = (PermissionDeniedError, UnauthenticatedError)


class ObjectTier:
    """`cas/FUNCTION/HASH` and `ac/[INSTANCE/]FUNCTION/HASH-SIZE` below the URL's path."""

    def __init__(self, upstream: Upstream) -> None:
        location = upstream.location
        self.name = location.name
        self._timeout = upstream.timeout
        self._store = from_url(
            str(location),
            client_options=_client_options(upstream),
            retry_config={"max_retries": 2, "retry_timeout": _seconds(upstream.timeout)},
        )
        self._looker = Looker(upstream.timeout)

    def serves(self, function: DigestFunction) -> bool:
        """Every function: its name is part of the object's."""
        return True

    def missing(self, function: DigestFunction, digests: Sequence[Digest]) -> list[Digest]:
        """A HEAD for each."""
        return self._looker.missing(digests, lambda digest: self.find(function, digest.hash) == digest)

    def find(self, function: DigestFunction, hash: str) -> Digest | None:
        """What the object's size says."""
        try:
            return Digest(hash, obstore.head(self._store, _blob(function, hash))["size"])
        except FileNotFoundError:
            return None
        except _FAILURES as error:
            raise self._failed(error) from error

    def read(self, function: DigestFunction, digest: Digest, sink: Callable[[bytes], object]) -> None:
        """One GET."""
        try:
            self._read(_blob(function, digest.hash), digest.size_bytes, sink, exact=True)
        except FileNotFoundError:
            raise BlobAbsent(digest) from None

    def write(self, function: DigestFunction, digest: Digest, chunks: Iterable[bytes]) -> None:
        """One PUT, or one for each part of a large object, which is seen once it is complete."""
        self._put(_blob(function, digest.hash), chunks, digest.size_bytes)

    def get_result(self, function: DigestFunction, instance: str, digest: Digest) -> bytes | None:
        """One GET."""
        pieces: list[bytes] = []
        path = _result(function, instance, digest)
        if path is None:
            return None
        try:
            self._read(path, LARGEST_RESULT, pieces.append)
        except FileNotFoundError:
            return None
        return b"".join(pieces)

    def put_result(self, function: DigestFunction, instance: str, digest: Digest, message: bytes) -> None:
        """One PUT."""
        path = _result(function, instance, digest)
        if path is None:
            raise TierRefused(self.name, "an instance's name cannot be part of an object's")
        self._put(path, (message,), len(message))

    def close(self) -> None:
        """Let go of the threads; the connections go with the object."""
        self._looker.close()

    def _read(self, path: str, limit: int, sink: Callable[[bytes], object], *, exact: bool = False) -> None:
        """Hand an object to a sink, an `exact` one only if it is as large as the limit; raise FileNotFoundError."""
        end = time.monotonic() + patience(self._timeout, limit)
        found = self._guarded(lambda: obstore.get(self._store, path))
        if exact and found.meta["size"] != limit:
            raise FileNotFoundError(path)
        stream = self._guarded(lambda: iter(found.stream(CHUNK)))
        left = limit + 1
        while left > 0 and (chunk := self._guarded(lambda: next(stream, None))) is not None:
            left -= len(chunk)
            sink(bytes(chunk))
            if time.monotonic() > end:
                raise TierFailed(self.name, "it sends too slowly")

    def _guarded(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except FileNotFoundError:
            raise
        except _FAILURES as error:
            raise self._failed(error) from error

    def _put(self, path: str, chunks: Iterable[bytes], size: int) -> None:
        try:
            if size <= _PART:
                obstore.put(self._store, path, b"".join(chunks), use_multipart=False)
            else:
                part = max(_PART, -(-size // _PARTS))
                obstore.put(self._store, path, iter(chunks), chunk_size=part, max_concurrency=_AT_ONCE)
        except _DENIED as error:
            raise TierRefused(self.name, type(error).__name__) from error
        except _FAILURES as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> TierFailed:
        # What the library says at length names keys and requests.
        return TierFailed(self.name, type(error).__name__)


def _blob(function: DigestFunction, hash: str) -> str:
    return f"cas/{function.name}/{hash}"


def _result(function: DigestFunction, instance: str, digest: Digest) -> str | None:
    return safe_path("ac", instance, function.name, f"{digest.hash}-{digest.size_bytes}")


def _client_options(upstream: Upstream) -> Any:
    options: dict[str, Any] = {
        # Every provider's own endpoint is https; another is only used when the operator names it.
        "allow_http": True,
        "connect_timeout": _seconds(upstream.timeout),
        # Of one request, a part of a large object at most.
        "read_timeout": _seconds(patience(upstream.timeout, _PART)),
        # Of one answer to its end; how slowly a large object may come is looked at here.
        "timeout": _seconds(86400),
    }
    if upstream.headers:
        options["default_headers"] = {header.name: header.value for header in upstream.headers}
    if (certificates := content_of(upstream.ca)) is not None:
        options["root_certificate"] = certificates
    return options


def _seconds(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)
