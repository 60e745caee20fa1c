# SPDX-License-Identifier: Apache-2.0
"""FastCDC of 2020 at normalization level 2: a cut where the masked Gear hash is zero.

The mask has more bits before the average size than after it. Each chunk hashes afresh from its least size on, so the
first hashes of a chunk differ from those of the stream; the rest are computed for a whole block at once.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

import numpy as np

from pytrace_cas.chunking.gear import gear_table, hashes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LEAST_AVERAGE, MOST_AVERAGE = 1 << 10, 1 << 20
NORMALIZATION = 2
# From the paper's program: the mask for chunks of 2**8 bytes, 2**9, ..., 2**22.
_FIRST_MASK = 8
_MASKS = (
    0x0000001800035300,
    0x0000019000353000,
    0x0000590003530000,
    0x0000D90003530000,
    0x0000D90103530000,
    0x0000D90303530000,
    0x0000D90313530000,
    0x0000D90F03530000,
    0x0000D90303537000,
    0x0000D90703537000,
    0x0000D90707537000,
    0x0000D91707537000,
    0x0000D91747537000,
    0x0000D91767537000,
    0x0000D93767537000,
)
_KNOWN = 48  # no mask has a higher bit, so a hash that counts knows that many bytes
_BACK = np.arange(_KNOWN)[::-1]  # a place's bytes, the nearest last, from the farthest on
_SHIFTS = np.arange(_KNOWN, dtype=np.uint64)
_LOW = (1 << 32) - 1
_BLOCK = 1 << 15  # positions hashed at once: what is computed of them stays in a processor's cache


class FastCdc:
    """Cuts streams; `average` is a power of two from 1 KiB to 1 MiB. Any thread may use it.

    `least` and `most` follow from the average, as REAPI has it, unless they are given.
    """

    def __init__(self, average: int, seed: int = 0, *, least: int | None = None, most: int | None = None) -> None:
        if not LEAST_AVERAGE <= average <= MOST_AVERAGE or average & (average - 1):
            raise ValueError(f"{average}: not a power of two from {LEAST_AVERAGE} to {MOST_AVERAGE}")
        self.average = average
        self.least = average // 4 if least is None else least
        self.most = average * 4 if most is None else most
        bits = average.bit_length() - 1 - _FIRST_MASK
        self.strict, self.lax = _MASKS[bits + NORMALIZATION], _MASKS[bits - NORMALIZATION]
        self._gear = gear_table(seed)
        self._table = np.array(self._gear, dtype=np.uint64)
        self._low_table = (self._table & np.uint64(_LOW)).astype(np.uint32)
        self._low_mask = np.uint32(self.strict & self.lax & _LOW)

    def chunks(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """The chunks of a stream, which together are the stream; at most `most` bytes and a block are held."""
        held, begin = bytearray(), 0
        places: list[int] = []  # in the stream, where a cut may be
        values: list[int] = []  # the hashes there
        for block in blocks:
            new = len(held)
            held += block
            self._look(held, new, begin, places, values)
            while len(held) >= self.most:
                chunk = self._take(held, begin, places, values)
                begin += len(chunk)
                yield chunk
        while held:
            chunk = self._take(held, begin, places, values)
            begin += len(chunk)
            yield chunk

    def _look(self, held: bytearray, new: int, begin: int, places: list[int], values: list[int]) -> None:
        """Find the places from `new` on where the hash has the zeros that some mask asks for."""
        view = np.frombuffer(held, np.uint8)
        for start in range(max(new, _KNOWN - 1), len(view), _BLOCK):
            data = view[start - _KNOWN + 1 : start + _BLOCK]
            low = hashes(data, self._low_table)[_KNOWN - 1 :]
            found = np.flatnonzero((low & self._low_mask) == 0)
            full = (self._table[data[found[:, None] + _BACK]] << _SHIFTS).sum(axis=1)
            good = ((full & np.uint64(self.strict)) == 0) | ((full & np.uint64(self.lax)) == 0)
            places += (found[good] + (begin + start)).tolist()
            values += full[good].tolist()

    def _take(self, held: bytearray, begin: int, places: list[int], values: list[int]) -> bytes:
        cut = self._cut(held, begin, places, values)
        chunk = bytes(held[:cut])
        del held[:cut]
        passed = bisect_left(places, begin + cut)
        del places[:passed], values[:passed]
        return chunk

    def _cut(self, held: bytearray, begin: int, places: list[int], values: list[int]) -> int:
        """Size of the first chunk of what is held, which is all there is or at least `most`."""
        size = min(len(held), self.most)
        if size <= self.least:
            return size
        # The published program takes bytes two by two: an odd one at an end counts for nothing.
        first, middle, end = (limit // 2 * 2 for limit in (self.least, min(self.average, size), size))
        whole = first + _KNOWN - 1  # from here on, a hash that began at `first` is the stream's
        value = 0
        for place in range(first, min(whole, end)):
            value = (value << 1) + self._gear[held[place]]
            if not value & (self.strict if place < middle else self.lax):
                return place
        for index in range(bisect_left(places, begin + whole), bisect_left(places, begin + end)):
            place = places[index] - begin
            if not values[index] & (self.strict if place < middle else self.lax):
                return place
        return size
