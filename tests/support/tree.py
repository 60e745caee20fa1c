# SPDX-License-Identifier: Apache-2.0
"""What a folder holds, as a value: taken, compared and copied exactly as a user could see it."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator, Mapping

import attrs

from pytrace_exec.observe import git_index

KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
}


PYC_FLAGS, PYC_SIZE = slice(4, 8), slice(12, 16)
PYC_STAMP = slice(8, 12)  # the time of the source: it differs between two worlds


@attrs.frozen
class Entry:
    """One name in a tree; `value` is a file's content or a symlink's target.

    Of a `.pyc` the content is less its source's time, with a word on whether it is that of the source beside; of a
    git index, less what git remembers of files' status.
    """

    kind: str
    mode: int
    value: bytes = b""
    linked: tuple[bytes, ...] = ()
    attributes: tuple[tuple[str, bytes], ...] = ()
    mtime_ns: int = attrs.field(default=0, eq=False)


@attrs.frozen
class Difference:
    """One thing that two trees, or two runs, do not have in common."""

    what: str
    path: bytes
    plain: object
    cached: object

    def __str__(self) -> str:
        return f"{self.what} {os.fsdecode(self.path)!r}: plain {self.plain!r}, cached {self.cached!r}"


Tree = Mapping[bytes, Entry]


def take(root: bytes) -> Tree:
    """Read everything below `root`, without following a symlink; keys are paths relative to it."""
    found: dict[bytes, os.stat_result] = {}
    groups: dict[tuple[int, int], list[bytes]] = {}
    for path, status in _walk(root):
        found[path] = status
        if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
            groups.setdefault((status.st_dev, status.st_ino), []).append(path)
    return {path: _entry(root, path, status, groups) for path, status in sorted(found.items())}


def _walk(root: bytes, below: bytes = b"") -> Iterator[tuple[bytes, os.stat_result]]:
    with os.scandir(os.path.join(root, below)) as entries:
        for entry in sorted(entries, key=lambda one: one.name):
            path = os.path.join(below, entry.name)
            yield path, entry.stat(follow_symlinks=False)
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(root, path)


def _entry(root: bytes, path: bytes, status: os.stat_result, groups: Mapping[tuple[int, int], list[bytes]]) -> Entry:
    full = os.path.join(root, path)
    kind = KINDS[stat.S_IFMT(status.st_mode)]
    value = b""
    if kind == "file":
        with open(full, "rb") as file:
            value = file.read()
        if path.endswith(b".pyc") and not any(value[PYC_FLAGS]):
            value = _fits(full, value[PYC_STAMP], value[PYC_SIZE]) + value[: PYC_STAMP.start] + value[PYC_STAMP.stop :]
        if path.endswith(b".git/index"):
            value = git_index.meaning(value) or b""
    elif kind == "symlink":
        value = os.readlink(full)
    linked = tuple(groups.get((status.st_dev, status.st_ino), ()))
    return Entry(
        kind, stat.S_IMODE(status.st_mode), value, linked if len(linked) > 1 else (), _attributes(full),
        status.st_mtime_ns,
    )  # fmt: skip


def _fits(pyc: bytes, stamp: bytes, size: bytes) -> bytes:
    """Whether a `.pyc` in a cache folder carries time, in seconds, and size of its source."""
    folder, name = os.path.split(pyc)
    source = os.path.join(os.path.dirname(folder), name.partition(b".")[0] + b".py")
    if not os.path.exists(source):
        return b"no source "
    found = os.stat(source)
    fits = [value.to_bytes(4, "little") for value in (int(found.st_mtime), found.st_size)] == [stamp, size]
    return b"fits " if fits else b"stale "


def _attributes(full: bytes) -> tuple[tuple[str, bytes], ...]:
    try:
        names = [name for name in os.listxattr(full, follow_symlinks=False) if name.startswith("user.")]
    except OSError:  # a file system without attributes has none to compare
        return ()
    return tuple((name, os.getxattr(full, name, follow_symlinks=False)) for name in sorted(names))


def differences(plain: Tree, cached: Tree) -> list[Difference]:
    """Compare existence, type, content, full mode, targets, attributes and which names share a file."""
    found = []
    for path in sorted(plain.keys() | cached.keys()):
        one, other = plain.get(path), cached.get(path)
        if one is None or other is None:
            found.append(Difference("existence", path, one and one.kind, other and other.kind))
            continue
        for field in attrs.fields(Entry):
            left, right = getattr(one, field.name), getattr(other, field.name)
            if field.eq and left != right:
                found.append(Difference(field.name, path, left, right))
    return found


def time_differences(plain: Tree, cached: Tree, fresh_from_ns: int) -> list[Difference]:
    """Compare files' modification times: those older than `fresh_from_ns` exactly, later ones as "fresh"."""
    found = []
    for path, one in plain.items():
        other = cached.get(path)
        if other is None or one.kind != "file" or other.kind != "file":
            continue
        expected = one.mtime_ns if one.mtime_ns < fresh_from_ns else "fresh"
        actual = other.mtime_ns if other.mtime_ns < fresh_from_ns else "fresh"
        if expected != actual:
            found.append(Difference("mtime", path, expected, actual))
    return found


def order_differences(plain: Tree, cached: Tree) -> list[Difference]:
    """Compare the order of modification times of all files; only meaningful if no two were made in one tick."""
    paths = [path for path, entry in plain.items() if entry.kind == "file" and path in cached]
    ranks = [_ranks(tree, paths) for tree in (plain, cached)]
    return [
        Difference("order of mtimes", path, ranks[0][path], ranks[1][path])
        for path in paths
        if ranks[0][path] != ranks[1][path]
    ]


def _ranks(tree: Tree, paths: list[bytes]) -> dict[bytes, int]:
    times = sorted({tree[path].mtime_ns for path in paths})
    places = {time: rank for rank, time in enumerate(times)}
    return {path: places[tree[path].mtime_ns] for path in paths}


def copy(source: bytes, target: bytes) -> None:
    """Copy a tree with modes, times, links and attributes, as a second checkout would hold it."""
    subprocess.run(["cp", "-a", "--", source, target], check=True)


def remove(path: bytes) -> None:
    """Remove whatever `path` names, however deep; nothing there is fine."""
    if not os.path.lexists(path):
        return
    if os.path.islink(path) or not os.path.isdir(path):
        os.unlink(path)
        return
    for below, _, _ in os.walk(path):
        os.chmod(below, 0o700)
    try:
        shutil.rmtree(path)
    except (OSError, RecursionError):  # too deep for it
        subprocess.run(["rm", "-rf", "--", path], check=True)
