# SPDX-License-Identifier: Apache-2.0
"""Static bearer tokens: lines `NAME:TOKEN` or, so that the file holds no secret, `NAME:sha256:HASH`."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from pytrace_cas.access.files import BadAccessFile, pairs
from pytrace_cas.access.identity import TOKEN, Identity

if TYPE_CHECKING:
    from collections.abc import Mapping

# RFC 6750's b64token.
_TOKEN = re.compile(r"[-A-Za-z0-9._~+/]+=*")
_HASHED = re.compile(r"sha256:([0-9a-f]{64})")
_SHORTEST = 16


class Tokens:
    """The tokens of one file, found by their hashes: how long that takes tells nothing of a token."""

    def __init__(self, by_hash: Mapping[bytes, Identity]) -> None:
        self._by_hash = by_hash

    @classmethod
    def read(cls, path: str) -> Tokens:
        """Read a file; raise `BadAccessFile`. A name may have several tokens, a token has one name."""
        by_hash: dict[bytes, Identity] = {}
        for number, name, token in pairs(path):
            hashed = _HASHED.fullmatch(token)
            if not hashed and (len(token) < _SHORTEST or not _TOKEN.fullmatch(token)):
                raise BadAccessFile(
                    path,
                    f"line {number} has no token: {_SHORTEST} or more letters, digits and -._~+/, or sha256:HASH",
                )
            hash = bytes.fromhex(hashed[1]) if hashed else _hash(token)
            if by_hash.setdefault(hash, Identity(name, TOKEN)).name != name:
                raise BadAccessFile(path, f"line {number} has a token that another name has")
        return cls(by_hash)

    def check(self, token: str) -> Identity | None:
        """Say whose token it is; None when it is nobody's."""
        return self._by_hash.get(_hash(token))


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
