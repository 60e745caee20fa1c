# SPDX-License-Identifier: Apache-2.0
"""Which origins may be fetched from: `SCHEME://HOST[:PORT]`, of http and https alone.

HOST is a name or an address, `*.DOMAIN` for everything below a domain, or `*`. Without PORT the scheme's own is
meant. A URL is taken apart once, here, and what was judged is what is connected to.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, quote, urlsplit

import attrs

from pytrace_cas.origins.errors import NotAllowed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    Address = ipaddress.IPv4Address | ipaddress.IPv6Address

PORTS = {"http": 80, "https": 443}
# What a request line may hold as it is; everything else is percent-encoded.
_PLAIN = "%/:=&?~#+!$,;'@()*[]-._"
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class MalformedOrigin(ValueError):
    """A text that names no origin; `text` is what was given."""

    def __init__(self, text: str, why: str) -> None:
        super().__init__(f"{text!r} is no origin: {why}; write https://HOST, http://HOST:PORT or https://*.DOMAIN")
        self.text = text
        self.why = why


@attrs.frozen
class Target:
    """One thing to ask for; `listed` whether its very host is on the list, and not only a pattern."""

    scheme: str
    host: str
    port: int
    path: str
    listed: bool

    @property
    def origin(self) -> str:
        """Name scheme, host and port, as messages may."""
        return _origin(self.scheme, self.host, self.port)

    @property
    def url(self) -> str:
        """The whole URL."""
        return self.origin + self.path


def _origin(scheme: str, host: str, port: int) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"{scheme}://{name}" if port == PORTS[scheme] else f"{scheme}://{name}:{port}"


@attrs.frozen
class AllowedOrigin:
    """One entry of the list."""

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> AllowedOrigin:
        """Read `SCHEME://HOST[:PORT]`; raise `MalformedOrigin`."""
        parts, port = _split(text)
        if parts is None or port is None:
            raise MalformedOrigin(text, "its scheme is neither http nor https, or it has no host")
        if parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None:
            raise MalformedOrigin(text, "there is something beside scheme, host and port")
        host = parts.hostname or ""
        if "*" in host and host != "*" and (not host.startswith("*.") or "*" in host[2:]):
            raise MalformedOrigin(text, "a star stands for whole names only, at the beginning")
        return cls(parts.scheme, host, port)

    def __str__(self) -> str:
        """Write it as it is parsed."""
        return _origin(self.scheme, self.host, self.port)

    def admits(self, scheme: str, host: str, port: int) -> bool:
        """Tell whether an origin is this one, or falls under its star."""
        if (scheme, port) != (self.scheme, self.port):
            return False
        return host == self.host or self.host == "*" or (self.host[:2] == "*." and host.endswith(self.host[1:]))


@attrs.frozen
class AllowList:
    """All entries; an empty list admits nothing."""

    entries: tuple[AllowedOrigin, ...] = ()

    def target(self, url: str) -> Target:
        """Take a URL apart; raise `NotAllowed` unless its origin is on the list."""
        parts, port = _split(url)
        if parts is None or port is None:
            raise NotAllowed(url.partition(":")[0][:40], "only http and https URLs with a host are fetched")
        scheme, host = parts.scheme, _ascii(parts.hostname or "")
        if parts.username is not None:
            raise NotAllowed(_origin(scheme, host, port), "a URL with a user name is not fetched")
        admitting = [entry for entry in self.entries if entry.admits(scheme, host, port)]
        if not admitting:
            raise NotAllowed(_origin(scheme, host, port), "it is not on this server's list of allowed origins")
        path = quote(parts.path or "/", safe=_PLAIN) + (f"?{quote(parts.query, safe=_PLAIN)}" if parts.query else "")
        return Target(scheme, host, port, path, any(entry.host == host for entry in admitting))


def _split(text: str) -> tuple[SplitResult | None, int | None]:
    """Take a URL of a known scheme apart; nothing when it is none, or when parsers may read it differently."""
    if any(character <= " " or character in "\\\x7f" for character in text):
        return None, None
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None, None
    if parts.scheme not in PORTS or not parts.hostname or port == 0:
        return None, None
    return parts, port or PORTS[parts.scheme]


def _ascii(host: str) -> str:
    try:
        return host.encode("idna").decode() if not host.isascii() else host
    except UnicodeError:
        return host


def check_addresses(target: Target, addresses: Iterable[str]) -> None:
    """Raise `NotAllowed` when a name that is only admitted by a star leads to what is not public."""
    if target.listed:
        return
    for text in addresses:
        if not all(_public(address) for address in _meanings(ipaddress.ip_address(text.partition("%")[0]))):
            raise NotAllowed(target.origin, "its address is not a public one; allow the host by its name")


def _public(address: Address) -> bool:
    return address.is_global and not address.is_multicast


def _meanings(address: Address) -> Iterator[Address]:
    """Give an address and those of IPv4 that a translator may make of it."""
    yield address
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            yield address.ipv4_mapped
        if address.sixtofour:
            yield address.sixtofour
        if address.teredo:
            yield address.teredo[1]
        if address in _NAT64:
            yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
