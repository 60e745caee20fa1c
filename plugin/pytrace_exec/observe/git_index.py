# SPDX-License-Identifier: Apache-2.0
"""Git's index (gitformat-index(5), versions 2 to 4): which files git tracks, as what, and how they stood.

Read here because the libraries at hand do not give an entry's time, which alone tells a touched file from a clean one.
"""

from __future__ import annotations

import os
import stat
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_STATUS = struct.Struct(">10I")
_SHORT = struct.Struct(">H")
_EXTENDED = 0x4000
_MARKS = 0xB000  # assume-unchanged, and the stage; the rest is the length of the name
_UNCHANGED, _NOT_THERE = 0x8000, 0x4000
_LINK = 0o160000
_SECOND = 1_000_000_000
_WORD = 0xFFFFFFFF
_DEVICE, _MODE = 4, 6
_FRACTIONS = (1, 3)
_SHA1, _SHA256 = 20, 32

CACHES = frozenset({b"TREE", b"EOIE", b"IEOT"})
"""Extensions that say nothing but what follows from the entries."""

_SPLIT = b"link"


class Entry:
    """One tracked file: its mode, id and flags, and its status when git last looked (numbers cut to 32 bits).

    `marks`: assume-unchanged and stage; `more`: skip-worktree and intent-to-add.
    """

    __slots__ = ("id", "marks", "mode", "more", "name", "status")

    def __init__(self, name: bytes, status: tuple[int, ...], identity: bytes, marks: int, more: int) -> None:
        self.name = name
        self.status = status
        self.mode = status[6]
        self.id = identity
        self.marks = marks
        self.more = more

    @property
    def mtime_ns(self) -> int:
        """Modification time of the file when git last looked."""
        return self.status[2] * 1_000_000_000 + self.status[3]

    @property
    def size(self) -> int:
        """Size of the file when git last looked."""
        return self.status[9]

    def state(self, found: os.stat_result | str) -> bytes:
        """Whether a file stands as git remembers it (`=`), so that git does not read it, or not (`!`).

        Raises ValueError where it depends on how git was built, which may leave out fractions of a second.
        """
        differing = self.differing(found)
        if differing and not differing - set(_FRACTIONS):
            raise ValueError("not told apart by every git")
        return b"!" if differing else b"="

    def differing(self, found: os.stat_result | str) -> set[int]:
        """Which numbers of a file's status git remembers otherwise; none of a file at which it does not look."""
        if self.marks & _UNCHANGED or self.more & _NOT_THERE:
            return set()
        if isinstance(found, str):
            return set(range(len(self.status)))
        now = (*divmod(found.st_ctime_ns, _SECOND), *divmod(found.st_mtime_ns, _SECOND), found.st_dev, found.st_ino,
               found.st_mode, found.st_uid, found.st_gid, found.st_size)  # fmt: skip
        kept = enumerate(zip(now, self.status, strict=True))
        return {place for place, (number, was) in kept if number & _WORD != was} - {_DEVICE, _MODE}

    def is_as_new(self, written: os.stat_result | str) -> bytes:
        """Whether git reads a file that stands as it remembers, because the index was not written after it.

        `<`: no; `=`: not in a later second, by which most gits go; `>`: not at all.
        """
        if isinstance(written, str) or self.marks & _UNCHANGED or self.more & _NOT_THERE:
            return b"<"
        if written.st_mtime_ns <= self.mtime_ns:
            return b">"
        return b"=" if written.st_mtime_ns // _SECOND == self.status[2] & _WORD else b"<"


def tracked_files(root: bytes) -> dict[bytes, tuple[int, int]]:
    """Modification time (ns) and size (low 32 bits) of each tracked file by absolute path; empty without git."""
    top = root
    while not os.path.lexists(os.path.join(top, b".git")):
        if top == b"/":
            return {}
        top = os.path.dirname(top)
    try:
        with open(os.path.join(_git_folder(os.path.join(top, b".git")), b"index"), "rb") as file:
            entries, _ = _entries(file.read(), _SHA1)
    except (OSError, struct.error, IndexError, ValueError):
        return {}
    return {os.path.join(top, entry.name): (entry.mtime_ns, entry.size) for entry in entries}


def entries_of(data: bytes) -> list[Entry] | None:
    """All entries of an index in order.

    None: damaged, with submodules, or with an extension that is no mere cache (a split or sparse index, say).
    """
    size = _size_of_ids(data)
    if size is None:
        return None
    try:
        entries, end = _entries(data, size)
        extensions = list(_extensions(data, end, len(data) - size))
    except (struct.error, IndexError, ValueError):
        return None
    if not CACHES.issuperset(extensions) or any(entry.mode == _LINK for entry in entries):
        return None
    return entries


def meaning(data: bytes, standing: Callable[[Entry], bytes] | None = None) -> bytes | None:
    """What an index says of tracked files, in canonical form; None as with `entries_of`.

    Without `standing`, which tells that of an entry, how the files stood when git last looked is no part of it; with
    it, how each stands to that today is, and None is also that this cannot be told (ValueError).
    """
    entries = entries_of(data)
    if entries is None:
        return None
    try:
        states = [standing(entry) if standing else b"" for entry in entries]
    except ValueError:
        return None
    return b"".join(
        b"%s\0%o %s %x %x%s\n" % (entry.name, entry.mode, entry.id.hex().encode(), entry.marks, entry.more, state)
        for entry, state in zip(entries, states, strict=True)
    )


def files_of(data: bytes) -> list[Entry] | None:
    """The entries of files, whatever else there is in an index; None: damaged, or a part of it lies elsewhere."""
    size = _size_of_ids(data)
    if size is None:
        return None
    try:
        entries, end = _entries(data, size)
        if _SPLIT in _extensions(data, end, len(data) - size):
            return None
    except (struct.error, IndexError, ValueError):
        return None
    return [entry for entry in entries if stat.S_ISREG(entry.mode) or stat.S_ISLNK(entry.mode)]


def worktree_of(folder: bytes) -> bytes | None:
    """The folder of the files that belong to a repository's folder, of a worktree by its file `gitdir`."""
    if os.path.basename(folder) == b".git":
        return os.path.dirname(folder)
    try:
        with open(os.path.join(folder, b"gitdir"), "rb") as file:
            return os.path.dirname(os.path.join(folder, file.read(4096).rstrip(b"\n")))
    except OSError:
        return None


def _git_folder(path: bytes) -> bytes:
    """The repository's folder; `.git` is a file in worktrees and submodules."""
    if os.path.isdir(path):
        return path
    with open(path, "rb") as file:
        target = file.read(4096).removeprefix(b"gitdir: ").rstrip(b"\n")
    return os.path.join(os.path.dirname(path), target)


def _size_of_ids(data: bytes) -> int | None:
    """How long the repository's ids are, by the checksum at the end of the index; None if it fits neither."""
    import hashlib

    for size, function in ((_SHA1, hashlib.sha1), (_SHA256, hashlib.sha256)):
        if function(data[:-size]).digest() == data[-size:]:
            return size
    return None


def _entries(data: bytes, size: int) -> tuple[list[Entry], int]:
    """All entries in order, and where they end; `size`: of an id."""
    if data[:4] != b"DIRC":
        raise ValueError("no index")
    version, count = struct.unpack_from(">II", data, 4)
    at, name, found = 12, b"", []
    for _ in range(count):
        fields = _STATUS.unpack_from(data, at)
        identity = data[at + _STATUS.size : at + _STATUS.size + size]
        start = at + _STATUS.size + size + _SHORT.size
        (flags,) = _SHORT.unpack_from(data, start - _SHORT.size)
        more = 0
        if flags & _EXTENDED:
            (more,) = _SHORT.unpack_from(data, start)
            start += _SHORT.size
        if version == 4:
            strip, start = _offset(data, start)
            end = data.index(b"\0", start)
            name = name[: len(name) - strip] + data[start:end]
            at = end + 1
        else:
            end = data.index(b"\0", start)
            name = data[start:end]
            at += (end - at + 8) & ~7
        found.append(Entry(name, fields, identity, flags & _MARKS, more))
    return found, at


def _extensions(data: bytes, at: int, end: int) -> Iterator[bytes]:
    """Signatures of the extensions between the entries and the checksum."""
    while at < end:
        signature, size = struct.unpack_from(">4sI", data, at)
        yield signature
        at += 8 + size
    if at != end:
        raise ValueError("an extension goes beyond the end")


def _offset(data: bytes, at: int) -> tuple[int, int]:
    """A number in git's variable-width form, as in pack files' offsets."""
    byte = data[at]
    value, at = byte & 0x7F, at + 1
    while byte & 0x80:
        byte = data[at]
        value, at = ((value + 1) << 7) | (byte & 0x7F), at + 1
    return value, at
