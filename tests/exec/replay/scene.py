# SPDX-License-Identifier: Apache-2.0
"""A folder to replay into, content to replay from, and exact looks at what is there."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

from pytrace_cas.digest import SHA256, Digest
from pytrace_cas.recorded.effect_entries import File
from pytrace_cas.recorded.effects import Effects
from pytrace_cas.recorded.places import Places
from pytrace_exec.cache.errors import BlobMissing
from pytrace_exec.replay.apply import Prepared, prepare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_cas.recorded.effect_entries import Entry

Look = dict[bytes, tuple[object, ...]]


class Blobs:
    """Content in memory, written as a cache would."""

    def __init__(self) -> None:
        self.content: dict[Digest, bytes] = {}

    def add(self, content: bytes) -> Digest:
        """Keep content and return its digest."""
        digest = SHA256.of(content)
        self.content[digest] = content
        return digest

    def copy_to(self, digest: Digest, fd: int) -> None:
        """Write a blob or raise `BlobMissing`."""
        if digest not in self.content:
            raise BlobMissing(digest)
        os.write(fd, self.content[digest])


class Scene:
    """A root with a home and a temporary folder beside it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.home = folder / "home"
        for made in (self.root, self.home):
            made.mkdir()
        self.places = Places(bytes(self.root), bytes(self.home), None)
        self.blobs = Blobs()

    def file(self, path: bytes, content: bytes = b"new", mode: int = 0o644, in_place: bool = False) -> File:
        """Entry for a file whose content is at hand."""
        return File(path, mode, self.blobs.add(content), in_place)

    def put(self, path: str, content: bytes = b"old", mode: int = 0o644, mtime: int = 1_000_000_000) -> Path:
        """Make a file that is there before the replay, long ago."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        target.chmod(mode)
        os.utime(target, (mtime, mtime))
        return target

    def prepare(
        self, entries: Iterable[Entry], *, order: Iterable[Iterable[bytes]] = (), **options: object
    ) -> Prepared:
        """Prepare a replay of these entries; `targets` among the options are the effects'."""
        targets = options.pop("targets", None)
        effects = Effects.decode(Effects(entries, order, targets).encode())  # type: ignore[arg-type]
        return prepare(effects, self.blobs, self.places, **options)  # type: ignore[arg-type]

    def replay(self, entries: Iterable[Entry], **options: object) -> Prepared:
        """Replay from end to end."""
        prepared = self.prepare(entries, **options)  # type: ignore[arg-type]
        prepared.commit()
        prepared.forget()
        return prepared

    def look(self) -> Look:
        """Everything that must be the same when nothing was replayed: names, types, modes, times, inodes, content."""
        return {path: exact(path) for path in below(bytes(self.root.parent))}

    def shape(self) -> dict[bytes, tuple[object, ...]]:
        """What a user sees below the root: types, modes, content, and which names are one file."""
        paths = below(bytes(self.root))
        first: dict[int, bytes] = {}
        for path in paths:
            first.setdefault(os.lstat(path).st_ino, path)
        root = bytes(self.root)
        return {
            path[len(root) + 1 :]: (*plain(path), first[os.lstat(path).st_ino][len(root) + 1 :]) for path in paths[1:]
        }


def below(top: bytes) -> list[bytes]:
    """The folder and every path in it, sorted; links are not followed."""
    found = [top]
    for folder, names, files in os.walk(top):
        found += [os.path.join(folder, name) for name in (*names, *files)]
    return sorted(found)


def plain(path: bytes) -> tuple[object, ...]:
    """Type, mode and content of a path."""
    status = os.lstat(path)
    if stat.S_ISLNK(status.st_mode):
        return "symlink", os.readlink(path)
    if stat.S_ISREG(status.st_mode):
        return "file", oct(stat.S_IMODE(status.st_mode)), Path(os.fsdecode(path)).read_bytes()
    return "dir", oct(stat.S_IMODE(status.st_mode))


def exact(path: bytes) -> tuple[object, ...]:
    """All of a path that a replay which did not happen must have left alone."""
    status = os.lstat(path)
    attributes = tuple(os.listxattr(path, follow_symlinks=False))
    return *plain(path), status.st_mtime_ns, status.st_ino, status.st_nlink, status.st_uid, status.st_gid, attributes


class Failing:
    """A hook that raises at one instant, counted from 0, and keeps the names of all that it was told."""

    def __init__(self, at: int = -1, error: Callable[[], BaseException] = lambda: OSError(5, "injected")) -> None:
        self.at = at
        self.error = error
        self.instants: list[str] = []

    def __call__(self, instant: str) -> None:
        self.instants.append(instant)
        if len(self.instants) - 1 == self.at:
            raise self.error()
