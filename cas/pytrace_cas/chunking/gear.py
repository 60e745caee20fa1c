# SPDX-License-Identifier: Apache-2.0
"""The Gear rolling hash, of every position of a block at once.

The hash at a byte is the sum of GEAR[b] << k over the bytes b that lie k before it, so 64 bits know 64 bytes, and the
lowest 32 bits 32. Sums over twice as many bytes come of two sums: six steps give all 64.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Hashes = NDArray[np.unsignedinteger[Any]]

WINDOW = 64  # bytes that a hash of 64 bits knows


def gear_table(seed: int = 0) -> list[int]:
    """The number of each byte: the first half of the MD5 of 64 such bytes, changed by the seed.

    REAPI's words are "MD5(byte)"; its test vectors and every implementation repeat the byte.
    """
    digests = (hashlib.md5(bytes([byte]) * 64, usedforsecurity=False).digest() for byte in range(256))
    return [int.from_bytes(digest[:8], "big") ^ seed for digest in digests]


def hashes(data: Bytes, table: Hashes) -> Hashes:
    """The hash after each byte, in the width of the table; the bytes before the first count as none.

    So the first `WINDOW - 1` are not those of the stream that the data may be a part of.
    """
    sums = table.take(data)
    step = 1
    while step < table.itemsize * 8 and step < len(sums):
        more = sums[:-step] << table.dtype.type(step)
        sums[step:] += more
        step *= 2
    return sums
