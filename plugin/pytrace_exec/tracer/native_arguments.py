# SPDX-License-Identifier: Apache-2.0
"""How the arguments of each call become values: from registers, and from what the tracer attached to them.

It follows from the table of calls, `pytrace_exec.calls`. A reader takes what stands at the argument's place, first
its register, and the bytes that are attached to it.
"""

from __future__ import annotations

from functools import lru_cache

from pytrace_exec.calls.arguments import argument_kinds
from pytrace_exec.calls.numbers import NATIVE, unnamed
from pytrace_exec.calls.table import LOOKS, TABLE
from pytrace_exec.tracer import native_values
from pytrace_exec.tracer.events import AT_FDCWD, Fd
from pytrace_exec.tracer.native_values import UndecodableError
from pytrace_exec.tracer.native_words import BY_EFFECT, BY_KEY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TypeAlias

    from pytrace_exec.calls.table import Row
    from pytrace_exec.tracer.events import Value

    # The first argument is a register; of many attachments, what the former ones made.
    Reader: TypeAlias = Callable[[Any, bytes], Value]

STRING, UNREADABLE, TOO_LONG, LINK, DELETED_LINK, STRUCTURE, VECTOR = range(1, 8)
"""Types of attachments."""

_U32 = 0xFFFFFFFF
_CWD_REGISTER = AT_FDCWD & _U32
_CWD = Fd(AT_FDCWD, None)
_MOST = 1024
_BARE = frozenset({"int", "unused"})
_OFTEN_WITHOUT = _BARE | frozenset({"dir", "address_out", "messages", "head"})


class Plan:
    """How the arguments of one call are read.

    `readers` are found by type and argument of an attachment, `type << 8 | argument`, None where it is a string that
    is taken as it is. `words` are for registers with neither. `attached` has a bit for each argument to which
    something may be attached, `needed` for those to which something mostly is when the call succeeds; `several` is
    the one that may have many, or -1. `looks`: its records may be told again by their number.
    """

    __slots__ = ("_kinds", "attached", "count", "forks", "looks", "name", "needed", "readers", "several", "words")

    def __init__(self, name: str) -> None:
        row = TABLE.get(name)
        self.name = name
        self.forks = row is not None and row.effect == "fork"
        self.looks = row is not None and row.effect in LOOKS
        self.words = _words(row) if row is not None else []
        self._kinds = kinds = argument_kinds(name) if row is not None else ("int",) * 6
        self.count = len(kinds)
        self.attached = sum(1 << position for position, kind in enumerate(kinds) if kind not in _BARE)
        self.needed = sum(1 << position for position, kind in enumerate(kinds) if kind not in _OFTEN_WITHOUT)
        self.several = kinds.index("messages") if "messages" in kinds else -1
        self.readers = {
            type_of << 8 | position: reader
            for position, kind in enumerate(kinds)
            for type_of, reader in _readers(name, kind)
        }

    def without(self, position: int, register: int, type_of: int) -> Value:
        """Read an argument to which nothing is attached, or why there is nothing (`type_of`)."""
        if self._kinds[position] in ("dir", "fd"):
            if register & _U32 == _CWD_REGISTER and type_of == UNREADABLE:
                return _CWD
            if type_of == TOO_LONG:
                raise UndecodableError("a descriptor that leads to a string")
            return Fd(number_of(register), None)
        return register or None

    def is_whole(self, registers: list[int], absent: int, lost: int) -> bool:
        """Whether a call may have succeeded though there is nothing at some arguments, or what is there was lost.

        `absent` and `lost` have a bit for each.
        """
        for position, kind in enumerate(self._kinds):
            bit = 1 << position
            if kind == "dir":
                # Of an absolute path there is none; a working directory may be deeper than a path can say.
                complete = not lost & bit or number_of(registers[position]) == AT_FDCWD
            elif kind == "fd":
                complete = not (absent | lost) & bit
            elif kind in ("address_out", "messages"):
                complete = not lost & bit
            else:
                complete = kind in _BARE or kind == "head" or not (lost & bit or (absent & bit and registers[position]))
            if not complete:
                return False
        return True


class Plans(dict[int, Plan]):
    """The plans by number, made when first asked for."""

    __slots__ = ()

    def __missing__(self, number: int) -> Plan:
        plan = Plan(NATIVE.get(number, unnamed(number)))
        if len(self) < _MOST:
            self[number] = plan
        return plan


def _words(row: Row) -> list[tuple[int, Mapping[int, Value]]]:
    """Positions of numbers that stand for words, with these."""
    found = ((position, BY_EFFECT.get((row.effect, key), BY_KEY.get(key))) for key, position in row.places.items())
    return [(position, words) for position, words in found if words is not None]


def _readers(name: str, kind: str) -> list[tuple[int, Reader | None]]:
    """The readers of an argument by type of attachment."""
    if kind in _BARE:
        return []
    if kind in ("dir", "fd"):
        return [(LINK, _descriptor), (DELETED_LINK, _deleted_descriptor)]
    if kind in ("path", "text"):
        return [(STRING, None)]
    if kind == "head":
        return [(STRUCTURE, None)]
    if kind == "argv":
        return [(VECTOR, _vector)]
    return [(STRUCTURE, _STRUCTURES.get((name, kind)) or _STRUCTURES_BY_KIND[kind])]


def number_of(register: int) -> int:
    """The descriptor in a register."""
    number = register & _U32
    return number - (1 << 32) if number >> 31 else number


def _descriptor(register: int, path: bytes) -> Value:
    number = register & _U32
    return Fd(number - (1 << 32) if number >> 31 else number, path)


def _deleted_descriptor(register: int, path: bytes) -> Value:
    return Fd(number_of(register), path, True)


def _vector(register: int, data: bytes) -> Value:
    if data and not data.endswith(b"\0"):
        raise UndecodableError("a string of a vector has no end")
    return _strings(data)


@lru_cache(maxsize=64)
def _strings(data: bytes) -> tuple[bytes, ...]:
    """The strings of a vector; the same ones for programs that are started with the same arguments."""
    return tuple(data.split(b"\0")[:-1])


def _header(data: bytes) -> Value:
    return {"msg_name": native_values.socket_address(data)}


def _one_more_header(former: int | tuple[Value, ...], data: bytes) -> Value:
    return (*(former if isinstance(former, tuple) else ()), {"msg_hdr": _header(data)})


def _structure(decode: Callable[[bytes], Value]) -> Reader:
    return lambda register, data: decode(data)


_STRUCTURES_BY_KIND: dict[str, Reader] = {
    "how": _structure(native_values.open_how),
    "address": _structure(native_values.socket_address),
    "address_out": _structure(native_values.socket_address),
    "message": _structure(_header),
    "messages": _one_more_header,
    "entries": _structure(native_values.entries),
    "times": _structure(native_values.two_times_in_microseconds),
}
_STRUCTURES: dict[tuple[str, str], Reader] = {
    ("clone3", "how"): _structure(native_values.clone_args),
    ("getdents", "entries"): _structure(native_values.old_entries),
    ("utime", "times"): _structure(native_values.two_times_in_seconds),
    ("utimensat", "times"): _structure(native_values.two_times),
}
