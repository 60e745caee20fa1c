# SPDX-License-Identifier: Apache-2.0
"""Values as strace 6.1 prints them in arguments, parsed into those of `events`.

`Reader` is the general parser, recursive. `strace_flat` has a fast one for the frequent forms.
"""

from __future__ import annotations

import re

from pytrace_exec.tracer.events import AT_FDCWD, TRUNCATED, Changed, Expr, Fd, Flags, Raw

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pytrace_exec.tracer.events import Value

NUMBER = rb"(?:-?(?:0x[0-9a-f]+|0[0-7]*|[1-9][0-9]*))"
PART = rb"(?:[A-Za-z_]\w*|" + NUMBER + rb")(?!\w)"
# Escaped text: neither the delimiters nor a lone backslash. In descriptors `<` and `>` are written in octal.
_ESCAPED = rb"\\(?:[ntrvf\"\\]|[0-3][0-7]{2}|[0-7]{1,2}(?![0-7])|x[0-9a-f]{2})"
_TEXT = rb'(?:[^"\\]|' + _ESCAPED + rb")*"
_QUOTED = rb'"(' + _TEXT + rb')"'
_PLACE = rb"(?:[^<>\\]|" + _ESCAPED + rb")*"
# `-yy` says more of sockets and devices, in forms that hold `->` or nested brackets.
_SOCKET = rb'[A-Z][\w-]*:\[(?:[^\[\]"<>\\]|->|\[[^\[\]<>\\]*\]|"' + _TEXT + rb'")*\]'
_DEVICE = rb"<(?:char|block) [^<>]*>"

_WRITTEN = re.compile(rb"(?:[^\\]|" + _ESCAPED + rb")*", re.DOTALL)
_STRING = re.compile(_QUOTED + rb"(\.\.\.)?")
_FD = re.compile(rb"(-?\d+|AT_FDCWD)<(?:(" + _SOCKET + rb")|(" + _PLACE + rb")(?:" + _DEVICE + rb")?)>(\(deleted\))?")
_NUMBER = re.compile(NUMBER + rb"(?:\*" + NUMBER + rb")*(?![\w|<])")
_FLAGS = re.compile(PART + rb"(?:\|" + PART + rb")*")
_CALLED = re.compile(rb"([A-Za-z_]\w*)\(")
_NAMED = re.compile(rb"([A-Za-z_]\w*)=(?!=)")
_KEY = re.compile(rb"(\w+(?:\[\w+\])?)=")
_SIGNALS = re.compile(rb"\[[A-Z]\w*(?: [A-Z]\w*)+\]")
_COMMENT = re.compile(rb' ?/\*(?:"(?:[^"\\]|\\.)*"|[^"*]|\*(?!/))*\*/')
# What is skipped as one piece on the way to the end of an argument of unknown form.
_PIECE = _STRING.pattern + rb"|" + _FD.pattern + rb"|" + _COMMENT.pattern + rb"|."

_DELETED = b" (deleted)"


class UnreadableError(ValueError):
    """The text is no list of arguments, or a value in it was cut short; `why` says which."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class _OtherFormError(Exception):
    """A value has none of the known forms; it is then taken as `Raw`."""


def unescape(text: bytes) -> bytes:
    """Undo the escapes of strace's strings and paths: octal, hexadecimal, and C's letters; raise `UnreadableError`."""
    if b"\\" not in text:
        return text
    if _WRITTEN.fullmatch(text) is None:  # the codec knows more escapes than strace writes
        raise UnreadableError("an escape that strace does not write")
    return text.decode("unicode_escape").encode("latin-1")


def number(text: bytes) -> int:
    """Return the value of a number in C's notation; a product such as `8192*1024` is multiplied out."""
    if text.isdigit() and (text[0] != 0x30 or len(text) == 1):
        return int(text)
    if b"*" in text:
        product = 1
        for factor in text.split(b"*"):
            product *= number(factor)
        return product
    if b"x" in text:
        return int(text, 16)
    digits = text.lstrip(b"-")
    return int(text, 8 if len(digits) > 1 and digits[:1] == b"0" else 10)


def descriptor(owner: bytes, place: bytes, deleted: bool) -> Fd:
    """Make an `Fd` of the number or `AT_FDCWD`, the escaped text in brackets and whether `(deleted)` follows.

    Of a working directory strace prints the kernel's own ` (deleted)` inside the brackets, which the name of a
    living directory could end with as well; it is taken as deleted, the reading that leads to more caution.
    """
    path = unescape(place)
    if owner != b"AT_FDCWD":
        return Fd(int(owner), path, deleted)
    if path.endswith(_DELETED):
        return Fd(AT_FDCWD, path[: -len(_DELETED)], True)
    return Fd(AT_FDCWD, path)


def flags(text: bytes) -> Flags:
    """Make `Flags` of names and numbers joined by `|`."""
    names = []
    rest = 0
    for part in text.split(b"|"):
        if part[0] in b"-0123456789":
            rest += number(part)
        else:
            names.append(part.decode("ascii"))
    return Flags(frozenset(names), rest)


class Reader:
    """A recursive parser over one text; `at` is where it stands."""

    __slots__ = ("_forms", "at", "text")

    def __init__(self, text: bytes, at: int = 0) -> None:
        self.text = text
        self.at = at
        self._forms: dict[int, Callable[[], Value]] = {
            ord('"'): self._string,
            ord("["): self._array,
            ord("{"): self._structure,
            ord("~"): self._prefixed,
            ord("@"): self._prefixed,
        }

    def arguments(self, end: bytes) -> tuple[Value, ...]:
        """Read values separated by commas up to and including `end`, one byte or nothing for the text's end.

        Raises UnreadableError.
        """
        values: list[Value] = []
        self._skip_space()
        while not self._passed(end):
            values.append(self._argument())
            self._skip_space()
            if not self._passed(b",") and not self._stands_at(end):
                raise UnreadableError("no comma between values")
            self._skip_space()
        return tuple(values)

    def _passed(self, mark: bytes) -> bool:
        if not self._stands_at(mark):
            return False
        self.at += len(mark)
        return True

    def _stands_at(self, mark: bytes) -> bool:
        return self.text.startswith(mark, self.at) if mark else self.at >= len(self.text)

    def _skip_space(self) -> None:
        while comment := _COMMENT.match(self.text, self.at):
            self.at = comment.end()
        while self._stands_at(b" "):
            self.at += 1

    def _take(self, pattern: re.Pattern[bytes]) -> re.Match[bytes] | None:
        match = pattern.match(self.text, self.at)
        if match:
            self.at = match.end()
        return match

    def _argument(self) -> Value:
        """Read one value, of which `name=value` is a structure with one field (arguments of `clone`)."""
        start = self.at
        name = self._take(_NAMED)
        if name is None:
            return self._value()
        if self.at >= len(self.text):
            self.at = start
            return self._raw()
        return {name[1].decode("ascii"): self._value()}

    def _value(self) -> Value:
        start = self.at
        try:
            value = self._form()
            if self._passed(b" => "):
                value = Changed(value, self._form())
            self._expect_delimiter()
        except _OtherFormError:
            self.at = start
            return self._raw()
        return value

    def _expect_delimiter(self) -> None:
        while comment := _COMMENT.match(self.text, self.at):
            self.at = comment.end()
        if self.at < len(self.text) and self.text[self.at] not in b",)]}":
            raise _OtherFormError

    def _form(self) -> Value:
        if self.at >= len(self.text):
            raise _OtherFormError
        form = self._forms.get(self.text[self.at])
        return form() if form else self._word()

    def _word(self) -> Value:
        if fd := self._take(_FD):
            return descriptor(fd[1], fd[2] if fd[2] is not None else fd[3], fd[4] is not None)
        if digits := self._take(_NUMBER):
            return number(digits[0])
        if called := self._take(_CALLED):
            return Expr(called[1].decode("ascii"), self.arguments(b")"))
        if words := self._take(_FLAGS):
            return None if words[0] == b"NULL" else flags(words[0])
        raise _OtherFormError

    def _string(self) -> bytes:
        match = self._take(_STRING)
        if match is None:
            raise UnreadableError("a string without end")
        if match[2]:
            raise UnreadableError("a string was cut short")
        return unescape(match[1])

    def _prefixed(self) -> Expr:
        sign = self.text[self.at : self.at + 1]
        self.at += 1
        return Expr(sign.decode("ascii"), (self._form(),))

    def _array(self) -> tuple[Value, ...]:
        if signals := self._take(_SIGNALS):
            return tuple(flags(name) for name in signals[0][1:-1].split(b" "))
        self.at += 1
        first = self._value() if not self._stands_at(b"]") else None
        if isinstance(first, Changed) and self._passed(b"]"):
            return (first,)
        if self._passed(b"]"):
            return () if first is None and self.text[self.at - 2 : self.at] == b"[]" else (first,)
        self._skip_space()
        if not self._passed(b","):
            raise _OtherFormError
        return (first, *self.arguments(b"]"))

    def _structure(self) -> dict[str, Value]:
        self.at += 1
        fields: dict[str, Value] = {}
        while not self._passed(b"}"):
            self._skip_space()
            if self._passed(b"..."):
                fields[TRUNCATED] = None
            elif key := self._take(_KEY):
                fields[key[1].decode("ascii")] = self._value()
            else:
                raise _OtherFormError
            self._skip_space()
            if not self._passed(b",") and not self._stands_at(b"}"):
                raise _OtherFormError
        return fields

    def _raw(self) -> Raw:
        """Take all up to the next comma or closing bracket that is not inside brackets of its own."""
        start = self.at
        depth = 0
        pattern = re.compile(_PIECE, re.DOTALL)
        while piece := pattern.match(self.text, self.at):
            if piece[2]:
                raise UnreadableError("a string was cut short")
            mark = piece[0]
            if depth == 0 and mark in (b",", b")", b"]", b"}"):
                break
            depth += (mark in (b"(", b"[", b"{")) - (mark in (b")", b"]", b"}"))
            self.at = piece.end()
        if depth or self.at == start:
            raise UnreadableError("a value whose end cannot be found")
        return Raw(self.text[start : self.at])
