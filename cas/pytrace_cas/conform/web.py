# SPDX-License-Identifier: Apache-2.0
"""Requests over HTTP, each on a connection of its own and with a deadline."""

from __future__ import annotations

import http.client
import os
import ssl
import tempfile
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytrace_cas.conform.endpoint import Access, Endpoint

MOST_BYTES = 16 << 20


class RequestFailed(Exception):
    """No answer came to a request: the connection broke, or what came is no HTTP."""


@attrs.frozen
class Answer:
    """Status, headers by lower-case name, and body."""

    status: int
    headers: Mapping[str, str]
    body: bytes = attrs.field(repr=False)


class Web:
    """An HTTP cache below a URL; safe to use from many threads."""

    def __init__(self, endpoint: Endpoint, access: Access, instance: str) -> None:
        self._endpoint = endpoint
        self._access = access
        self.prefix = "".join(f"/{quote(part)}" for part in (endpoint.instance, instance) if part)
        self._tls = _tls(access) if endpoint.scheme == "https" else None

    @property
    def has_credentials(self) -> bool:
        """Whether requests carry headers of the user's."""
        return bool(self._access.headers)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        anonymous: bool = False,
    ) -> Answer:
        """Make a request below the instance's prefix; raise `RequestFailed`. `anonymous` sends no credentials."""
        return self.ask_at(method, self.prefix + path, body, headers, anonymous=anonymous)

    def ask_at(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        anonymous: bool = False,
    ) -> Answer:
        """Make a request at a path of the server."""
        connection = self._connection()
        own = {} if anonymous else dict(self._access.headers)
        sent: dict[str, Any] = {**own, **(headers or {})}
        try:
            connection.request(method, path, body, sent, encode_chunked=False)
            return self._answer(connection.getresponse())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise RequestFailed(f"{method} {path}: {type(error).__name__}: {error}") from None
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        authority, timeout = self._endpoint.authority, self._access.timeout
        if self._tls is not None:
            return http.client.HTTPSConnection(authority, timeout=timeout, context=self._tls)
        return http.client.HTTPConnection(authority, timeout=timeout)

    def _answer(self, response: http.client.HTTPResponse) -> Answer:
        deadline = time.monotonic() + self._access.timeout
        body = bytearray()
        while chunk := response.read1(1 << 16):
            body += chunk
            if len(body) > MOST_BYTES or time.monotonic() > deadline:
                raise TimeoutError("a body without end")
        return Answer(response.status, {key.lower(): value for key, value in response.getheaders()}, bytes(body))


def _tls(access: Access) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=access.ca.decode() if access.ca else None)
    if access.cert and access.key:
        # The library reads certificates from files alone.
        with tempfile.TemporaryDirectory() as folder:
            names = [os.path.join(folder, name) for name in ("cert", "key")]
            for name, content in zip(names, (access.cert, access.key), strict=True):
                with open(os.open(name, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
                    file.write(content)
            context.load_cert_chain(*names)
    return context
