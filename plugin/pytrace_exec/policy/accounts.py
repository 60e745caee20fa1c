# SPDX-License-Identifier: Apache-2.0
"""The account files count by the entries that were asked for (DESIGN 4.3, values by meaning).

Tools that show owners ask the C library for the names of those of what they look at. Only if all programs that
read an account file are such tools, with arguments that are understood, does it count by those entries.
"""

from __future__ import annotations

import os
import stat

from pytrace_cas.recorded.subjects import Subject
from pytrace_exec.observe.accounts import GROUP, PASSWD, Asked
from pytrace_exec.observe.facts import ACCOUNTS
from pytrace_exec.observe.variables import arguments, read_texts
from pytrace_exec.policy.archives import creates_by_understood_options
from pytrace_exec.policy.globs import Globs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pytrace_exec.observe.processes import Program
    from pytrace_exec.observe.run import Run

SHOW_OWNERS = "ls dir vdir stat find tar whoami"
"""Tools that ask for the names of the owners of what they look at, and of the user; `tar` as it makes an archive."""

ASK_BY_NAME = "-user -group --owner --group"
"""Their options that name an owner, in the next word or after `=`."""

MORE_OPTIONS = "TAR_OPTIONS"
"""The variable by which `tar` takes options besides."""

LIBRARY_FILES = """
/etc/passwd /etc/group /etc/nsswitch.conf /etc/locale.alias /usr/share/locale/* /usr/lib/locale/*
"""
"""Files that the C library reads for such a tool, which has no use for their times unless it was told to look there."""

_SHOW_OWNERS = frozenset(SHOW_OWNERS.split())
_ASK_BY_NAME = frozenset(option.encode() for option in ASK_BY_NAME.split())
_LIBRARY_FILES = Globs(LIBRARY_FILES.split())


def shows_owners(program: Program) -> bool:
    """Whether a program asks for nothing but owners' names."""
    name = program.known_as
    return name in _SHOW_OWNERS and (name != "tar" or creates_by_understood_options(program.argv[1:]))


def is_library_file(path: bytes | None) -> bool:
    """Whether the C library reads a file for its own purposes."""
    return path is not None and os.fsdecode(path) in _LIBRARY_FILES


def relax(run: Run, environ: Mapping[bytes, bytes]) -> None:
    """Let each account file that only such tools read count by the entries they can have asked for."""
    for path in (PASSWD, GROUP):
        exact, lookers = Subject("content", "", path), run.lookers.get(path, set())
        if exact not in run.subjects or not all(shows_owners(program) for program in lookers) or _was_named(run, path):
            continue
        if (path == GROUP and _inherits_groups(run)) or _is_told_otherwise(run, lookers, environ):
            continue
        names = set(_names(lookers))
        numbers = {int(name) for name in names if name.removeprefix(b"+").isdigit()}
        asked = Asked(numbers.union(_owners(run, lookers, path)), names)
        run.subjects[Subject("content", ACCOUNTS + asked.text, path)] = run.subjects.pop(exact)
        looked = run.subjects.pop(Subject("status", "", path), None)
        run.subjects.setdefault(Subject("status", "mode", path), looked)


def _inherits_groups(run: Run) -> bool:
    """Whether the run made something in a folder that gives its own group to what is made there."""
    statuses = (folder.status for folder, _ in run.world.changes.values())
    return any(status is not None and status.st_mode & stat.S_ISGID for status in statuses)


def _is_told_otherwise(run: Run, programs: Iterable[Program], environ: Mapping[bytes, bytes]) -> bool:
    """Whether `tar` may have options that are not among its arguments."""
    if not any(program.known_as == "tar" for program in programs):
        return False
    told = MORE_OPTIONS.encode()
    return told in environ or any(told in text for text in (*arguments(run), *read_texts(run)))


def _was_named(run: Run, path: bytes) -> bool:
    """Whether a program looked at the file itself for more than its size."""
    return any(subject.kind == "status" and subject.arg and path in subject.paths for subject in run.subjects)


def _owners(run: Run, programs: Iterable[Program], path: bytes) -> Iterator[int]:
    """Numbers of the owners of all that the programs looked at, of the folders of that, and of this process."""
    yield os.geteuid() if path == PASSWD else os.getegid()
    looked = {place for program in programs for place in (*program.looked, *program.folders, *program.links)}
    for place in looked | {os.path.dirname(place) for place in looked}:
        found = run.world.earlier.lstat(place)
        if not isinstance(found, str):
            yield found.st_uid if path == PASSWD else found.st_gid
        followed = run.world.earlier.stat(place)
        if not isinstance(followed, str):
            yield followed.st_uid if path == PASSWD else followed.st_gid


def _names(programs: Iterable[Program]) -> Iterator[bytes]:
    """Names that the programs were told."""
    for program in programs:
        words = program.argv[1:]
        for word, value in zip(words, (*words[1:], b""), strict=True):
            option, equals, attached = word.partition(b"=")
            if option in _ASK_BY_NAME:
                yield from (attached if equals else value).split(b":")
