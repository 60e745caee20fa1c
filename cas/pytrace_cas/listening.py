# SPDX-License-Identifier: Apache-2.0
"""Addresses that a server listens at: `HOST:PORT` (port 0: any free one) and `unix:PATH`."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator


class MalformedAddress(ValueError):
    """A text that is no address; `text` is what was given."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text!r} is no address: write HOST:PORT or unix:PATH")
        self.text = text


class AddressInUse(Exception):
    """Somebody listens there already; `address` says where."""

    def __init__(self, address: str) -> None:
        super().__init__(f"{address} is in use; choose another one or stop the server that has it")
        self.address = address


class AddressNotAvailable(Exception):
    """Nobody can listen there on this machine; `address` says where, `why` the system's reason."""

    def __init__(self, address: str, why: str) -> None:
        super().__init__(f"cannot listen at {address}: {why}")
        self.address = address
        self.why = why


@attrs.frozen
class Address:
    """`HOST:PORT` or `unix:PATH`; one of `host` and `path` is set."""

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it: a unix socket, or loopback."""
        if self.path or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read an address; raise `MalformedAddress`."""
        if text.startswith("unix:"):
            path = text.removeprefix("unix:")
            # gRPC writes unix:///absolute/path too.
            path = path[2:] if path.startswith("///") else path
            if not path:
                raise MalformedAddress(text)
            return cls(path=os.path.abspath(path))
        host, _, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
            raise MalformedAddress(text)
        return cls(host=host, port=int(port))


@attrs.frozen
class Bound:
    """Where a server listens, with the ports that were chosen; `tls`: whether connections are encrypted."""

    grpc: Address
    http: Address | None
    tls: bool = False

    @property
    def beyond_loopback(self) -> bool:
        """Whether other machines can reach it."""
        return any(address is not None and not address.is_local for address in (self.grpc, self.http))

    def __str__(self) -> str:
        """Say it as URLs, gRPC first."""
        s = "s" if self.tls else ""
        urls = [f"grpc{s}://{self.grpc}" if not self.grpc.path else str(self.grpc)]
        if self.http is not None:
            urls.append(f"http{s}://{self.http}" if not self.http.path else str(self.http))
        return " ".join(urls)


@contextmanager
def telling_why(address: Address) -> Iterator[None]:
    """Turn what the system says of an address into `AddressInUse` or `AddressNotAvailable`."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise AddressInUse(str(address)) from None
        raise AddressNotAvailable(str(address), error.strerror or str(error)) from None


def listen(address: Address, *, shared: bool = False) -> socket.socket:
    """Open a listening TCP or unix socket; raise `AddressInUse`, `AddressNotAvailable`.

    A socket file that nobody listens at any more is replaced; the new one is its owner's alone. `shared`: beside
    other processes of this user that listen at the same TCP address; the kernel deals out connections.
    """
    with telling_why(address):
        return _listen_unix(address) if address.path else _listen_tcp(address, shared)


Resolved = tuple[socket.AddressFamily, socket.SocketKind, int, tuple[Any, ...]]


def resolve(address: Address) -> list[Resolved]:
    """Look up a TCP address: what sockets are made with, and bound to."""
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return [(family, kind, protocol, target) for family, kind, protocol, _, target in found]


def _listen_tcp(address: Address, shared: bool) -> socket.socket:
    family, kind, protocol, target = resolve(address)[0]
    # asyncio sets TCP_NODELAY only where the protocol is stated; without it, small answers wait 40 ms.
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(target)
        listener.listen(1024)
    except BaseException:
        listener.close()
        raise
    return listener


def _listen_unix(address: Address) -> socket.socket:
    forget_stale(address)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(address.path)
        os.chmod(address.path, 0o600)
        listener.listen(1024)
    except BaseException:
        listener.close()
        raise
    return listener


def forget_stale(address: Address) -> None:
    """Remove a socket file that nobody listens at; raise `AddressInUse` when somebody does.

    Whatever else is there stays, and raises `AddressNotAvailable`.
    """
    with telling_why(address), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(address.path)
        except FileNotFoundError:
            return
        except ConnectionRefusedError:
            if not stat.S_ISSOCK(os.lstat(address.path).st_mode):
                raise AddressNotAvailable(str(address), "a file that is no socket is there") from None
            os.unlink(address.path)
        else:
            raise AddressInUse(str(address))
