# SPDX-License-Identifier: Apache-2.0
"""What the programs of a run compared besides content, type and mode: times and owners, as facts (DESIGN 4.2)."""

from __future__ import annotations

import os
from itertools import chain

from pytrace_cas.recorded.subjects import Subject
from pytrace_exec.observe.times import EXACT, LINKS, SAME, TWINS
from pytrace_exec.observe.variables import arguments, read_text, read_texts
from pytrace_exec.observe.world import under
from pytrace_exec.policy import comparing, programs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytrace_exec.observe.before import EarlierView
    from pytrace_exec.observe.processes import Program
    from pytrace_exec.observe.run import Run

ARCHIVE = b"!<arch>"
"""Beginning of archives, in which GNU make compares the times of members."""

LONGEST_SCRIPT = 16 << 20
"""Bytes; a longer file outside the root is data."""

UNTRACKED_CACHE = b"UNTR"
"""The part of git's index that has times of directories, by which git decides which of them to read."""


def add_comparisons(run: Run, earlier: EarlierView) -> None:
    """Make facts of what each program that may compare can have compared."""
    started = [program for program in run.processes.programs if program.path]
    below = _looked_below(started, run.setting.root)
    looking = [program for program in started if not all(map(below.isdisjoint, _looked_at(program)))]
    texts = chain(arguments(run), read_texts(run), scripts_from_elsewhere(run))
    interpreters = comparing.Interpreters(looking, texts)
    digests = _Digests(earlier)
    for program in started:
        folders = set(+program.folders)
        tool = programs.tool_of(program, run.setting.root)
        owned = _of_repository(program, folders) if comparing.decides_by_folders_owner(program) else set()
        if comparing.decides_by_owner(program) or interpreters.decide_by_owner(program):
            owned = folders | program.looked | program.links
        for path in owned:
            run.subjects.setdefault(Subject("status", "owner", path), None)
        if programs.expands_macros(program):
            _add_twins(run, program, digests)
        if comparing.refuses_same_file(program):
            _add_same(run, program)
        if not programs.compares_times(program):
            continue
        _add_absolute(run, program, folders)
        if not (comparing.compares_folders(program, tool) or interpreters.compare_folders(program)):
            folders.clear()
        _add_order(run, program, folders, tool, below)
        if comparing.warns_of_the_future(program):
            _check_future(run, earlier, program)


def _looked_at(program: Program) -> tuple[Iterable[bytes], ...]:
    return program.folders.keys(), program.looked, program.links


def _looked_below(looking: Iterable[Program], root: bytes) -> set[bytes]:
    """What the programs looked at in the root."""
    paths: set[bytes] = set()
    for program in looking:
        paths.update(*_looked_at(program))
    return {path for path in paths if under(path, root)}


def scripts_from_elsewhere(run: Run) -> Iterator[bytes]:
    """What shells read outside the root, or have as standard input, and what a program was told by name to read."""
    standing = run.setting.standing.get(0)
    if standing is not None and standing.kind == "file" and standing.path is not None:
        yield read_text(standing.path)
    shells = {program for program in run.processes.programs if comparing.takes_scripts_from_anywhere(program)}
    lines = dict.fromkeys(program.argv for program in run.processes.programs)
    told = {os.path.basename(word) for words in lines for word in words[1:]}
    for path, lookers in list(run.lookers.items()):
        wanted = os.path.basename(path) in told or not shells.isdisjoint(lookers)
        if wanted and not run.setting.own(path) and Subject("content", "", path) in run.subjects:
            yield read_text(path, LONGEST_SCRIPT)


def _of_repository(program: Program, folders: set[bytes]) -> set[bytes]:
    """The directories that git looked at, and the files that stand for one (`.git` of a worktree)."""
    return folders | {path for path in program.looked if os.path.basename(path) == b".git"}


def _add_order(run: Run, program: Program, folders: set[bytes], tool: str, below: set[bytes]) -> None:
    """One fact of the order of all that a program looked up."""
    links = program.links if comparing.compares_links(program) else set()
    paths = (program.looked | folders | links) - {run.setting.cwd}
    words = [EXACT] * comparing.orders_by_times(program, tool) + [LINKS] * bool(links)
    if len(paths) > 1 and not below.isdisjoint(paths):
        order = Subject("order", ",".join(words), *sorted(paths))
        run.subjects.setdefault(order, None)
        run.orders.setdefault(order, set()).add(program)


def _add_same(run: Run, program: Program) -> None:
    """Which of the paths in the root that a program looked up are one file."""
    paths = sorted(path for path in program.looked if under(path, run.setting.root))
    if len(paths) > 1:
        run.subjects.setdefault(Subject("order", SAME, *paths), None)


class _Digests(dict[bytes, str]):
    """Digests of files before the run, each asked for once."""

    def __init__(self, earlier: EarlierView) -> None:
        super().__init__()
        self._earlier = earlier

    def __missing__(self, path: bytes) -> str:
        digest = self[path] = self._earlier.digest(path)
        return digest


def _add_twins(run: Run, program: Program, digests: _Digests) -> None:
    """A preprocessor takes headers of equal content, size and time (to the second) for one, if they ask for it."""
    same: dict[str, list[bytes]] = {}
    for path in program.looked:
        if Subject("content", "", path) in run.subjects:
            same.setdefault(digests[path], []).append(path)
    for paths in same.values():
        if len(paths) > 1 and any(under(path, run.setting.root) for path in paths):
            run.subjects.setdefault(Subject("order", TWINS, *sorted(paths)), None)


def _add_absolute(run: Run, program: Program, folders: set[bytes]) -> None:
    """Where a program compares with a time that stands in a file, times themselves are facts."""
    compared: set[bytes] = set()
    if program.known_as in ("make", "gmake") and any(
        read_text(path).startswith(ARCHIVE) for path in _read_by(run, program)
    ):
        compared = program.looked
    elif program.name == "git" and any(UNTRACKED_CACHE in read_text(path) for path in _indexes(run, program)):
        compared = folders
    for path in compared:
        run.subjects.setdefault(Subject("status", "times", path), None)


def _read_by(run: Run, program: Program) -> Iterator[bytes]:
    for path, lookers in run.lookers.items():
        if program in lookers and Subject("content", "", path) in run.subjects:
            yield path


def _indexes(run: Run, program: Program) -> Iterator[bytes]:
    return (path for path in _read_by(run, program) if os.path.basename(path) == b"index")


def _check_future(run: Run, earlier: EarlierView, program: Program) -> None:
    """Of a file from the future a program tells how far it is away, and the next run may not."""
    for path in program.looked:
        found = earlier.stat(path)
        if not isinstance(found, str) and found.st_mtime_ns > run.setting.began_ns and under(path, run.setting.root):
            run.refuse("clock", path)
