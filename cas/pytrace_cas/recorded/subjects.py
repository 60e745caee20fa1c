# SPDX-License-Identifier: Apache-2.0
"""Subjects of facts: what a result can depend on, without what was seen; their canonical form is one line.

Kind, argument (percent-escaped, `-` standing for none) and paths (with places substituted), a space between.
"""

from __future__ import annotations

from pytrace_cas.recorded.places import escape, unescape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_cas.recorded.places import Places

KINDS = frozenset(
    {
        "access", "attribute", "change", "content", "error", "fact", "generation", "identity", "link", "listing",
        "order", "status", "stream", "target", "variable",
    }
)  # fmt: skip
GENERATION = "generation"
"""The kind that says under which invalidations a result was stored."""

ASKED_FOR = b"asked for"
"""The value of an option by which facts are more exact: who asks for that takes no result without it."""


class MalformedSubject(ValueError):
    """A line that is no subject this version reads."""


class Subject:
    """What was looked at: kind, argument and the paths it concerns (most kinds: one)."""

    __slots__ = ("_key", "arg", "kind", "paths")

    def __init__(self, kind: str, arg: str = "", *paths: bytes) -> None:
        self.kind = kind
        self.arg = arg
        self.paths = paths
        self._key = (kind, arg, paths)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Subject) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __lt__(self, other: Subject) -> bool:
        return self._key < other._key

    def __repr__(self) -> str:
        return f"Subject{self._key!r}"


def encode_subject(subject: Subject, places: Places) -> bytes:
    """One line: kind, argument, paths."""
    arg = escape(subject.arg.encode("utf-8", "surrogateescape")) or b"-"
    return b" ".join([subject.kind.encode(), arg, *(places.encode_path(path) for path in subject.paths)])


def decode_subject(line: bytes, places: Places) -> Subject:
    """Read what `encode_subject` wrote; raise `MalformedSubject`, `MalformedText` or another `ValueError`."""
    kind, arg, *paths = line.split(b" ")
    name = kind.decode("ascii")
    if name not in KINDS:
        raise MalformedSubject(f"unknown kind {name!r}")
    text = "" if arg == b"-" else unescape(arg).decode("utf-8", "surrogateescape")
    return Subject(name, text, *(places.decode_path(path) for path in paths))
