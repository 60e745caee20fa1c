# SPDX-License-Identifier: Apache-2.0
"""Lists of blobs, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from pytrace_cas.digest import FUNCTIONS, Digest, DigestFunction

if TYPE_CHECKING:
    from pytrace_cas.store.index import Index

_ORDERS = {"time": "turn DESC, used DESC, id DESC", "size": "size DESC, id DESC"}
_CALLED = "SELECT hash, size FROM blobs WHERE function = ? AND hash >= ? AND hash <= ? ORDER BY hash LIMIT ?"
_LONGEST_HASH = 64  # bytes
_BY_NUMBER = {function.number: function for function in FUNCTIONS.values()}


@attrs.frozen
class StoredBlob:
    """A blob; `stored`: bytes that it takes where it lies (0 for a part or a list of others), `used`: Unix time."""

    function: DigestFunction
    digest: Digest
    stored: int
    used: int


def blobs_called(index: Index, beginning: str, limit: int) -> list[tuple[DigestFunction, Digest]]:
    """Blobs whose hash begins with these hexadecimal digits, so many at most."""
    low = bytes.fromhex(beginning + "0" * (len(beginning) % 2))
    high = bytes.fromhex(beginning.ljust(2 * _LONGEST_HASH, "f"))
    found: list[tuple[DigestFunction, Digest]] = []
    with index.read() as db:
        for number, function in sorted(_BY_NUMBER.items()):
            rows = db.execute(_CALLED, (number, low, high, limit - len(found))).fetchall()
            found += [(function, Digest(bytes(hash).hex(), size)) for hash, size in rows]
    return found


def list_blobs(index: Index, sort: str, limit: int) -> list[StoredBlob]:
    """The first blobs by `time` of use or by `size`."""
    numbers = ", ".join(map(str, sorted(_BY_NUMBER)))
    query = f"""SELECT function, hash, size, CASE form WHEN 0 THEN ifnull(packed, size) ELSE 0 END, used FROM blobs
    WHERE function IN ({numbers}) ORDER BY {_ORDERS[sort]} LIMIT ?"""
    with index.read() as db:
        rows = db.execute(query, (limit,)).fetchall()
    return [StoredBlob(_BY_NUMBER[row[0]], Digest(bytes(row[1]).hex(), row[2]), row[3], row[4]) for row in rows]
