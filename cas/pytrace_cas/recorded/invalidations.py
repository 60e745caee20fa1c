# SPDX-License-Identifier: Apache-2.0
"""One invalidation: what it concerns, who did it, when and why; and its undoing. Written as lines of a ledger.

What is concerned is whatever fits all that an invalidation states. A field that this version does not know is passed
over, which can only make it concern more.
"""

from __future__ import annotations

import os
import time

from pytrace_cas.generations import Ledger
from pytrace_cas.recorded.places import MalformedText, escape, unescape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_UNDONE = "-undone"
_ID_BYTES = 8
SCOPES = ("action", "command", "label", "target", "mnemonic", "root", "path")
"""What an invalidation may state, in the order of telling; `at` is `path` as it was absolute where it was named."""
LONGEST_TEXT = 2000
"""Bytes of a reason, a name or a pattern."""


class Invalidation:
    """What was invalidated. `scope` holds pairs of a name of `SCOPES` (or `at`) and a value; none: everything.

    `made` is a time in seconds. `undone` says when and by whom it was taken back, None if it holds.
    """

    __slots__ = ("by", "id", "made", "scope", "undone", "why")

    def __init__(
        self,
        id: str,
        scope: Iterable[tuple[str, bytes]],
        by: bytes = b"",
        why: bytes = b"",
        made: int = 0,
        undone: tuple[int, bytes] | None = None,
    ) -> None:
        self.id = id
        self.scope = tuple(scope)
        self.by = by
        self.why = why
        self.made = made
        self.undone = undone

    @classmethod
    def new(cls, scope: Iterable[tuple[str, bytes]], by: bytes, why: bytes) -> Invalidation:
        """One that is made now."""
        return cls(os.urandom(_ID_BYTES).hex(), scope, by, why, int(time.time()))

    def get(self, name: str) -> list[bytes]:
        """The values of a name in its scope."""
        return [value for known, value in self.scope if known == name]

    def ledger(self) -> Ledger:
        """It alone, as a ledger."""
        fields = [("made", str(self.made).encode()), ("by", self.by), ("why", self.why), *self.scope]
        return Ledger({self.id: _line(fields)})


def undoing(id: str, by: bytes) -> Ledger:
    """A ledger that takes an invalidation back."""
    return Ledger({id + _UNDONE: _line([("made", str(int(time.time())).encode()), ("by", by)])})


def invalidations(ledger: Ledger) -> Iterator[Invalidation]:
    """All invalidations of a ledger, undone ones too, the oldest first."""
    found = []
    for id, text in ledger.lines.items():
        if id.endswith(_UNDONE):
            continue
        made, by, why, scope = _read(text)
        taken_back = ledger.lines.get(id + _UNDONE)
        undone = None if taken_back is None else _read(taken_back)[:2]
        found.append(Invalidation(id, scope, by, why, made, undone))
    yield from sorted(found, key=lambda one: (one.made, one.id))


def _line(fields: Iterable[tuple[str, bytes]]) -> str:
    return " ".join(f"{name}={escape(value).decode()}" for name, value in fields)


def _read(text: str) -> tuple[int, bytes, bytes, list[tuple[str, bytes]]]:
    """The fields of a line; one that cannot be read is as one that is not known."""
    made, by, why = 0, b"", b""
    scope = []
    for word in text.split(" "):
        name, _, escaped = word.partition("=")
        try:
            value = unescape(escaped.encode())
        except MalformedText:
            continue
        if name == "made":
            made = int(value) if value.isdigit() and len(value) < 20 else 0
        elif name == "by":
            by = value
        elif name == "why":
            why = value
        elif name == "at" or name in SCOPES:
            scope.append((name, value))
    return made, by, why, scope
