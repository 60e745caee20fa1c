# SPDX-License-Identifier: Apache-2.0
"""RepMaxCDC as buildbarn/go-cdc has it: a cut where the Gear hash is highest within a horizon.

Where that place is too far away for one chunk, the search is repeated before it, with room for a chunk in between; so
every chunk but a short stream's only one has from `least` to twice that, less one byte.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pytrace_cas.chunking.gear import WINDOW, gear_table, hashes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytrace_cas.chunking.gear import Hashes

_BLOCK = 1 << 15  # hashes computed at once, of which the highest is noted


class RepMaxCdc:
    """Cuts streams into chunks of `least` bytes (64 or more) on; any thread may use it."""

    def __init__(self, least: int, horizon: int) -> None:
        if least < WINDOW or horizon < 0:
            raise ValueError(f"least {least} is below {WINDOW}, or the horizon {horizon} below 0")
        self.least = least
        self.horizon = horizon
        self._table = np.array(gear_table(), dtype=np.uint64)

    def chunks(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """The chunks of a stream, which together are the stream; the horizon and its hashes are held."""
        held, begin = bytearray(), 0
        peaks = _Peaks(self._table)
        peek = 2 * self.least + self.horizon
        for block in blocks:
            held += block
            peaks.extend(block)
            while peaks.end - begin >= peek:
                chunk = self._take(held, begin, peaks, peek)
                begin += len(chunk)
                yield chunk
        peaks.finish()
        while held:
            chunk = self._take(held, begin, peaks, min(peek, len(held)))
            begin += len(chunk)
            yield chunk

    def _take(self, held: bytearray, begin: int, peaks: _Peaks, size: int) -> bytes:
        cut = self._cut(begin, peaks, size)
        chunk = bytes(held[:cut])
        del held[:cut]
        peaks.forget(begin + cut)
        return chunk

    def _cut(self, begin: int, peaks: _Peaks, size: int) -> int:
        """Size of the next chunk, when that many bytes may be looked at."""
        if size < 2 * self.least:
            return size
        last = size - self.least
        while True:
            cut = peaks.highest(begin + self.least, begin + last) - begin
            if cut < 2 * self.least:
                return cut
            last = cut - self.least


class _Peaks:
    """The hashes of a stream, a block after the other, and where they are highest.

    The hash at a place is that of the bytes before it: place 64 has the first whole one.
    """

    def __init__(self, table: Hashes) -> None:
        self.end = 0  # bytes that were hashed
        self._table = table
        self._rest = bytearray(WINDOW - 1)  # what goes before, and what is to be hashed
        self._blocks: dict[int, tuple[Hashes, int, int]] = {}  # by number: hashes, the highest, where that is
        self._oldest = 0

    def extend(self, data: bytes) -> None:
        """Take the bytes that follow, and hash whole blocks."""
        self._rest += data
        while len(self._rest) >= WINDOW - 1 + _BLOCK:
            self._hash(_BLOCK)

    def finish(self) -> None:
        """Hash what is left: the stream ends here."""
        if len(self._rest) >= WINDOW:
            self._hash(len(self._rest) - WINDOW + 1)

    def forget(self, place: int) -> None:
        """Let go of what lies before a place."""
        while (self._oldest + 1) * _BLOCK <= place:
            del self._blocks[self._oldest]
            self._oldest += 1

    def highest(self, first: int, last: int) -> int:
        """The place of the highest hash among those from `first` to `last`; the first of equal ones."""
        best, found = -1, first
        begin, end = first - 1, last  # a hash is kept by its last byte
        for number in range(begin // _BLOCK, (end - 1) // _BLOCK + 1):
            block, top, where = self._blocks[number]
            low, high = max(0, begin - number * _BLOCK), min(len(block), end - number * _BLOCK)
            if low or high < len(block):
                where = low + int(block[low:high].argmax())
                top = int(block[where])
            if top > best:
                best, found = top, number * _BLOCK + where + 1
        return found

    def _hash(self, count: int) -> None:
        data = np.frombuffer(bytes(self._rest[: WINDOW - 1 + count]), np.uint8)
        block = hashes(data, self._table)[WINDOW - 1 :]
        where = int(block.argmax())
        self._blocks[self.end // _BLOCK] = block, int(block[where]), where
        self.end += count
        del self._rest[:count]
