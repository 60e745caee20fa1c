# SPDX-License-Identifier: Apache-2.0
"""The order of files' times as a fact (DESIGN 4.2).

Absolute times differ between checkouts; what decides is which of two files is older. The value names, from oldest to
newest, the files that count, with those that do not count between them: so it says how each file that counts stands
to every other, and nothing of how two that do not count stand to each other.
"""

from __future__ import annotations

import os
import stat

from pytrace_exec.observe.world import under

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_exec.observe.facts import View

CHANCE_FOLDERS = frozenset({b"node_modules", b"site-packages", b"dist-packages"})
"""Folders whose files' order an installation decides by chance."""

EXACT = "make"
"""In the argument of subjects whose program (make, ninja, find, test) orders by times: no folder is left out."""

LINKS = "links"
"""In the argument of subjects whose program compares times of symbolic links themselves."""

SAME = "same"
"""The argument of subjects that say only which paths lead to one file (several names of it)."""

TWINS = "twins"
"""The argument of subjects that say only which files have the same time, to the second."""


class Ordering:
    """Which files' order counts: those under the root that no fresh checkout or sandbox orders by chance."""

    def __init__(self, root: bytes, inputs: tuple[bytes, ...] = (), declared: frozenset[bytes] = frozenset()) -> None:
        """`inputs`: declared files and folders; `declared`: more of them, of which there may be thousands."""
        self._root = root
        self._declared = declared
        self._inputs = inputs
        self._tracked: dict[bytes, tuple[int, int]] | None = None

    def ranks(self, view: View, arg: str, paths: tuple[bytes, ...]) -> bytes:
        """Return the value of an order subject; it names the files by their positions in `paths`."""
        if arg == TWINS:
            seconds = [_second(view.stat(path)) for path in paths]
            return b"twins " + _digest([seconds.index(second) for second in seconds])
        same = _same(view, paths)
        if arg == SAME:
            return b"same " + _digest(same)
        words = arg.split(",")
        groups: dict[int, tuple[list[str], list[str]]] = {}
        absent: list[int] = []
        counted = 0
        for number, path in enumerate(paths):
            found = view.stat(path)
            if isinstance(found, str):
                absent.append(number)
            else:
                counts = self._counts(path, found, EXACT in words)
                counted += counts
                groups.setdefault(found.st_mtime_ns, ([], []))[0 if counts else 1].append(str(number))
            link = view.lstat(path) if LINKS in words else found
            if not isinstance(link, str) and stat.S_ISLNK(link.st_mode):
                counts = self._counts(path, link, EXACT in words)
                counted += counts
                groups.setdefault(link.st_mtime_ns, ([], []))[0 if counts else 1].append(f"{number}@")
        if not counted:
            return b"nothing counts " + _digest(["absent", *(n for n in absent if under(paths[n], self._root)), *same])
        return b"order " + _digest(["absent", *absent, *_sequence(groups), *same])

    def _counts(self, path: bytes, found: os.stat_result, exact: bool) -> bool:
        if not under(path, self._root) or any(under(path, place) for place in self._inputs):
            return False
        if self._declared and holds(self._declared, path):
            return False
        if not exact and _left_to_chance(path[len(self._root) :], self._root):
            return False
        return self._index().get(path) != (found.st_mtime_ns, found.st_size)

    def _index(self) -> dict[bytes, tuple[int, int]]:
        """Files that git tracks with a clean index entry: time and size as in the index."""
        if self._tracked is None:
            from pytrace_exec.observe.git_index import tracked_files

            self._tracked = tracked_files(self._root)
        return self._tracked


def holds(places: frozenset[bytes], path: bytes) -> bool:
    """Whether a path is one of the places or lies below one."""
    while len(path) > 1:
        if path in places:
            return True
        path = os.path.dirname(path)
    return False


def _left_to_chance(below: bytes, root: bytes) -> bool:
    parts = below.split(b"/")
    if CHANCE_FOLDERS & set(parts):
        return True
    folder = root
    for part in parts[1:-1]:
        folder += b"/" + part
        if os.path.lexists(folder + b"/pyvenv.cfg"):
            return True
    return False


def _same(view: View, paths: tuple[bytes, ...]) -> list[object]:
    """Which of the paths are names of one file, by their positions; nothing if none are."""
    files: dict[tuple[int, int], list[int]] = {}
    for number, path in enumerate(paths):
        found = view.stat(path)
        if not isinstance(found, str) and stat.S_ISREG(found.st_mode) and found.st_nlink > 1:
            files.setdefault((found.st_dev, found.st_ino), []).append(number)
    groups = sorted(group for group in files.values() if len(group) > 1)
    return ["same", *groups] if groups else []


def _second(found: os.stat_result | str) -> int | str:
    return found if isinstance(found, str) else found.st_mtime_ns // 1_000_000_000


def _sequence(groups: dict[int, tuple[list[str], list[str]]]) -> list[object]:
    """Files from oldest to newest: each time at which one counts, and what lies between two such times as one set."""
    out: list[object] = []
    between: list[str] = []
    for moment in sorted(groups):
        counting, others = groups[moment]
        if not counting:
            between += others
            continue
        out += ["between", *sorted(between), "at", *counting, "with", *others]
        between = []
    return [*out, "between", *sorted(between)]


def _digest(parts: list[object]) -> bytes:
    import hashlib

    return hashlib.sha256(" ".join(map(str, parts)).encode()).hexdigest().encode()
