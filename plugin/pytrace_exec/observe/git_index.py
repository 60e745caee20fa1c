# SPDX-License-Identifier: Apache-2.0
"""Which files git tracks, with the time and size their index entries hold (gitformat-index(5), versions 2 to 4).

Read here because the libraries at hand do not give an entry's time, which alone tells a touched file from a clean one.
"""

from __future__ import annotations

import os
import struct

_ENTRY = struct.Struct(">10I20sH")
_EXTENDED = 0x4000


def tracked_files(root: bytes) -> dict[bytes, tuple[int, int]]:
    """Modification time (ns) and size (low 32 bits) of each tracked file by absolute path; empty without git."""
    top = root
    while not os.path.lexists(os.path.join(top, b".git")):
        if top == b"/":
            return {}
        top = os.path.dirname(top)
    try:
        with open(os.path.join(_git_folder(os.path.join(top, b".git")), b"index"), "rb") as file:
            return dict(_entries(file.read(), top))
    except (OSError, struct.error, IndexError, ValueError):
        return {}


def _git_folder(path: bytes) -> bytes:
    """The repository's folder; `.git` is a file in worktrees and submodules."""
    if os.path.isdir(path):
        return path
    with open(path, "rb") as file:
        target = file.read(4096).removeprefix(b"gitdir: ").rstrip(b"\n")
    return os.path.join(os.path.dirname(path), target)


def _entries(data: bytes, top: bytes) -> list[tuple[bytes, tuple[int, int]]]:
    if data[:4] != b"DIRC":
        raise ValueError("no index")
    version, count = struct.unpack_from(">II", data, 4)
    at, name, found = 12, b"", []
    for _ in range(count):
        fields = _ENTRY.unpack_from(data, at)
        start = at + _ENTRY.size + (2 if fields[11] & _EXTENDED else 0)
        if version == 4:
            strip, start = _offset(data, start)
            end = data.index(b"\0", start)
            name = name[: len(name) - strip] + data[start:end]
            at = end + 1
        else:
            end = data.index(b"\0", start)
            name = data[start:end]
            at += (end - at + 8) & ~7
        found.append((os.path.join(top, name), (fields[2] * 1_000_000_000 + fields[3], fields[9])))
    return found


def _offset(data: bytes, at: int) -> tuple[int, int]:
    """A number in git's variable-width form, as in pack files' offsets."""
    byte = data[at]
    value, at = byte & 0x7F, at + 1
    while byte & 0x80:
        byte = data[at]
        value, at = ((value + 1) << 7) | (byte & 0x7F), at + 1
    return value, at
