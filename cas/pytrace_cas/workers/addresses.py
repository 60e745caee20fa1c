# SPDX-License-Identifier: Apache-2.0
"""Addresses that a supervisor keeps for its workers, and from everybody else."""

from __future__ import annotations

import errno
import socket
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import attrs

from pytrace_cas.listening import Bound, listen, resolve, telling_why

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytrace_cas.listening import Address, Resolved


@contextmanager
def held(asked: Bound) -> Iterator[tuple[Bound, dict[Address, socket.socket]]]:
    """Hold both addresses; give them with their ports, and the sockets that workers are to inherit."""
    with ExitStack() as stack:
        grpc, _ = _hold_in(stack, asked.grpc)
        inherited: dict[Address, socket.socket] = {}
        http = asked.http
        if http is not None:
            http, sockets = _hold_in(stack, http)
            if http.path:
                inherited[http] = sockets[0]
        yield attrs.evolve(asked, grpc=grpc, http=http), inherited


def _hold_in(stack: ExitStack, address: Address) -> tuple[Address, tuple[socket.socket, ...]]:
    address, sockets = hold(address)
    for one in sockets:
        stack.enter_context(one)
    return address, sockets


def hold(address: Address) -> tuple[Address, tuple[socket.socket, ...]]:
    """Take an address for processes that will listen there; raise `AddressInUse`, `AddressNotAvailable`.

    Returns it with the port that was chosen, and sockets that keep it until they are closed: of TCP, bound ones that
    do not listen, beside which `listen(shared=True)` may; of a unix address, the one that listens, to be inherited.
    """
    with telling_why(address):
        if address.path:
            return address, (listen(address),)
        found = resolve(address)
        first = _hold_tcp(*found[0])
        address = attrs.evolve(address, port=first.getsockname()[1])
        return address, (first, *_hold_others(address, found[1:]))


def _hold_others(address: Address, found: list[Resolved]) -> Iterator[socket.socket]:
    """A name may stand for several addresses; gRPC listens at all that this machine has."""
    for family, kind, protocol, target in found:
        try:
            yield _hold_tcp(family, kind, protocol, (target[0], address.port, *target[2:]))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise


def _hold_tcp(
    family: socket.AddressFamily, kind: socket.SocketKind, protocol: int, target: tuple[Any, ...]
) -> socket.socket:
    """Bind a socket that only this user's own processes can bind beside, and only with SO_REUSEPORT.

    Without SO_REUSEPORT, binding fails where another server listens or holds; but its holder must be set to share
    from its first bind on, and must not be set to reuse. So one socket asks, and another, bound beside it, holds.
    """
    with socket.socket(family, kind, protocol) as asking:
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        asking.bind(target)
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holding = socket.socket(family, kind, protocol)
        try:
            holding.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            holding.bind((target[0], asking.getsockname()[1], *target[2:]))
        except BaseException:
            holding.close()
            raise
    return holding
