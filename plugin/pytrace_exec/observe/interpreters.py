# SPDX-License-Identifier: Apache-2.0
"""What the kernel reads besides a program when it executes it: the `#!` interpreter or the ELF loader.

No call shows this, so it is read from the file (execve(2), elf(5)).
"""

from __future__ import annotations

import io
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

_HEAD = 4096
_PT_INTERP = 3


def interpreter_of(path: bytes, head: bytes | None = None) -> bytes | None:
    """Path of the interpreter or loader, empty for a static program, None when the file cannot be understood.

    `head`: the beginning of the file as it was executed, if that is known.
    """
    try:
        with open(path, "rb") if head is None else io.BytesIO(head) as file:
            return _named_in(file)
    except (OSError, struct.error, IndexError):
        return None


def _named_in(file: BinaryIO) -> bytes | None:
    head = file.read(_HEAD)
    if head.startswith(b"#!"):
        words = head[2:].split(b"\n", 1)[0].split()
        return words[0] if words else None
    if not head.startswith(b"\x7fELF"):
        return None
    wide = head[4] == 2
    order = "<" if head[5] == 1 else ">"
    offset, size, count = _program_headers(head, wide, order)
    for number in range(count):
        file.seek(offset + number * size)
        header = file.read(size)
        (kind,) = struct.unpack_from(order + "I", header)
        if kind == _PT_INTERP:
            start, length = _segment(header, wide, order)
            file.seek(start)
            name = file.read(length)
            return name.rstrip(b"\0") if len(name) == length else None
    return b""


def _program_headers(head: bytes, wide: bool, order: str) -> tuple[int, int, int]:
    if wide:
        (offset,) = struct.unpack_from(order + "Q", head, 32)
        size, count = struct.unpack_from(order + "HH", head, 54)
    else:
        (offset,) = struct.unpack_from(order + "I", head, 28)
        size, count = struct.unpack_from(order + "HH", head, 42)
    return offset, size, count


def _segment(header: bytes, wide: bool, order: str) -> tuple[int, int]:
    if wide:
        start, _, _, length = struct.unpack_from(order + "QQQQ", header, 8)
    else:
        start, _, _, length = struct.unpack_from(order + "IIII", header, 4)
    return start, length
