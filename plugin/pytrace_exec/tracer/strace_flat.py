# SPDX-License-Identifier: Apache-2.0
"""The flat forms of arguments, which nearly every line of strace consists of, parsed fast.

Each distinct short text is read once. What is not flat is left to `strace_values.Reader`; a property test proves that
the two agree.
"""

from __future__ import annotations

import itertools
import re

from pytrace_exec.tracer.events import TRUNCATED, Expr
from pytrace_exec.tracer.strace_values import NUMBER, PART, UnreadableError, descriptor, flags, number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pytrace_exec.tracer.events import Fd, Value

# The flat forms. A structure has no strings, descriptors, arrays or structures inside; calls are `makedev` only.
_NAMES = rb"[A-Z][A-Z0-9_]*(?:\|" + PART + rb")*"
_FLAT = re.compile(
    rb"("
    rb'"[^"\\]*"(?!\.)'
    rb"|(?:\d+|AT_FDCWD)<[^<>\\]*>"
    rb"|" + NUMBER + rb"(?: /\* \d+ \w+ \*/)?"
    rb"|" + _NAMES + rb'|\{[^{}\[\]"<>\\&]*\}'
    rb")(?:, |$)"
)
_FIELD = re.compile(
    rb"(\w+)=(" + NUMBER + rb"|" + _NAMES + rb"|makedev\(" + NUMBER + rb", " + NUMBER + rb"\))(?:, |\}$)"
)
_DATE = re.compile(rb" /\*[^*]*\*/")
_MORE = b", ...}"
_MOST = 1 << 16
_LONG = 256


def flat_descriptor(text: bytes) -> Fd:
    """Read a descriptor with a path that needs no escapes: `3</path>`."""
    owner, _, place = text[:-1].partition(b"<")
    return descriptor(owner, place, False)


class Kept(dict[bytes, "Any"]):
    """What `make` gives for a text, made when first asked for; of short texts the first 65536 are kept."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[[bytes], Any]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, text: bytes) -> Any:
        value = self._make(text)
        if len(self) < _MOST and len(text) < _LONG:
            self[text] = value
        return value


class Atoms:
    """The values of flat texts."""

    __slots__ = ("_value_of", "_values")

    def __init__(self) -> None:
        self._values = Kept(self._make)
        self._value_of = self._values.__getitem__

    def arguments(self, text: bytes) -> tuple[Value, ...] | None:
        """Return the values of a list of flat texts, or None if it holds anything else."""
        texts = _FLAT.findall(text)
        # The separators make up for the rest exactly when nothing between the matches was skipped.
        if sum(map(len, texts)) + 2 * (len(texts) - 1) != len(text):
            return None if text else ()
        try:
            return tuple(map(self._value_of, texts))
        except UnreadableError:
            return None

    def _make(self, text: bytes) -> Value:
        first = text[0]
        if first == 0x7B:
            return self._structure(text)
        if first == 0x22:
            return text[1:-1]
        if text[-1] == 0x3E:
            return flat_descriptor(text)
        if first < 0x3A:
            return number(text.partition(b" ")[0])
        if text.startswith(b"makedev("):
            return Expr("makedev", tuple(map(number, text[8:-1].split(b", "))))
        return None if text == b"NULL" else flags(text)

    def _structure(self, text: bytes) -> dict[str, Value]:
        if b"/*" in text:
            text = _DATE.sub(b"", text)
        pairs = _FIELD.findall(text)
        value_of = self._value_of
        fields: dict[str, Value] = {key.decode("ascii"): value_of(value) for key, value in pairs}
        length = 2 + sum(map(len, itertools.chain.from_iterable(pairs))) + 3 * len(pairs)
        if text.endswith(_MORE):
            fields[TRUNCATED] = None
            length += 3
        elif pairs:
            length -= 2
        if length != len(text) or not pairs:
            raise UnreadableError("not flat")
        return fields
