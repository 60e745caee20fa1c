# SPDX-License-Identifier: Apache-2.0
"""Places: the root, HOME and TMPDIR; how paths and texts are written so that checkouts can share them (DESIGN 3, 6).

`%R`, `%H` and `%T` stand for the three. They cannot be mistaken for an escaped byte, since R, H and T are no hex
digits.
"""

from __future__ import annotations

import os

SIGNS = (b"%R", b"%H", b"%T", b"%W", b"%X", b"%O")
"""What stands for a place at the beginning of a path."""

_SIGNS = frozenset(b"=:,'\"")
_HEX = frozenset(b"0123456789ABCDEF")


def _escapes() -> dict[int, str]:
    """Table for `str.translate`: control characters, space, `%`, and bytes that were no UTF-8 (surrogates)."""
    table = {code: f"%{code:02X}" for code in (*range(0x21), 0x25, 0x7F)}
    table.update({code: f"%C2%{code:02X}" for code in range(0x80, 0xA0)})
    table.update({0xDC00 + byte: f"%{byte:02X}" for byte in range(0x80, 0x100)})
    return table


_ESCAPES = _escapes()
_SPECIAL = bytes((*range(0x21), 0x25, 0x7F))


class MalformedText(ValueError):
    """A text that the escaping rule cannot have written; `text` is what was given, `why` what is wrong with it."""

    def __init__(self, text: bytes, why: str) -> None:
        super().__init__(f"not an escaped text: {text!r}: {why}")
        self.text = text
        self.why = why


def escape(raw: bytes) -> bytes:
    """Write bytes as printable UTF-8 in which no space occurs.

    The one rule, everywhere: `%`, the space, control characters (U+0000-001F, U+007F-009F) and each byte that is not
    part of valid UTF-8 become `%` and two upper-case hex digits a byte; all else stays.
    """
    if raw.isascii() and len(raw.translate(None, _SPECIAL)) == len(raw):
        return raw
    return raw.decode("utf-8", "surrogateescape").translate(_ESCAPES).encode()


def unescape(text: bytes) -> bytes:
    """Undo `escape`; raise `MalformedText` for what it cannot have written."""
    first, *rest = text.split(b"%")
    raw = bytearray(first)
    for piece in rest:
        if len(piece) < 2 or not _HEX.issuperset(piece[:2]):
            raise MalformedText(text, "% is not followed by two upper-case hex digits")
        raw.append(int(piece[:2], 16))
        raw += piece[2:]
    if escape(bytes(raw)) != text:
        raise MalformedText(text, "it escapes too much or too little")
    return bytes(raw)


class Places:
    """The root, HOME and TMPDIR of one run: real, absolute, normalised paths; the last two None when they are not set.

    Immutable. A HOME or TMPDIR of `/` stands for nothing and becomes None. `trees`: by sign, the trees that declared
    inputs lie in where a build tool links them into the root (`%W`, `%X`, `%O`; `pytrace_exec.bazel.inputs`).
    """

    __slots__ = ("_longest_first", "home", "root", "tmp", "trees")

    def __init__(
        self,
        root: bytes,
        home: bytes | None = None,
        tmp: bytes | None = None,
        trees: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        self.trees = tuple((sign, _checked(tree)) for sign, tree in trees if tree != b"/")
        self.root = _checked(root)
        self.home = _checked(home) if home not in (None, b"/") else None
        self.tmp = _checked(tmp) if tmp not in (None, b"/") else None
        named = ((b"%R", self.root), (b"%H", self.home), (b"%T", self.tmp), *self.trees)
        present = [(sign, place) for sign, place in named if place is not None]
        self._longest_first = sorted(present, key=lambda pair: -len(pair[1]))

    @property
    def sources(self) -> tuple[bytes, ...]:
        """The trees in which files of the workspace's own lie, not those of other repositories."""
        return tuple(tree for sign, tree in self.trees if sign != b"%O")

    def with_trees(self, trees: tuple[tuple[bytes, bytes], ...]) -> Places:
        """The same with the trees that declared inputs lie in."""
        return Places(self.root, self.home, self.tmp, trees)

    def __repr__(self) -> str:
        return f"Places({self.root!r}, {self.home!r}, {self.tmp!r})"

    def encode_path(self, path: bytes) -> bytes:
        """Write an absolute path as `%R/x`, `%H/x`, `%T/x` (the longest place first) or absolute, escaped."""
        if not path.startswith(b"/"):
            raise ValueError(f"not an absolute path: {path!r}")
        for sign, place in self._longest_first:
            if path == place:
                return sign
            below = _with_slash(place)
            if path.startswith(below):
                return sign + b"/" + escape(path[len(below) :])
        return escape(path)

    def decode_path(self, text: bytes) -> bytes:
        """Undo `encode_path` for these places; raise `MalformedText`. What `..` leads to is the caller's to judge."""
        if text.startswith(b"/"):
            return unescape(text)
        for sign, place in self._longest_first:
            if text == sign:
                return place
            if text.startswith(sign + b"/"):
                return _with_slash(place) + unescape(text[3:])
        raise MalformedText(text, "it is neither absolute nor in a place that is set")

    def substitute(self, text: bytes) -> bytes:
        """Write a word or a variable's value with its places as `%R`, `%H`, `%T`, the rest escaped.

        A place counts at the start, after `=`, `:`, `,`, a quote or the letter of an option (`-I/root/x`), if it ends
        there, at `/` or at one of those signs; the longest first. A place `/` is never substituted.
        """
        out: list[bytes] = []
        done = at = 0
        while at < len(text):
            sign, end = self._place_at(text, at)
            if sign:
                out += (escape(text[done:at]), sign)
                done = at = end
            else:
                at = _next_slash(text, at + 1)
        out.append(escape(text[done:]))
        return b"".join(out)

    def in_trees(self, path: bytes) -> bytes:
        """Write a link's target by the tree it leads into (`=> %W/x`), or as it is (`-> x`)."""
        for sign, tree in sorted(self.trees, key=lambda pair: -len(pair[1])):
            if path == tree or path.startswith(tree + b"/"):
                return b"=> " + sign + path[len(tree) :]
        return b"-> " + path

    def restore(self, text: bytes) -> bytes:
        """Undo `substitute` for these places; raise `MalformedText`."""
        places = dict(self._longest_first)
        out: list[bytes] = []
        done = at = 0
        while (at := text.find(b"%", at)) >= 0:
            place = places.get(text[at : at + 2])
            if place is not None:
                out += (unescape(text[done:at]), place)
                done = at + 2
            at += 2
        out.append(unescape(text[done:]))
        return b"".join(out)

    def readable(self, path: bytes) -> str:
        """Name a path in a message: relative to the root when it lies below it, escaped by the rule of `escape`."""
        if path == self.root:
            return "."
        below = _with_slash(self.root)
        return escape(path[len(below) :] if path.startswith(below) else path).decode()

    def _place_at(self, text: bytes, at: int) -> tuple[bytes, int]:
        """Sign of the place that stands at this position and where it ends; an empty sign when there is none."""
        if text[at] != 0x2F or not _may_start(text, at):
            return b"", at
        for sign, place in self._longest_first:
            end = at + len(place)
            ends = end == len(text) or (end < len(text) and (text[end] == 0x2F or text[end] in _SIGNS))
            if ends and place != b"/" and text.startswith(place, at):
                return sign, end
        return b"", at


def _may_start(text: bytes, at: int) -> bool:
    if at == 0 or text[at - 1] in _SIGNS:
        return True
    return at == 2 and text[:1] == b"-" and text[1:2].isalpha()


def _next_slash(text: bytes, start: int) -> int:
    found = text.find(b"/", start)
    return len(text) if found < 0 else found


def _with_slash(place: bytes) -> bytes:
    return place if place == b"/" else place + b"/"


def _checked(place: bytes | None) -> bytes:
    if place is None or not place.startswith(b"/") or os.path.normpath(place) != place or place.startswith(b"//"):
        raise ValueError(f"a place is an absolute, normalised path, not {place!r}")
    return place
