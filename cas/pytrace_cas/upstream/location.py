# SPDX-License-Identifier: Apache-2.0
"""Where an upstream tier is, and how it is spoken to; nothing here shows a secret when it is printed."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

import attrs

if TYPE_CHECKING:
    from collections.abc import Sequence

REAPI = ("grpc", "grpcs", "unix")
HTTP = ("http", "https")
OBJECTS = ("s3", "gs", "az")
_PORTS = {"grpc": 9092, "grpcs": 443, "http": 80, "https": 443}


class MalformedLocation(ValueError):
    """A text that says of no tier where it is; `why` says what is wrong with it, without showing it."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@attrs.frozen
class Location:
    """A tier's URL taken apart. `prefix` is its path: part of each instance's name, or of each object's.

    `name` is for metrics and logs: scheme and host. `str` is for people: without credentials.
    """

    scheme: str
    authority: str
    prefix: str
    credentials: str = attrs.field(default="", repr=False)

    @classmethod
    def parse(cls, url: str) -> Location:
        """Read a URL; raise `MalformedLocation`."""
        scheme, colon, rest = url.partition(":")
        if not colon or scheme not in (*REAPI, *HTTP, *OBJECTS):
            raise MalformedLocation(f"it begins with none of {', '.join((*REAPI, *HTTP, *OBJECTS))}")
        if scheme == "unix":
            path = rest.removeprefix("//")
            if not path.startswith("/"):
                raise MalformedLocation("unix: is followed by an absolute path")
            return cls(scheme, path, "")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError as error:
            raise MalformedLocation(str(error)) from None
        if not host or not rest.startswith("//"):
            raise MalformedLocation(f"{scheme}:// is followed by a {'bucket' if scheme in OBJECTS else 'host'}")
        if parts.query or parts.fragment:
            raise MalformedLocation("it has a query or a fragment")
        segments = parts.path.strip("/").split("/")
        if parts.path.strip("/") and any(segment in ("", ".", "..") for segment in segments):
            raise MalformedLocation("its path has an empty segment or one of dots")
        credentials, _, authority = parts.netloc.rpartition("@")
        if scheme in OBJECTS:
            if credentials or port:
                raise MalformedLocation(f"{scheme}:// takes its credentials and its endpoint from the environment")
            return cls(scheme, authority, "/".join(segments))
        shown = f"[{host}]" if ":" in host else host
        return cls(scheme, f"{shown}:{port or _PORTS[scheme]}", unquote("/".join(segments)), unquote(credentials))

    @property
    def name(self) -> str:
        """Scheme and host; of a socket, nothing else."""
        return "unix" if self.scheme == "unix" else f"{self.scheme}://{self.authority}"

    @property
    def secure(self) -> bool:
        """Whether TLS is spoken, as far as the scheme says."""
        return self.scheme in ("grpcs", "https")

    def __str__(self) -> str:
        if self.scheme == "unix":
            return f"unix:{self.authority}"
        return f"{self.scheme}://{self.authority}" + (f"/{self.prefix}" if self.prefix else "")


@attrs.frozen
class Header:
    """A header that is sent with each call; its value is never shown."""

    name: str
    value: str = attrs.field(repr=False)

    def __str__(self) -> str:
        return f"{self.name}=(hidden)"


@attrs.frozen
class Upstream:
    """A tier and how it is used; files are named by their paths, `timeout` is the seconds that an answer may take."""

    location: Location
    headers: Sequence[Header] = ()
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    timeout: float = 10.0
    read_only: bool = False

    def all_headers(self) -> dict[str, str]:
        """The headers by lower-case name, the URL's credentials among them."""
        headers = {header.name.lower(): header.value for header in self.headers}
        if self.location.credentials:
            token = b64encode(self.location.credentials.encode()).decode()
            headers.setdefault("authorization", f"Basic {token}")
        return headers


def content_of(path: str | None) -> bytes | None:
    """The bytes of a certificate's or a key's file."""
    if path is None:
        return None
    with open(path, "rb") as file:
        return file.read()


def safe_path(*parts: str) -> str | None:
    """Join parts, which may have slashes, to a path that no server reads otherwise; None if they cannot be.

    A segment of dots would be resolved on the way.
    """
    segments = [segment for part in parts for segment in part.split("/") if segment]
    if any(segment in (".", "..") for segment in segments):
        return None
    return "/".join(quote(segment, safe="") for segment in segments)
