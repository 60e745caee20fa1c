# SPDX-License-Identifier: Apache-2.0
"""Structures from a program's memory, as the native tracer attaches them, decoded into the values of `events`.

The bytes are the program's: nothing about them is taken for granted. Every function raises UndecodableError.
"""

from __future__ import annotations

import struct

from pytrace_exec.tracer.events import Expr
from pytrace_exec.tracer.native_words import CLONE3, ENTRY_TYPE, FAMILY, OPEN, RESOLVE, SET_TIME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_exec.tracer.events import Value


class UndecodableError(ValueError):
    """What the tracer sent is none of the forms that it may have; `why` says which."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


_AF_UNIX, _AF_INET, _AF_INET6 = 1, 2, 10
_NUMBER = struct.Struct("<Q")
_HOW = struct.Struct("<QQQ")
_ENTRY = struct.Struct("<16xHB")
_OLD_ENTRY = struct.Struct("<16xH")
_PORT = struct.Struct(">2xH")
_TIME = struct.Struct("<qq")


def open_how(data: bytes) -> dict[str, Value]:
    """Decode openat2's `struct open_how`."""
    if len(data) < _HOW.size:
        raise UndecodableError("a structure is too short")
    flags, mode, resolve = _HOW.unpack_from(data)
    return {"flags": OPEN[flags], "mode": mode, "resolve": RESOLVE[resolve]}


def clone_args(data: bytes) -> dict[str, Value]:
    """Decode the flags of clone3's `struct clone_args`."""
    if len(data) < _NUMBER.size:
        raise UndecodableError("a structure is too short")
    return {"flags": CLONE3[_NUMBER.unpack_from(data)[0]]}


def socket_address(data: bytes) -> dict[str, Value] | None:
    """Decode a `struct sockaddr`; None if there is none. Of families that are not followed only the family."""
    if not data:
        return None
    if len(data) < 2:
        return {}
    family = int.from_bytes(data[:2], "little")
    fields: dict[str, Value] = {"sa_family": FAMILY[family]}
    if family == _AF_UNIX and len(data) > 2:
        fields["sun_path"] = data[2:].partition(b"\0")[0] if data[2] else Expr("@", (data[3:],))
    elif family == _AF_INET and len(data) >= 8:
        fields["sin_port"] = Expr("htons", _PORT.unpack_from(data))
        fields["sin_addr"] = Expr("inet_addr", (b"%d.%d.%d.%d" % tuple(data[4:8]),))
    elif family == _AF_INET6 and len(data) >= 24:
        from socket import AF_INET6, inet_ntop

        fields["sin6_port"] = Expr("htons", _PORT.unpack_from(data))
        text = inet_ntop(AF_INET6, data[8:24]).encode("ascii")
        fields["sin6_addr"] = Expr("inet_pton", (FAMILY[family], text))
    return fields


def entries(data: bytes) -> tuple[Value, ...]:
    """Decode names and types of what getdents64 filled in."""
    found: list[Value] = []
    at = 0
    while at < len(data):
        if at + _ENTRY.size > len(data):
            raise UndecodableError("an entry of a directory is too short")
        size, kind = _ENTRY.unpack_from(data, at)
        found.append({"d_type": ENTRY_TYPE[kind], "d_name": _entry_name(data, at + _ENTRY.size, at + size)})
        at += size
    return tuple(found)


def old_entries(data: bytes) -> tuple[Value, ...]:
    """Decode names and types of what getdents filled in: the type is an entry's last byte."""
    found: list[Value] = []
    at = 0
    while at < len(data):
        if at + _OLD_ENTRY.size > len(data):
            raise UndecodableError("an entry of a directory is too short")
        (size,) = _OLD_ENTRY.unpack_from(data, at)
        name = _entry_name(data, at + _OLD_ENTRY.size, at + size)
        found.append({"d_type": ENTRY_TYPE[data[at + size - 1]], "d_name": name})
        at += size
    return tuple(found)


def _entry_name(data: bytes, start: int, end: int) -> bytes:
    """The name between two places, which end an entry: so the loop around moves on by at least one byte."""
    stop = data.find(b"\0", start, end) if start < end <= len(data) else -1
    if stop < 0:
        raise UndecodableError("an entry of a directory has no name")
    return data[start:stop]


def two_times(data: bytes) -> tuple[Value, ...]:
    """Decode utimensat's two `struct timespec`."""
    return tuple(
        {"tv_sec": seconds, "tv_nsec": part} if (word := SET_TIME.get(part)) is None else word
        for seconds, part in _pairs(data, 2)
    )


def two_times_in_microseconds(data: bytes) -> tuple[Value, ...]:
    """Decode the two `struct timeval` of utimes and futimesat."""
    return tuple({"tv_sec": seconds, "tv_usec": part} for seconds, part in _pairs(data, 2))


def two_times_in_seconds(data: bytes) -> dict[str, Value]:
    """Decode utime's `struct utimbuf`."""
    ((accessed, modified),) = _pairs(data, 1)
    return {"actime": accessed, "modtime": modified}


def _pairs(data: bytes, count: int) -> list[tuple[int, int]]:
    if len(data) != count * _TIME.size:
        raise UndecodableError("times of another size")
    return [(seconds, part) for seconds, part in _TIME.iter_unpack(data)]
