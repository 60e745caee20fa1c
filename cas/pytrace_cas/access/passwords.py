# SPDX-License-Identifier: Apache-2.0
"""Passwords as `htpasswd -B` writes them: `NAME:$2y$COST$...`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytrace_cas.access.files import BadAccessFile, pairs
from pytrace_cas.access.identity import PASSWORD, Identity

if TYPE_CHECKING:
    from collections.abc import Mapping

_BCRYPT = re.compile(r"\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53}")
# Each step of the cost doubles the time of a check; 16 is some four seconds.
_COSTS = range(4, 17)
# bcrypt reads no more, and `htpasswd` cuts what is longer in silence.
_LONGEST = 72


class Passwords:
    """The hashes of one file; `check` takes as long for a name that is not there as for one that is."""

    def __init__(self, hashes: Mapping[str, bytes]) -> None:
        # Imported here, since few servers have passwords.
        import bcrypt

        self._bcrypt = bcrypt
        self._hashes = hashes
        cost = max((int(hash[4:6]) for hash in hashes.values()), default=_COSTS[0])
        self._nobody = bcrypt.hashpw(b"", bcrypt.gensalt(cost))

    @classmethod
    def read(cls, path: str) -> Passwords:
        """Read a file; raise `BadAccessFile`."""
        hashes: dict[str, bytes] = {}
        for number, name, hash in pairs(path):
            if not (match := _BCRYPT.fullmatch(hash)):
                raise BadAccessFile(path, f"line {number} has no bcrypt hash: write it with `htpasswd -B`")
            if int(match[1]) not in _COSTS:
                raise BadAccessFile(path, f"line {number}: costs from {_COSTS[0]} to {_COSTS[-1]} are taken")
            if name in hashes:
                raise BadAccessFile(path, f"line {number} names a user again")
            hashes[name] = hash.encode("ascii")
        return cls(hashes)

    def check(self, name: str, password: bytes) -> Identity | None:
        """Say who it is; None when the name or the password is wrong. Takes as long as the hashes want."""
        hash = self._hashes.get(name)
        try:
            right = self._bcrypt.checkpw(password[:_LONGEST], hash or self._nobody)
        except ValueError:
            return None
        return Identity(name, PASSWORD) if right and hash is not None else None
