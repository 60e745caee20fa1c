# SPDX-License-Identifier: Apache-2.0
"""Whom a job talked to, held against whom it may talk to."""

from __future__ import annotations

import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

EVERYBODY = "*"
_NAME_SERVICE = ":53"


def addresses_of(hosts: Iterable[str]) -> frozenset[str]:
    """The addresses that names stand for now; an address stands for itself."""
    found = set(hosts)
    for host in tuple(found):
        try:
            found |= {str(row[4][0]) for row in socket.getaddrinfo(host, None)}
        except (OSError, UnicodeError):
            continue
    return frozenset(found)


def not_allowed(peers: Collection[str], allowed: Collection[str]) -> list[str]:
    """The peers that may not be talked to. Who may ask for names may ask a name server."""
    if EVERYBODY in allowed:
        return []
    named = addresses_of(allowed)
    return [peer for peer in sorted(peers) if not _is_allowed(peer, named)]


def _is_allowed(peer: str, named: Collection[str]) -> bool:
    if peer in named or (named and peer.endswith(_NAME_SERVICE)):
        return True
    return peer.rpartition(":")[0].strip("[]") in named
