# SPDX-License-Identifier: Apache-2.0
"""What known programs decide by besides content, type and mode: times of directories and links, owners (DESIGN 4.2).

What needs only the program's name is a list; what an interpreter compares, the text that it runs says: rows of
programs and the words that show it.
"""

from __future__ import annotations

import re

from pytrace_exec.policy.globs import Globs
from pytrace_exec.policy.programs import PYTHON

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytrace_exec.observe.processes import Program

COMPARE_FOLDERS = "make gmake find rsync ninja npm"
"""Programs that compare times of directories too."""

COMPARE_LINKS = "make gmake find rsync ninja mv cp"
"""Programs that compare times of symbolic links themselves."""

LOOK_BEFORE_LISTING = "make gmake"
"""Programs of those that ask for a directory's status right before they open it to list it, and use no time of that
answer: GNU make, which asks once more where a directory is a target or a prerequisite."""

REFUSE_SAME_FILE = "cp mv ln install"
"""Programs that compare no times, but tell whether two paths are names of one file."""

ORDER_BY_TIMES = "make gmake ninja find test [ npm"
"""Programs whose whole purpose may be the order of times: no folder is left to chance."""

WARN_OF_THE_FUTURE = "make gmake ninja"
"""Programs that hold the times of files against the clock."""

DECIDE_BY_OWNER = "chown chgrp getfacl namei"
"""Programs to which the owner of what they look at makes a difference."""

DECIDE_BY_FOLDERS_OWNER = "git"
"""Programs to which the owner of a directory does: git works in nobody else's repository."""

SHELLS = "sh dash bash zsh ksh mksh busybox test ["
"""Interpreters that are given scripts from anywhere, each of which counts (of others, those under the root do)."""

FOLDERS_BY_WORDS = rf"""
{SHELLS} : (?<![\w-])-(?:nt|ot)(?![\w-])
{PYTHON} : getmtime|getctime|(?i:st_[mc]time)|stat\([^()]*\)\[
perl perl5*                              : stat\b|(?<![\w-])-M\b
ruby ruby[0-9]*                          : mtime|stat\b
node nodejs deno bun                     : mtime
tclsh* wish* expect                      : file\s+(?:mtime|l?stat)
cmake ctest                              : IS_NEWER_THAN|TIMESTAMP
"""
"""Interpreters, and the words in what they run (a regular expression) by which they compare directories' times."""

OWNERS_BY_WORDS = rf"""
{SHELLS} : (?<![\w-])-[OG](?![\w-])
{PYTHON} : (?i:st_[ug]id)|\.owner\(|\.group\(|stat\([^()]*\)\[
perl perl5*                              : stat\b|(?<![\w-])-[oO]\b
ruby ruby[0-9]*                          : owned|stat\b
node nodejs deno bun                     : \.uid|\.gid
tclsh* wish* expect                      : file\s+(?:owned|l?stat|attributes)
"""
"""The same for owners."""


def _rows(table: str) -> list[tuple[Globs, bytes]]:
    rows = (line.partition(" : ") for line in table.strip().splitlines())
    return [(Globs(programs.split()), words.strip().encode()) for programs, _, words in rows]


_SHELLS = Globs(SHELLS.split())
_COMPARE_FOLDERS = Globs(COMPARE_FOLDERS.split())
_COMPARE_LINKS = Globs(COMPARE_LINKS.split())
_LOOK_BEFORE_LISTING = Globs(LOOK_BEFORE_LISTING.split())
_ORDER_BY_TIMES = Globs(ORDER_BY_TIMES.split())
_REFUSE_SAME_FILE = Globs(REFUSE_SAME_FILE.split())
_WARN_OF_THE_FUTURE = Globs(WARN_OF_THE_FUTURE.split())
_DECIDE_BY_OWNER = Globs(DECIDE_BY_OWNER.split())
_DECIDE_BY_FOLDERS_OWNER = Globs(DECIDE_BY_FOLDERS_OWNER.split())


def compares_folders(program: Program, tool: str) -> bool:
    """Whether it compares directories' times as well; `tool`: what `programs.tool_of` takes it for."""
    return program.name in _COMPARE_FOLDERS or tool in _COMPARE_FOLDERS


def compares_links(program: Program) -> bool:
    """Whether it compares times of symbolic links themselves."""
    return program.name in _COMPARE_LINKS


def looks_before_listing(program: Program) -> bool:
    """Whether a look at a directory that the program opens next, or has opened, compares no time."""
    return program.known_as in _LOOK_BEFORE_LISTING


def orders_by_times(program: Program, tool: str) -> bool:
    """Whether the order of two files' times may be all that it decides by."""
    return program.name in _ORDER_BY_TIMES or tool in _ORDER_BY_TIMES


def refuses_same_file(program: Program) -> bool:
    """Whether it tells whether two paths are names of one file, though it compares no times."""
    return program.name in _REFUSE_SAME_FILE


def warns_of_the_future(program: Program) -> bool:
    """Whether it holds files' times against the clock."""
    return program.name in _WARN_OF_THE_FUTURE


def decides_by_owner(program: Program) -> bool:
    """Whether the owner of what it looks at makes a difference to it."""
    return program.name in _DECIDE_BY_OWNER


def decides_by_folders_owner(program: Program) -> bool:
    """Whether the owner of a directory does."""
    return program.name in _DECIDE_BY_FOLDERS_OWNER


def takes_scripts_from_anywhere(program: Program) -> bool:
    """Whether it is a shell."""
    return program.name in _SHELLS


def is_script(text: bytes) -> bool:
    """Whether content may be what an interpreter runs, and no other program, library or data."""
    return b"\0" not in text[:_HEAD] or text[2:4] == _COMPILED


class Interpreters:
    """What the interpreters among some programs compare, by the texts that they run."""

    __slots__ = ("_found",)

    def __init__(self, looking: Iterable[Program], texts: Iterable[bytes]) -> None:
        """`looking`: those that looked at anything that it matters for. The texts are read once, and only for them."""
        names = {program.name for program in looking}
        wanted = {words for rows in _BY_WORDS for globs, words in rows if any(name in globs for name in names)}
        self._found: set[bytes] = set()
        for text in texts if wanted else ():
            if is_script(text):
                self._found.update(words for words in wanted - self._found if re.search(words, text))

    def compare_folders(self, program: Program) -> bool:
        """Whether the program is an interpreter whose text compares directories' times."""
        return self._say(_FOLDERS, program)

    def decide_by_owner(self, program: Program) -> bool:
        """Whether the program is an interpreter whose text decides by owners."""
        return self._say(_OWNERS, program)

    def _say(self, rows: list[tuple[Globs, bytes]], program: Program) -> bool:
        return any(program.name in globs and words in self._found for globs, words in rows)


_HEAD = 1024
"""A text with a NUL among so many bytes at its beginning is no script."""

_COMPILED = b"\r\n"
"""What follows the number of a `.pyc`'s format; names in code are plain there."""

_BY_WORDS = _FOLDERS, _OWNERS = _rows(FOLDERS_BY_WORDS), _rows(OWNERS_BY_WORDS)
