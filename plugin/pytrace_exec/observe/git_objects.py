# SPDX-License-Identifier: Apache-2.0
"""Which objects a git repository has, loose or packed, by their ids alone (gitrepository-layout(5), gitformat-pack(5)).

A pack's index begins with 256 counts: how many ids begin with no more than that byte; the sorted ids follow. In
version 2 a header of 8 bytes comes first; in version 1 each id comes after an offset of 4 bytes.
"""

from __future__ import annotations

import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytrace_exec.observe.facts import View

_HEADER = b"\xfftOc\0\0\0\2"
_COUNTS = struct.Struct(">256I")

FEW_BITS = 14
"""With fewer than 2**14 objects git abbreviates to 7 digits, the least it takes by itself (git-config(1), core.abbrev).
"""


class UnknownObjects(Exception):
    """What the repository has cannot be told: an index of a pack that is damaged, or of another format."""


class PackIndex:
    """The sorted ids of one pack; `size`: of an id, in bytes."""

    __slots__ = ("_counts", "_data", "_first", "_size", "_step", "count")

    def __init__(self, data: bytes, size: int) -> None:
        new = data[:8] == _HEADER
        if not new and data[:4] == _HEADER[:4]:
            raise UnknownObjects
        start = len(_HEADER) if new else 0
        try:
            self._counts = _COUNTS.unpack_from(data, start)
        except struct.error:
            raise UnknownObjects from None
        self.count = self._counts[-1]
        self._data = data
        self._size = size
        self._step = size if new else size + 4
        end = start + _COUNTS.size + self.count * self._step
        self._first = start + _COUNTS.size + self._step - size
        if len(data) < end + 2 * size:
            raise UnknownObjects

    def _at(self, place: int) -> bytes:
        start = self._first + place * self._step
        return self._data[start : start + self._size]

    def near(self, identity: bytes) -> list[bytes]:
        """The id itself if it is there, and those next to where it stands or would stand."""
        low = self._counts[identity[0] - 1] if identity[0] else 0
        high = self._counts[identity[0]]
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self._at(middle) < identity else (low, middle)
        return [self._at(place) for place in range(max(low - 1, 0), min(low + 2, self.count))]


class Objects:
    """The objects of one repository whose ids have `size` bytes; alternates are not looked into."""

    def __init__(self, view: View, folder: bytes, size: int) -> None:
        self._view = view
        self._folder = folder
        names = view.names(os.path.join(folder, b"pack"))
        self._names = set() if isinstance(names, str) else {name for name, _ in names}
        stems = sorted(name[:-4] for name in self._names if name.endswith(b".idx"))
        self._packs = [self._pack(stem, size) for stem in stems if stem + b".pack" in self._names]

    def _pack(self, stem: bytes, size: int) -> PackIndex:
        import mmap

        try:
            fd = os.open(os.path.join(self._folder, b"pack", stem + b".idx"), os.O_RDONLY | os.O_CLOEXEC)
            try:
                return PackIndex(mmap.mmap(fd, 0, access=mmap.ACCESS_READ), size)  # type: ignore[arg-type]
            finally:
                os.close(fd)
        except (OSError, ValueError):
            raise UnknownObjects from None

    def has(self, identity: bytes) -> bool:
        """Whether there is an object of that id."""
        name = identity.hex().encode()
        loose = self._view.lstat(os.path.join(self._folder, name[:2], name[2:]))
        return not isinstance(loose, str) or any(identity in pack.near(identity) for pack in self._packs)

    def abbreviation(self, identity: bytes, least: int) -> bytes:
        """All that decides how git abbreviates an id: how many digits make it unique, and how many objects there are.

        `least`: fewer digits are not asked for; not below 4, since only objects that begin with the same byte are
        looked at. Of the number of objects only the magnitude counts, and only if it is not small.
        """
        packed = sum(pack.count for pack in self._packs)
        about = packed + 256 * len(list(self._loose(b"17")))
        bits = [max(number.bit_length(), FEW_BITS) for number in (packed, about)]
        if bits[1] > FEW_BITS and any(name.startswith(b"multi-pack-index") for name in self._names):
            raise UnknownObjects  # which may count an object in two packs once
        name = identity.hex().encode()
        others = {other for pack in self._packs for other in pack.near(identity)} - {identity}
        names = [other.hex().encode() for other in others]
        names += [other for other in self._loose(name[:2]) if other != name]
        unique = max((_in_common(name, other) + 1 for other in names), default=0)
        return b"%d %d %d" % (max(unique, least), *bits)

    def _loose(self, begin: bytes) -> Iterator[bytes]:
        names = self._view.names(os.path.join(self._folder, begin))
        return (begin + name for name, _ in (() if isinstance(names, str) else names))


def _in_common(one: bytes, other: bytes) -> int:
    """With how many equal digits two different ids begin."""
    return next(place for place, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1])
