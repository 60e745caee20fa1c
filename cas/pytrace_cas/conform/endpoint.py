# SPDX-License-Identifier: Apache-2.0
"""Where a cache is and how it is reached: its URL, credentials and patience."""

from __future__ import annotations

import re

import attrs

_URL = re.compile(r"(grpcs?|https?)://(\[[0-9A-Fa-f:.%]+\]|[^/@:\[\]]+)(?::([0-9]{1,5}))?((?:/.*)?)")
_PORTS = {"grpc": 9092, "grpcs": 443, "http": 80, "https": 443}


class MalformedEndpoint(ValueError):
    """A text is no endpoint of a cache; `text` is what was given."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text!r} is no endpoint: write grpc://HOST:PORT, grpcs://, http://, https:// or unix:PATH")
        self.text = text


@attrs.frozen
class Endpoint:
    """A URL taken apart; `path` is the way to a socket for `unix`, `instance` what the URL names after the port."""

    url: str
    scheme: str
    authority: str = ""
    path: str = ""
    instance: str = ""

    @classmethod
    def parse(cls, url: str) -> Endpoint:
        """Read a URL; raise `MalformedEndpoint`."""
        if url.startswith("unix:") and len(url) > 5:
            path = url.removeprefix("unix:")
            return cls(url, "unix", path=path.removeprefix("//") or path)
        match = _URL.fullmatch(url)
        if match is None:
            raise MalformedEndpoint(url)
        scheme, host, port, rest = match.groups()
        return cls(url, scheme, f"{host}:{port or _PORTS[scheme]}", instance=rest.strip("/"))

    @property
    def is_http(self) -> bool:
        """Whether it speaks Bazel's HTTP protocol, rather than gRPC."""
        return self.scheme in ("http", "https")

    @property
    def target(self) -> str:
        """What gRPC calls it."""
        return f"unix:{self.path}" if self.path else self.authority


@attrs.frozen
class Access:
    """How a cache is spoken to: headers (kept out of every text), TLS files' contents, seconds that a call may take."""

    headers: tuple[tuple[str, str], ...] = attrs.field(default=(), repr=False)
    ca: bytes | None = attrs.field(default=None, repr=False)
    cert: bytes | None = attrs.field(default=None, repr=False)
    key: bytes | None = attrs.field(default=None, repr=False)
    timeout: float = 20.0
