# SPDX-License-Identifier: Apache-2.0
"""What a run can have done to one name, and the earlier states of names that a replay must find again.

Names of what was made are final ones, names of what was removed or moved away are earlier ones (`names`). Values are
immutable by convention, compare by content and are ordered by their line in the canonical form.
"""

from __future__ import annotations

from pytrace_cas.digest import Digest
from pytrace_cas.recorded.bytecode import STAMP, source_of
from pytrace_cas.recorded.names import check_name
from pytrace_cas.recorded.places import SIGNS, unescape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    Time: TypeAlias = "int | str | None"  # nanoseconds, NOW, or None for one that was left alone

NOW = "now"
TYPES = ("dir", "file", "symlink")


class Line:
    """A value that is one line of words."""

    __slots__ = ()

    def line(self) -> bytes:
        """The line, without its end."""
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.line() == other.line()

    def __hash__(self) -> int:
        return hash(self.line())

    def __repr__(self) -> str:
        return f"<{self.line().decode()}>"


class File(Line):
    """A regular file created or changed; `mode` is what the run left (07777).

    `in_place`: it was truncated or written where it lay, so that an existing file keeps its mode and owner;
    otherwise the run put a new file there. `stamped`: a `.pyc` that fitted its source and shall fit it again.
    """

    __slots__ = ("digest", "in_place", "mode", "path", "stamped")

    def __init__(self, path: bytes, mode: int, digest: Digest, in_place: bool = False, stamped: bool = False) -> None:
        self.path = check_name(path)
        self.mode = _checked_mode(mode)
        self.digest = digest
        self.in_place = in_place
        self.stamped = stamped
        if stamped and (source_of(path) is None or digest.size_bytes < STAMP.stop):
            raise ValueError("only a .pyc has a stamp")

    def line(self) -> bytes:
        words = b"file %s %04o %s" % (self.path, self.mode, str(self.digest).encode())
        return words + b" in-place" * self.in_place + b" stamped" * self.stamped


class Dir(Line):
    """A directory made; with the earlier state `DIRECTORY` one that is kept and gets the mode."""

    __slots__ = ("mode", "path")

    def __init__(self, path: bytes, mode: int) -> None:
        self.path = check_name(path)
        self.mode = _checked_mode(mode)

    def line(self) -> bytes:
        return b"dir %s %04o" % (self.path, self.mode)


class Symlink(Line):
    """A symbolic link made; `target` as `names.link_text` writes it."""

    __slots__ = ("path", "target")

    def __init__(self, path: bytes, target: bytes) -> None:
        self.path = check_name(path)
        self.target = _checked_text(target)

    def line(self) -> bytes:
        return b"symlink %s %s" % (self.path, self.target)


class Hardlink(Line):
    """Another name of a file or symlink that the run made under the name `other`."""

    __slots__ = ("other", "path")

    def __init__(self, path: bytes, other: bytes) -> None:
        self.path = check_name(path)
        self.other = check_name(other)

    def line(self) -> bytes:
        return b"hardlink %s %s" % (self.path, self.other)


class LinkTo(Line):
    """A new name of a file that was there before; `other` is a name it still has."""

    __slots__ = ("other", "path")

    def __init__(self, path: bytes, other: bytes) -> None:
        self.path = check_name(path)
        self.other = check_name(other)

    def line(self) -> bytes:
        return b"linkto %s %s" % (self.path, self.other)


class Move(Line):
    """Something that was there before, renamed from `path` to `to`; it keeps inode, owner, times and attributes."""

    __slots__ = ("path", "to")

    def __init__(self, path: bytes, to: bytes) -> None:
        if path == to:
            raise ValueError("nothing is renamed to its own name")
        self.path = check_name(path)
        self.to = check_name(to)

    def line(self) -> bytes:
        return b"move %s %s" % (self.path, self.to)


class Remove(Line):
    """Something that was there before and is gone; `type` is one of `TYPES`."""

    __slots__ = ("path", "type")

    def __init__(self, path: bytes, type: str) -> None:
        if type not in TYPES:
            raise ValueError(f"not a type that can be removed: {type!r}")
        self.path = check_name(path)
        self.type = type

    def line(self) -> bytes:
        return b"remove %s %s" % (self.path, self.type.encode())


class Mode(Line):
    """New mode of a file or directory that was there before."""

    __slots__ = ("mode", "path")

    def __init__(self, path: bytes, mode: int) -> None:
        self.path = check_name(path)
        self.mode = _checked_mode(mode)

    def line(self) -> bytes:
        return b"mode %s %04o" % (self.path, self.mode)


class Times(Line):
    """Times that the run set by a call of their own: nanoseconds, `NOW`, or None for one it left alone."""

    __slots__ = ("atime", "mtime", "path")

    def __init__(self, path: bytes, atime: Time, mtime: Time) -> None:
        self.path = check_name(path)
        self.atime = _checked_time(atime)
        self.mtime = _checked_time(mtime)

    def line(self) -> bytes:
        return b"times %s %s %s" % (self.path, _time_word(self.atime), _time_word(self.mtime))


class State(Line):
    """Earlier state of a name that the run made: `ABSENT`, `PLAIN`, `DIRECTORY`, or one of the two made here."""

    __slots__ = ("kind", "mode", "target")

    def __init__(self, kind: str, mode: int = 0, target: bytes = b"") -> None:
        self.kind = kind
        self.mode = mode
        self.target = target

    @classmethod
    def file(cls, mode: int) -> State:
        """A regular file of that mode with one link, own, without attributes."""
        return cls("file", mode=_checked_mode(mode))

    @classmethod
    def symlink(cls, target: bytes) -> State:
        """A symbolic link; `target` as `names.link_text` writes it."""
        return cls("symlink", target=_checked_text(target))

    def line(self) -> bytes:
        if self.kind == "file":
            return b"file %04o" % self.mode
        return b"symlink " + self.target if self.kind == "symlink" else self.kind.encode()


ABSENT = State("absent")
DIRECTORY = State("dir")
# Absent, or a regular file with one link, own, writable, without attributes, of the mode that the run leaves.
PLAIN = State("plain")

if TYPE_CHECKING:
    Made: TypeAlias = File | Dir | Symlink | Hardlink | LinkTo
    Entry: TypeAlias = File | Dir | Symlink | Hardlink | LinkTo | Move | Remove | Mode | Times


def _read_file(words: list[bytes]) -> File:
    path, mode, digest, *rest = words
    return File(path, int(mode, 8), Digest.parse(digest.decode("ascii")), b"in-place" in rest, b"stamped" in rest)


def _read_time(word: bytes) -> Time:
    return {b"-": None, b"now": NOW}.get(word) if word in (b"-", b"now") else int(word)


def read_entry(line: bytes) -> Entry:
    """Read an entry's line leniently (the whole is compared afterwards); raise `ValueError`."""
    kind, *words = line.split(b" ")
    if kind == b"file":
        return _read_file(words)
    path, *rest = words
    match kind, rest:
        case b"dir", [mode]:
            return Dir(path, int(mode, 8))
        case b"symlink", [target]:
            return Symlink(path, target)
        case b"hardlink", [other]:
            return Hardlink(path, other)
        case b"linkto", [other]:
            return LinkTo(path, other)
        case b"move", [to]:
            return Move(path, to)
        case b"remove", [type]:
            return Remove(path, type.decode("ascii"))
        case b"mode", [mode]:
            return Mode(path, int(mode, 8))
        case b"times", [atime, mtime]:
            return Times(path, _read_time(atime), _read_time(mtime))
    raise ValueError("a line of no known kind")


def read_state(words: list[bytes]) -> State:
    """Read the words of a state leniently; raise `ValueError`."""
    match words:
        case [b"plain"]:
            return PLAIN
        case [b"dir"]:
            return DIRECTORY
        case [b"file", mode]:
            return State.file(int(mode, 8))
        case [b"symlink", target]:
            return State.symlink(target)
    raise ValueError("a state of no known kind")


def _checked_mode(mode: int) -> int:
    if not 0 <= mode <= 0o7777:
        raise ValueError(f"not a mode: {mode:o}")
    return mode


def _checked_text(text: bytes) -> bytes:
    target = unescape(text[2:] if text[:2] in SIGNS else text)
    if not text or len(target) > 4095 or b"\0" in target:
        raise ValueError("not a symlink's target")
    return text


def _checked_time(time: Time) -> Time:
    if not (time is None or time == NOW or (isinstance(time, int) and abs(time) < 1 << 63)):
        raise ValueError(f"not a time: {time!r}")
    return time


def _time_word(time: Time) -> bytes:
    return b"-" if time is None else str(time).encode()
