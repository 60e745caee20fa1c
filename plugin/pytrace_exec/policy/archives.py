# SPDX-License-Identifier: Apache-2.0
"""The archive that an archiver was told to make: of all it looks at, the one file whose times it does not copy.

`tar`, `zip` and `ar` put the times of members into their archive, so for them times count (DESIGN 4.2). Their own
archive they only look at to know that it is there, or to leave it out of itself. A row says which operand it is;
arguments that the row does not understand, or that could make the archive's own time count, name none.
"""

from __future__ import annotations

import os
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytrace_exec.observe.processes import Program

_TAR_VALUES = b"bCfFgHIKLNTVX"
"""Letters of GNU tar that take a value: the rest of the word, or the next word."""

_TAR_LONG_VALUES = frozenset({
    b"--file", b"--directory", b"--files-from", b"--exclude-from", b"--blocking-factor", b"--label", b"--owner",
    b"--group", b"--mode", b"--format", b"--sort", b"--exclude", b"--transform", b"--xform", b"--use-compress-program",
})  # fmt: skip
_TAR_LONG_PLAIN = (
    rb"--(?:create|append|verbose|gzip|bzip2|xz|zstd|lzip|lzma|compress|auto-compress|dereference|numeric-owner|"
    rb"no-recursion|null|posix|exclude-vcs|sparse|totals|one-file-system|mtime=[^/.].*)"
)
_TAR_DATES = b"NuW"
"""Letters with which a date, which may be that of a named file, or what the archive holds decides."""

_ZIP_PLAIN = rb"-[0-9rqjmvDXyoS]+"
_AR_PLAIN = rb"-?[qrs][cDqsSTUvV]*"


def own_archive(program: Program, cwd: bytes) -> bytes | None:
    """Path of the archive that a program makes, by its arguments and where it was started; None when it is unsure."""
    for names, operand in _ROWS.items():
        if names.fullmatch(program.name):
            word = operand(program.argv[1:])
            return os.path.normpath(os.path.join(cwd, word)) if word else None
    return None


def _tar(words: tuple[bytes, ...]) -> bytes | None:
    """The one value of `f`, in whichever spelling."""
    files = []
    for letter, value in _tar_options(words):
        if letter is None or letter in _TAR_DATES:
            return None
        if letter == b"f":
            files.append(value)
    return files[0] if len(files) == 1 and files[0] != b"-" else None


def creates_by_understood_options(words: tuple[bytes, ...]) -> bool:
    """Whether `tar` makes an archive, and every option is one of the table."""
    letters = {letter for letter, _ in _tar_options(words)}
    return (b"c" in letters or b"--create" in words) and letters.isdisjoint((None, b"x", b"t", b"d"))


def _tar_options(words: tuple[bytes, ...]) -> Iterator[tuple[bytes | None, bytes]]:
    """Each option as a letter with its value; a letter None for what is not understood."""
    rest = list(words)
    if rest and not rest[0].startswith(b"-"):
        # The old style: the values of all letters follow in their order.
        for letter in _letters(rest.pop(0)):
            yield letter, rest.pop(0) if letter in _TAR_VALUES and rest else b""
    while rest:
        word = rest.pop(0)
        if word == b"--":
            return
        if word.startswith(b"--"):
            yield _tar_long(word, rest)
        elif word.startswith(b"-") and word != b"-":
            yield from _tar_short(word[1:], rest)


def _tar_long(word: bytes, rest: list[bytes]) -> tuple[bytes | None, bytes]:
    name, equals, value = word.partition(b"=")
    if name in _TAR_LONG_VALUES:
        value = value if equals else rest.pop(0) if rest else b""
        return (b"f" if name == b"--file" else b"-"), value
    return (b"-" if re.fullmatch(_TAR_LONG_PLAIN, word) else None), b""


def _tar_short(letters: bytes, rest: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    for place, letter in enumerate(_letters(letters)):
        if letter in _TAR_VALUES:
            yield letter, letters[place + 1 :] or (rest.pop(0) if rest else b"")
            return
        yield letter, b""


def _letters(word: bytes) -> list[bytes]:
    return [word[place : place + 1] for place in range(len(word))]


def _zip(words: tuple[bytes, ...]) -> bytes | None:
    """The first operand, to which `.zip` is added when it has no ending."""
    for word in words:
        if not word.startswith(b"-"):
            return word if b"." in os.path.basename(word) else word + b".zip"
        if not re.fullmatch(_ZIP_PLAIN, word):
            return None
    return None


def _ar(words: tuple[bytes, ...]) -> bytes | None:
    """The word after the letters, unless they take a word of their own."""
    return words[1] if len(words) > 1 and re.fullmatch(_AR_PLAIN, words[0]) else None


_ROWS: dict[re.Pattern[str], Callable[[tuple[bytes, ...]], bytes | None]] = {
    re.compile(r"tar"): _tar,
    re.compile(r"zip"): _zip,
    re.compile(r"(?:.+-)?ar"): _ar,
}
