# SPDX-License-Identifier: Apache-2.0
"""A stored command as one line that people read and search: quoted for a shell, its places as `%R`, `%H`, `%T`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST = 4096
"""Characters that are kept of a line."""

_PLACES = (b"R", b"H", b"T")


def command_line(arguments: Iterable[str]) -> str:
    """The line of a traced command's arguments as its `Command` holds them."""
    return shell_line(_shown(argument) for argument in arguments)


def shell_line(arguments: Iterable[str]) -> str:
    """Words quoted for a shell, cut where it gets too long."""
    import shlex

    return shlex.join(arguments)[:LONGEST]


def _shown(argument: str) -> str:
    """An argument with its escapes undone, but for places; bytes that are no UTF-8 are shown as such."""
    if "%" not in argument:
        return argument
    first, *rest = argument.encode().split(b"%")
    raw = bytearray(first)
    for piece in rest:
        try:
            raw += b"%" + piece if piece[:1] in _PLACES else bytes([int(piece[:2], 16)]) + piece[2:]
        except ValueError:
            raw += b"%" + piece
    return raw.decode("utf-8", "replace")
