# SPDX-License-Identifier: Apache-2.0
"""Records of the native tracer's stream, encoded as `docs/architecture.md` states them."""

from __future__ import annotations

import struct

from pytrace_exec.calls.numbers import NATIVE

BEGIN = b"PTRSTRM\1" + struct.pack("<I", 77)
NUMBERS = {name: number for number, name in NATIVE.items()}
AT_FDCWD = 0xFFFFFF9C
RESULT = 255

Attachment = tuple[int, int, bytes]


def record(kind: int, pid: int, body: bytes = b"", state: int = 0, count: int = 0) -> bytes:
    """A record of any kind."""
    return struct.pack("<IBBHI", 12 + len(body), kind, state, count, pid) + body


def call(
    pid: int,
    name: str | int,
    registers: tuple[int, ...],
    result: int,
    *attached: Attachment,
    state: int = 0,
    again: int = 0,
) -> bytes:
    """The record of a call; what is attached is argument, type and bytes. `again`: the number for telling it again."""
    number = NUMBERS[name] if isinstance(name, str) else name
    body = struct.pack("<IIq6Q", number, again, result, *registers, *[0] * (6 - len(registers)))
    body += b"".join(struct.pack("<BBHI", at, kind, 0, len(data)) + data for at, kind, data in attached)
    return record(1, pid, body, state, len(attached))


def again(pid: int, *numbers: int) -> bytes:
    """The record of calls that were told before."""
    return record(10, pid, struct.pack(f"<{len(numbers)}I", *numbers))


def number(kind: int, pid: int, value: int) -> bytes:
    """A record whose body is a number: a thread, a program's kind of calls."""
    return record(kind, pid, struct.pack("<I", value))


def end(kind: int, pid: int, value: int, at: int = 0) -> bytes:
    """A record of an exit status or a signal, and by when it was."""
    return record(kind, pid, struct.pack("<IQ", value, at))


def string(at: int, text: bytes) -> Attachment:
    """A string that was read whole."""
    return at, 1, text


def link(at: int, path: bytes, deleted: bool = False) -> Attachment:
    """What a descriptor leads to."""
    return at, 5 if deleted else 4, path


def structure(at: int, data: bytes) -> Attachment:
    """Bytes of a structure."""
    return at, 6, data


def vector(at: int, *words: bytes) -> Attachment:
    """Strings of a vector."""
    return at, 7, b"".join(word + b"\0" for word in words)


UNREADABLE = 2
TOO_LONG = 3
END = record(8, 77)
