# SPDX-License-Identifier: Apache-2.0
"""Reading the files that say who may do what. What is wrong is told by file and line, never by content."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class BadAccessFile(Exception):
    """A file of keys, passwords, tokens or rights cannot be used; `path` and `why` say what to mend."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path
        self.why = why


def content(path: str) -> bytes:
    """Read a file; raise `BadAccessFile`."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise BadAccessFile(path, error.strerror or "it cannot be read") from None


def pairs(path: str) -> Iterator[tuple[int, str, str]]:
    """Read lines `NAME:REST`, numbered from 1; empty ones and those that begin with `#` do not count."""
    try:
        text = content(path).decode("utf-8")
    except UnicodeDecodeError:
        raise BadAccessFile(path, "it is not UTF-8") from None
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, colon, rest = line.partition(":")
        if not (name and colon and rest):
            raise BadAccessFile(path, f"line {number} is not NAME:VALUE")
        yield number, name, rest
