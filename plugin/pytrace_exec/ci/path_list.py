# SPDX-License-Identifier: Apache-2.0
"""The compact form of a list of facts: what two paths have in common is written once, and the rest is compressed.

Paths stand in the order of their components. A line with a control character C (1 to 31, without line break) first
leaves C - 1 folders and enters those that the line names; any other line is a name in the folder where the list is.
A path that would read as something else is written whole, in hexadecimal after byte 127. Letters follow, one a path.
"""

from __future__ import annotations

import lzma

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytrace_exec.ci.facts import Fact

# Raw LZMA2 has no header of its own; contexts of four bits suit names best.
_FILTERS = [
    {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 4, "lp": 0, "pb": 0, "dict_size": 1 << 20}
]
LARGEST = 1 << 28
"""Bytes of the longest list that is taken apart."""
_WHOLE = 127


class MalformedList(ValueError):
    """Bytes that are no list of this form."""


def compress(data: bytes) -> bytes:
    """Compress without a header."""
    return lzma.compress(data, format=lzma.FORMAT_RAW, filters=_FILTERS)


def decompress(data: bytes) -> bytes:
    """Undo `compress`; raise `MalformedList`."""
    reader = lzma.LZMADecompressor(format=lzma.FORMAT_RAW, filters=_FILTERS)
    try:
        found = reader.decompress(data, LARGEST)
    except lzma.LZMAError as error:
        raise MalformedList(f"it cannot be decompressed: {error}") from None
    if not reader.eof:
        raise MalformedList("it is cut short, or too large")
    return found


def encode(facts: Iterable[Fact]) -> bytes:
    """Write facts, which are sorted by the components of their paths."""
    lines, letters, folder = bytearray(), bytearray(), list[bytes]()
    for path, letter in facts:
        letters += letter.encode()
        *folders, name = path.split(b"/")
        if not _is_plain(name) or not all(map(_is_plain, folders)):
            lines += b"%c%s\n" % (_WHOLE, path.hex().encode())
            continue
        shared = 0
        while shared < min(len(folders), len(folder)) and folders[shared] == folder[shared]:
            shared += 1
        left = len(folder) - shared
        if left > 28:  # as far as one character goes: rather from the top
            lines += b"\x1f\n"
            shared, left = 0, 0
        if left or len(folders) > shared:
            # Byte 10 ends lines, so that what lies above it is one more.
            lines += b"%c%s\n" % (left + 1 if left < 9 else left + 2, b"/".join(folders[shared:]))
        folder = folders
        lines += name + b"\n"
    return bytes(lines) + b"\n" + bytes(letters)


def decode(data: bytes) -> list[Fact]:
    """Read what `encode` wrote; raise `MalformedList`."""
    body, sign, letters = data.rpartition(b"\n\n") if b"\n\n" in data else (b"", data[:1], data[1:])
    if sign not in (b"\n\n", b"\n"):
        raise MalformedList("the letters are missing")
    paths = _paths(body.split(b"\n") if body else [])
    if len(paths) != len(letters):
        raise MalformedList("not as many letters as paths")
    return list(zip(paths, letters.decode("latin-1"), strict=True))


def _paths(lines: list[bytes]) -> list[bytes]:
    paths, folder, before = [], list[bytes](), b""
    for line in lines:
        first = line[0] if line else 0
        if first == _WHOLE:
            try:
                paths.append(bytes.fromhex(line[1:].decode("ascii")))
            except ValueError:
                raise MalformedList("a path that is no hexadecimal number") from None
        elif 0 < first < 32:
            folder = [] if first == 31 else _moved(folder, first - 1 if first < 10 else first - 2, line[1:])
            before = b"/".join(folder) + b"/" if folder else b""
        else:
            paths.append(before + line)
    return paths


def _moved(folder: list[bytes], left: int, entered: bytes) -> list[bytes]:
    if left > len(folder):
        raise MalformedList("more folders are left than were entered")
    return [*folder[: len(folder) - left], *(entered.split(b"/") if entered else ())]


def _is_plain(name: bytes) -> bool:
    return bool(name) and name[0] >= 32 and name[0] != _WHOLE and b"\n" not in name
