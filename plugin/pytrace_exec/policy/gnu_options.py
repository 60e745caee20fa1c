# SPDX-License-Identifier: Apache-2.0
"""A GNU program's arguments as `getopt_long` takes them: clusters of letters, glued values, abbreviated long options.

A table lists options as words: `-f` takes no value, `-m=` and `--mode=` take one, `-I?` and `--color?` may have one.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

OPERAND = b""
"""What stands for an option's name where an operand was given."""


class GnuOptions:
    """The options of one table; words that it does not explain in one way only are not understood."""

    __slots__ = ("_longs", "_takes")

    def __init__(self, table: str) -> None:
        words = table.encode().split()
        self._takes = {word.rstrip(b"=?"): word[len(word.rstrip(b"=?")) :] for word in words}
        self._longs = [name for name in self._takes if name.startswith(b"--")]

    def split(self, words: Sequence[bytes]) -> list[tuple[bytes, bytes]] | None:
        """Each option by its whole name, with its value or nothing; operands named OPERAND. None: not understood."""
        try:
            return list(self._split(iter(words)))
        except _NotUnderstood:
            return None

    def _split(self, rest: Iterator[bytes]) -> Iterator[tuple[bytes, bytes]]:
        for word in rest:
            if word == b"--":
                yield from ((OPERAND, operand) for operand in rest)
            elif word.startswith(b"--"):
                yield self._long(word, rest)
            elif word.startswith(b"-") and word != b"-":
                yield from self._letters(word[1:], rest)
            else:
                yield OPERAND, word

    def _long(self, word: bytes, rest: Iterator[bytes]) -> tuple[bytes, bytes]:
        spelled, equals, value = word.partition(b"=")
        meant = [spelled] if spelled in self._takes else [name for name in self._longs if name.startswith(spelled)]
        if len(meant) != 1:
            raise _NotUnderstood
        takes = self._takes[meant[0]]
        if equals and not takes:
            raise _NotUnderstood
        return meant[0], value if equals or takes != b"=" else _next(rest)

    def _letters(self, letters: bytes, rest: Iterator[bytes]) -> Iterator[tuple[bytes, bytes]]:
        for place in range(len(letters)):
            name, glued = b"-" + letters[place : place + 1], letters[place + 1 :]
            if name not in self._takes:
                raise _NotUnderstood
            if takes := self._takes[name]:
                yield name, glued if glued or takes == b"?" else _next(rest)
                return
            yield name, b""


class _NotUnderstood(Exception):
    """An option that the table does not have, a prefix of several, a value too many or missing."""


def _next(rest: Iterator[bytes]) -> bytes:
    for word in rest:
        return word
    raise _NotUnderstood


def rows(table: str) -> dict[str, GnuOptions]:
    """Programs with their options: a line of a table is a name and options, which indented lines continue."""
    lines = (line.partition(" ") for line in table.strip().replace("\n ", " ").splitlines())
    return {name: GnuOptions(options) for name, _, options in lines}
