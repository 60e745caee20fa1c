# SPDX-License-Identifier: Apache-2.0
"""Which files git may find otherwise than its index says, although nobody changed them (gitattributes(5)).

Git reads a file only if it does not stand as the index remembers. What it reads it converts, by attributes and settings
that may be others than when the file was added. Only of such files it matters whether git reads them.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import re
import stat

from pytrace_exec.observe.git_refs import UnknownRefs, common_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_exec.observe.facts import View
    from pytrace_exec.observe.git_index import Entry

NONE = ""
"""No attributes or settings but those of the worktree and of `info/attributes` convert anything."""

LINES = " lines"
"""Others may convert ends of lines, and `$Id$`."""

ALL = " all"
"""Others may convert whatever there is."""

BY_CONTENT = re.compile(rb"filter|working-tree-encoding")
"""Attributes by which any content may be converted; by others only ends of lines and `$Id$` are."""

ATTRIBUTES = b".gitattributes"

_ENDS_AND_IDS = re.compile(rb"\r\n|\$Id:")
_SPECIAL = re.compile(rb'[\["\\/]|^\[attr\]')
_NOT_TOLD = b"* filter"


class Conversions:
    """What may be converted in a worktree: `told` is one of the words above, `names` are those that the index has."""

    def __init__(self, view: View, folder: bytes, top: bytes, told: str, names: frozenset[bytes]) -> None:
        self._view = view
        self._top = top
        self._told = told
        self._names = names
        self._lines: dict[bytes, tuple[bytes, ...]] = {}
        try:
            self._everywhere = self._attributes(os.path.join(common_folder(view, folder), b"info", b"attributes"))
        except UnknownRefs:
            self._everywhere = (_NOT_TOLD,)

    def concern(self, entry: Entry) -> bool:
        """Whether git, if it reads a tracked file, may find something else than what it takes for unchanged."""
        if self._told == ALL:
            return True
        lines = self._lines_of(os.path.dirname(entry.name))
        if stat.S_ISLNK(entry.mode) or not (lines or self._told):
            return False
        if any(_may_match(line, os.path.basename(entry.name)) for line in lines if BY_CONTENT.search(line)):
            return True
        path = os.path.join(self._top, entry.name)
        if isinstance(self._view.lstat(path), str):
            return False
        data = self._view.data(path, self._view.digest(path))
        return data is None or bool(_ENDS_AND_IDS.search(data)) or _blob_id(data, len(entry.id)) != entry.id

    def _lines_of(self, folder: bytes) -> tuple[bytes, ...]:
        """The lines of attributes that concern what lies in a folder of the worktree."""
        lines = self._lines.get(folder)
        if lines is None:
            above = self._lines_of(os.path.dirname(folder)) if folder else self._everywhere
            name = os.path.join(folder, ATTRIBUTES)
            own = self._attributes(os.path.join(self._top, name))
            if not own and name in self._names and isinstance(self._view.lstat(os.path.join(self._top, name)), str):
                own = (_NOT_TOLD,)  # then git takes those that the index has
            lines = self._lines[folder] = above + own
        return lines

    def _attributes(self, path: bytes) -> tuple[bytes, ...]:
        """The lines of a file of attributes that say anything."""
        if isinstance(self._view.lstat(path), str):
            return ()
        data = self._view.data(path, self._view.digest(path))
        lines = (_NOT_TOLD,) if data is None else map(bytes.strip, data.splitlines())
        return tuple(line for line in lines if line and not line.startswith(b"#"))


def _may_match(line: bytes, name: bytes) -> bool:
    """Whether the pattern that a line of attributes begins with may be one of a file's name."""
    pattern = line.split(None, 1)[0]
    return bool(_SPECIAL.search(pattern)) or fnmatch.fnmatchcase(name.lower(), pattern.lower())


def _blob_id(data: bytes, size: int) -> bytes:
    """The id of a file's content as it is, by the length of ids."""
    function = hashlib.sha1 if size == hashlib.sha1().digest_size else hashlib.sha256
    return function(b"blob %d\0%s" % (len(data), data)).digest()
