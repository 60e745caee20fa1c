# SPDX-License-Identifier: Apache-2.0
"""The dynamic loader's cache, `/etc/ld.so.cache`: which file a library's name leads to (ldconfig(8)).

It begins with a header of 48 bytes: `glibc-ld.so.cache1.1`, u32 number of entries, u32 size of the strings, u8 flags.
An entry has 24 bytes: u32 flags, u32 offset of the name, u32 offset of the path, u32 version of the system, u64
hardware capabilities; the strings end with NUL. Numbers are in the machine's order; only little endian is read.
"""

from __future__ import annotations

import struct

PATH = b"/etc/ld.so.cache"

_MAGIC = b"glibc-ld.so.cache1.1"
_HEADER = struct.Struct("<20sIIB19x")
_ENTRY = struct.Struct("<IIIIQ")


class Entry:
    """One line of it: what a name leads to, for which kind of program; `hardware`: on processors of a kind only."""

    __slots__ = ("hardware", "kind", "name", "path", "version")

    def __init__(self, kind: int, name: bytes, path: bytes, version: int, hardware: int) -> None:
        self.kind = kind
        self.name = name
        self.path = path
        self.version = version
        self.hardware = hardware


def entries_of(data: bytes) -> list[Entry] | None:
    """All entries in their order; None if the cache is of another format."""
    try:
        magic, count, _, flags = _HEADER.unpack_from(data)
        if magic != _MAGIC or flags & ~2:  # 0: not said, 2: little endian
            return None
        rows = _ENTRY.iter_unpack(data[_HEADER.size : _HEADER.size + count * _ENTRY.size])
        found = [Entry(kind, _string(data, name), _string(data, path), version, hardware)
                 for kind, name, path, version, hardware in rows]  # fmt: skip
    except (struct.error, ValueError):
        return None
    return found if len(found) == count else None


def _string(data: bytes, offset: int) -> bytes:
    return data[offset : data.index(b"\0", offset)]


def meaning(data: bytes, names: frozenset[bytes]) -> bytes | None:
    """What the cache says of some names, in canonical form; None if it cannot be told apart from the rest of it."""
    entries = entries_of(data)
    if entries is None:
        return None
    asked = [entry for entry in entries if entry.name in names]
    if any(entry.hardware for entry in asked):
        return None
    lines = (b"%s\0%s\0%d %d\n" % (entry.name, entry.path, entry.kind, entry.version) for entry in asked)
    return b"".join(lines)
