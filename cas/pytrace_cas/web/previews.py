# SPDX-License-Identifier: Apache-2.0
"""The beginning of a blob, for people: text with its colours as spans, or bytes in hexadecimal. Never more than that.

What a blob holds is never sent to a browser as anything but escaped text in a page of ours.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from pytrace_cas.services.backing import Store
    from pytrace_cas.web.addresses import BlobAddress

PREVIEW = 64 << 10
_DUMPED = 1024
_ROW = 16
# Lines longer than that are cut: browsers lay out one line at a time.
_LONGEST_LINE = 2000
_MOST_LINES = 2000
_ESCAPE = "\x1b"
# Control characters that are no white space: shown as their pictures (U+2400 and on).
_PICTURES = {code: 0x2400 + code for code in (*range(9), 11, 12, *range(14, 32))} | {127: 0x2421}
_PICTURES |= dict.fromkeys(range(128, 160), 65533)
# What turns the direction of text around may make it read as something else (CVE-2021-42574).
_PICTURES |= dict.fromkeys((*range(8234, 8239), *range(8294, 8298), 8206, 8207, 1564), 65533)
_COLOURS = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")


@attrs.frozen
class Span:
    """A piece of text; `classes` of the style sheet."""

    text: str
    classes: str = ""


@attrs.frozen
class Preview:
    """`lines` of spans; `cut` tells that there is more, `binary` that the lines are a dump of bytes."""

    lines: list[list[Span]]
    cut: bool
    binary: bool
    size: int


def preview(store: Store, address: BlobAddress, limit: int = PREVIEW) -> Preview:
    """Show the beginning of a blob; raise `BlobNotFound`."""
    with store.open_blob(address.function, address.digest) as reader:
        pieces, left = [], limit
        while left and (piece := reader.read(left)):
            pieces.append(piece)
            left -= len(piece)
    return preview_of(b"".join(pieces), address.digest.size_bytes)


def preview_of(data: bytes, size: int) -> Preview:
    """Show bytes, which are the beginning of a blob of that size."""
    if _is_binary(data):
        return Preview(_dump(data[:_DUMPED]), size > _DUMPED, True, size)
    lines, cut = _lines(data.decode("utf-8", "replace"))
    return Preview(lines, cut or len(data) < size, False, size)


def visible(text: str) -> str:
    """Text without characters that act: each control character as its picture, turns of direction as U+FFFD."""
    return text.translate(_PICTURES)


def _is_binary(data: bytes) -> bool:
    """Whether it is no text: a NUL, or much that is no UTF-8 (its last character may be cut)."""
    if b"\0" in data:
        return True
    return data.decode("utf-8", "replace").count("\ufffd") > max(16, len(data) // 20)


def _dump(data: bytes) -> list[list[Span]]:
    rows = []
    for start in range(0, len(data), _ROW):
        row = data[start : start + _ROW]
        text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
        rows.append([Span(f"{start:08x}  ", "offset"), Span(f"{row.hex(' '):<{3 * _ROW}} "), Span(text, "text")])
    return rows


def _lines(text: str) -> tuple[list[list[Span]], bool]:
    """Lines of spans, and whether something was left out."""
    # A progress bar writes its line again and again: what stood there last counts.
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]
    if lines and not lines[-1]:
        lines.pop()
    cut = len(lines) > _MOST_LINES or any(len(line) > _LONGEST_LINE for line in lines)
    shown = [line[:_LONGEST_LINE] for line in lines[:_MOST_LINES]]
    if _ESCAPE not in text:
        return [[Span(visible(line))] for line in shown], cut
    return _coloured(shown), cut


def _coloured(lines: list[str]) -> list[list[Span]]:
    """Read the codes that set colours (ECMA-48, SGR), and drop all others; rich knows them."""
    # Imported here: few blobs have colours.
    from rich.ansi import AnsiDecoder
    from rich.style import Style

    decoder, rows = AnsiDecoder(), []
    for line in lines:
        text = decoder.decode_line(_without_other_codes(line))
        row, at = [], 0
        # Its spans follow each other and do not overlap.
        for span in text.spans:
            row.append(Span(visible(text.plain[at : span.start])))
            style = span.style if isinstance(span.style, Style) else Style()
            row.append(Span(visible(text.plain[span.start : span.end]), _classes(style)))
            at = span.end
        row.append(Span(visible(text.plain[at:])))
        rows.append([span for span in row if span.text])
    return rows


def _classes(style: object) -> str:
    """The classes for a style of rich's; colours beyond the sixteen as the nearest of them."""
    from rich.color import ColorSystem
    from rich.style import Style

    assert isinstance(style, Style)
    names = [name for name in ("bold", "dim", "italic", "underline", "strike") if getattr(style, name)]
    for prefix, colour in (("fg", style.color), ("bg", style.bgcolor)):
        number = colour.downgrade(ColorSystem.STANDARD).number if colour and not colour.is_default else None
        if number is not None:
            names.append(f"{prefix}-{_COLOURS[number % 8]}")
    return " ".join(names)


# Control sequences that are no SGR, operating system commands (titles, links), and other two-byte ones.
_OTHER = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-ln-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\|$)|\x1b[PX^_][^\x1b]*(?:\x1b\\|$)|\x1b[()][0-9A-B]"
)


def _without_other_codes(line: str) -> str:
    return _OTHER.sub("", line)
