# SPDX-License-Identifier: Apache-2.0
"""How two contents differ, in words for people: a unified diff of text, or where bytes begin to differ; bounded."""

from __future__ import annotations

import difflib
from typing import Any

MAX_BYTES = 1 << 20
"""Contents of more bytes are not compared line by line."""
MAX_COMPARED = 20_000
"""Lines of both together that are compared: difflib may take time by their square."""
MAX_LINES = 100
"""Lines of a diff that are told."""
LONGEST_LINE = 400
CONTEXT = 8
"""Bytes shown before the first that differs, and after it."""


def text_of(data: bytes) -> str | None:
    """Text, or None for what is binary: not UTF-8, or with a NUL."""
    try:
        return None if b"\0" in data else data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def text_diff(old: bytes, new: bytes, old_name: str, new_name: str) -> dict[str, Any]:
    """The `diff` of two texts as lines, or under `no_diff` why there is none; `diff_omitted`: lines that are left out.

    Of binary contents the first difference is told, as by `first_difference`.
    """
    if len(old) > MAX_BYTES or len(new) > MAX_BYTES:
        return {"no_diff": "too large", **first_difference(old, new)}
    before, now = text_of(old), text_of(new)
    if before is None or now is None:
        return {"no_diff": "binary", **first_difference(old, new)}
    olds, news = before.splitlines(keepends=True), now.splitlines(keepends=True)
    if len(olds) + len(news) > MAX_COMPARED:
        return {"no_diff": "too many lines", **first_difference(old, new)}
    lines = [_line(line) for line in difflib.unified_diff(olds, news, old_name, new_name)]
    found: dict[str, Any] = {"diff": lines[:MAX_LINES]}
    return {**found, "diff_omitted": len(lines) - MAX_LINES} if len(lines) > MAX_LINES else found


def first_difference(old: bytes, new: bytes) -> dict[str, Any]:
    """The `offset` of the first byte that differs, and what stands there in both, in hexadecimal."""
    at = _first(old, new)
    start, end = max(0, at - CONTEXT), at + CONTEXT
    return {"offset": at, "old_bytes": old[start:end].hex(" "), "new_bytes": new[start:end].hex(" "), "from": start}


def _first(old: bytes, new: bytes) -> int:
    """By halves: comparing large slices is quick, looking at each byte is not."""
    low, high = 0, min(len(old), len(new))
    if old[:high] == new[:high]:
        return high
    while high - low > 1:
        middle = (low + high) // 2
        if old[low:middle] == new[low:middle]:
            low = middle
        else:
            high = middle
    return low


def _line(line: str) -> str:
    ended = line.removesuffix("\n")
    whole = ended if len(ended) <= LONGEST_LINE else f"{ended[:LONGEST_LINE]}..."
    return whole if line.endswith("\n") or line.startswith(("---", "+++", "@@")) else f"{whole} (no newline at the end)"
