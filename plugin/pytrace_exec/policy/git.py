# SPDX-License-Identifier: Apache-2.0
"""What git reads in its own folder counts by its meaning (DESIGN 4.3): refs, the logical index, and no objects.

Where everybody who looked at a file there is git, with a command of `git_commands.GIT_COMMANDS`, the file counts by
what the names that were asked for stand for, by what the index says of tracked files, and, for a command that
abbreviates the id of HEAD, by what decides its length. HEAD itself, settings and all other files keep their bytes.
"""

from __future__ import annotations

import os
import re
from itertools import chain

from pytrace_cas.recorded.subjects import Subject
from pytrace_exec.observe import git_index
from pytrace_exec.observe.comparisons import scripts_from_elsewhere
from pytrace_exec.observe.git_meaning import FILES, INDEX, REFS, SHORT, UNTRUSTED, meaning
from pytrace_exec.observe.variables import arguments, read_text, read_texts
from pytrace_exec.observe.view import LiveView
from pytrace_exec.observe.world import under
from pytrace_exec.policy import left_out
from pytrace_exec.policy.git_commands import Reading, is_git, reading_of, splits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pytrace_cas.digest import DigestFunction
    from pytrace_exec.observe.outputs import Output
    from pytrace_exec.observe.processes import Program
    from pytrace_exec.observe.run import Run

GIT_VARIABLES = (
    "GIT_CONFIG_COUNT GIT_CONFIG_KEY_ GIT_CONFIG_VALUE_ GIT_CONFIG_PARAMETERS GIT_REPLACE_REF_BASE GIT_TEST_"
)
"""Beginnings of variables by which git reads otherwise, and no file tells."""

GIT_SETTINGS = r"""
trustctime checkstat autorefreshindex fsmonitor untrackedcache splitindex promisor partialclone refstorage
date\s*= worktree\s*= abbrevcommit decorate
"""
"""Settings (regular expressions) by which git goes by times or keeps its files in another way."""

SHORTENED = "abbrev"
"""The word of settings that say how short an id may be."""

DROPPED = frozenset({"access", "content", "error", "listing", "status"})
"""Kinds of looks at refs and objects that tell no more than their meaning does."""

_REPLACED = b"refs/replace/"
_HEAD_NAMES = tuple(b"refs/%sHEAD" % place for place in (b"", b"tags/", b"heads/", b"remotes/", b"remotes/HEAD/"))
_OBJECT = re.compile(rb"[0-9a-f]{2}/[0-9a-f]{38}(?:[0-9a-f]{24})?")
_ELF = b"\x7fELF"
_LEAST = 4


class Repository:
    """A repository that a run read: `folder` has its HEAD and index, `common` (mostly the same) refs and objects."""

    __slots__ = ("common", "folder")

    def __init__(self, folder: bytes, common: bytes) -> None:
        self.folder = folder
        self.common = common

    def has(self, path: bytes) -> bool:
        """Whether a path lies in one of its folders."""
        return under(path, self.folder) or under(path, self.common)

    @property
    def index(self) -> bytes:
        """Path of its index."""
        return self.folder + b"/index"

    @property
    def objects(self) -> bytes:
        """Path of the folder of its objects."""
        return self.common + b"/objects"

    @property
    def refs(self) -> bytes:
        """Path of the folder of its loose refs."""
        return self.common + b"/refs"

    def is_replaceable(self, path: bytes) -> bool:
        """Whether a path is one of refs or objects that count by their meaning."""
        if path == self.common + b"/packed-refs" or (under(path, self.refs) and path != self.refs):
            return True
        rest = path.removeprefix(self.objects + b"/")
        return rest != path and not rest.endswith(b"alternates")


class _Readers(dict["Program", "Reading | None"]):
    """What each program reads of a repository, understood once."""

    def __missing__(self, program: Program) -> Reading | None:
        reading = self[program] = reading_of(program)
        return reading


def relax(run: Run, outputs: list[Output], environ: Mapping[bytes, bytes], function: DigestFunction) -> None:
    """Let what only git read in its repositories count by its meaning."""
    readers = _Readers()
    found = list(_repositories(run, readers))
    if not found or _is_told_otherwise(run, environ):
        return
    settings = b"\n".join(_settings(run, found, readers)).lower()
    if re.search(b"|".join(GIT_SETTINGS.encode().split()), settings):
        return
    shortened, view = SHORTENED.encode() in settings, LiveView(function)
    understood = [one for one in found if _is_understood(run, outputs, one, readers)]
    relaxed = [one for one in understood if _relax_one(run, outputs, one, readers, shortened, view)]
    if len(relaxed) == len(found):
        _drop_orders(run, readers)


def _repositories(run: Run, readers: _Readers) -> Iterator[Repository]:
    """The folders in which a git that is understood looked for HEAD, refs and objects."""
    for path, lookers in run.lookers.items():
        folder, _, name = path.rpartition(b"/")
        if name != b"HEAD" or not any(readers[program] for program in lookers):
            continue
        common = _common_folder(folder)
        one = Repository(folder, common)
        if one.refs in run.lookers and one.objects in run.lookers:
            yield one


def _common_folder(folder: bytes) -> bytes:
    target = read_text(folder + b"/commondir").rstrip(b"\n")
    return os.path.normpath(os.path.join(folder, target)) if target else folder


def _is_told_otherwise(run: Run, environ: Mapping[bytes, bytes]) -> bool:
    """Whether options or variables may give settings to git that stand in no file."""
    if any(is_git(program) and not splits(program) for program in run.processes.programs if program.argv):
        return True
    words = re.compile(b"|".join(map(re.escape, GIT_VARIABLES.encode().split())))
    return any(map(words.match, environ)) or any(
        map(words.search, chain(arguments(run), read_texts(run), scripts_from_elsewhere(run)))
    )


def _is_understood(run: Run, outputs: list[Output], one: Repository, readers: _Readers) -> bool:
    """Whether the run left a repository as it was, and that keeps its files as it is known here."""
    left = {one.index + b".lock", *([one.index] if _is_refreshed(run, one, readers) else [])}
    changed = {(holder.origin or b"") + b"/" + name for holder, name in run.world.changes.values()}
    changed.update(path for output in outputs for path in (output.path, output.other) if path)
    if any(one.has(path) for path in changed - left):
        return False
    if one.index in changed and changed & set(_tracked(one)):
        return False
    return not os.path.lexists(one.objects + b"/info/alternates") and not any(_missing(run, one))


def _is_refreshed(run: Run, one: Repository, readers: _Readers) -> bool:
    """Whether only commands that are understood wrote the index: none of them changes what it says of files."""
    writers = {target.program for target in run.targets if target.subject == one.index}
    if not writers or not all(readers[program] for program in writers) or not _only_git(run, one.index, readers):
        return False
    written = (node for node in run.touched if node.birth is not None and node.birth[1] == b"index.lock")
    return all(readers[program] for node in written for program in run.touched[node])


def _tracked(one: Repository) -> Iterator[bytes]:
    """Paths of the files that the index tracks."""
    top = git_index.worktree_of(one.folder) or b""
    return (os.path.join(top, entry.name) for entry in git_index.entries_of(read_text(one.index)) or ())


def _missing(run: Run, one: Repository) -> Iterator[bool]:
    """Of each loose object that was looked for, whether it is not there: then it is nowhere, and that may matter."""
    for path in run.lookers:
        if under(path, one.objects) and _OBJECT.fullmatch(path[len(one.objects) + 1 :]):
            yield not os.path.lexists(path)


def _settings(run: Run, found: list[Repository], readers: _Readers) -> Iterator[bytes]:
    """Whatever git read, among which its settings are: any file can be included."""
    for path, lookers in run.lookers.items():
        if any(path == one.index or one.is_replaceable(path) for one in found):
            continue
        if Subject("content", "", path) in run.subjects and any(readers[program] for program in lookers):
            text = read_text(path)
            yield b"" if text.startswith(_ELF) else text


def _relax_one(
    run: Run, outputs: list[Output], one: Repository, readers: _Readers, shortened: bool, view: LiveView
) -> bool:
    """Put meanings in place of looks at one repository; False if they cannot be told."""
    used = {program for program in run.lookers[one.refs] if readers[program]}
    names = b"".join(name + b"\0" for name in sorted(_names(run, one, readers, used)))
    added = [Subject("content", REFS + names.hex(), one.folder)]
    least = [reading.short for program in used if (reading := readers[program]) and reading.short]
    if least:
        digits = _LEAST if shortened else min(least)
        added.append(Subject("content", f"{SHORT}{digits}", one.folder))
    written = any(output.path == one.index for output in outputs)
    read = Subject("content", "", one.index) in run.subjects and _only_git(run, one.index, readers)
    if written and not read:
        return False
    if read:
        looked = any(readers[p] for path in _tracked(one) for p in run.lookers.get(path, ()))
        if not looked and (written or _looked_elsewhere(run, one, readers)):
            return False
        untrusted = _untrusted(run, one)
        if looked and untrusted is None:
            return False
        meant = untrusted.arg.replace(UNTRUSTED, FILES) if looked and untrusted else INDEX
        added.append(Subject("content", meant, one.index))
    if any(meaning(view, subject.arg, subject.paths[0]) is None for subject in added):
        return False
    _drop_looks(run, one, readers)
    if read:
        _drop_index(run, outputs, one, added[-1], written)
    run.subjects.update(dict.fromkeys(added))
    return True


def _untrusted(run: Run, one: Repository) -> Subject | None:
    """The fact of the files that git does not trust its index for (observe/git_times.py)."""
    found = (subject for subject in run.subjects if subject.arg.startswith(UNTRUSTED))
    return next((subject for subject in found if subject.paths == (one.index,)), None)


def _looked_elsewhere(run: Run, one: Repository, readers: _Readers) -> bool:
    """Whether git may have looked at tracked files of a worktree that lies elsewhere than it is taken to."""
    names = {entry.name for entry in git_index.entries_of(read_text(one.index)) or ()}
    seen = (path for path, lookers in run.lookers.items() if any(readers[program] for program in lookers))
    return any(
        path[place + 1 :] in names for path in seen for place in range(len(path)) if path[place : place + 1] == b"/"
    )


def _drop_index(run: Run, outputs: list[Output], one: Repository, meant: Subject, written: bool) -> None:
    """Forget the looks at the index but for its type and mode, and that it was written.

    Git writes it to remember how files stand: it says the same as before of the files, and the command tells the same
    when it goes by what it has remembered. So that is what counts of such a run.
    """
    if written:
        left_out.drop(run, outputs, {one.index, one.index + b".lock"})
        run.after.add(meant)
    else:
        run.subjects.pop(Subject("status", "", one.index), None)
        del run.subjects[Subject("content", "", one.index)]
        if untrusted := _untrusted(run, one):
            del run.subjects[untrusted]
    run.subjects.setdefault(Subject("status", "mode", one.index), None)


def _names(run: Run, one: Repository, readers: _Readers, used: Iterable[Program]) -> set[bytes]:
    """The names of refs that were asked for, and the beginnings (ended by a slash) of those that were gone through."""
    names = {b"HEAD", _REPLACED}
    readings = [reading for program in used if (reading := readers[program])]
    names.update(prefix for reading in readings for prefix in reading.prefixes)
    if any(reading.head_only for reading in readings):
        names.update(_HEAD_NAMES)
    for path, lookers in run.lookers.items():
        asking = [reading for program in lookers if (reading := readers[program])]
        if not under(path, one.refs) or path == one.refs or not asking:
            continue
        name = path[len(one.common) + 1 :]
        listed = Subject("listing", "", path) in run.subjects and not (name + b"/").startswith(_REPLACED)
        if listed and not any(reading.prefixes for reading in asking):
            names.add(b"refs/")  # gone through for another reason than is known
        if not all(reading.head_only for reading in asking):
            names.add(name)
    return names


def _only_git(run: Run, path: bytes, readers: _Readers) -> bool:
    """Whether everybody who looked at a path is git, and understood."""
    lookers = run.lookers.get(path)
    return bool(lookers) and all(readers[program] for program in lookers or ())


def _drop_looks(run: Run, one: Repository, readers: _Readers) -> None:
    """Forget the looks at refs and objects that only git made; that `refs` can be entered stays."""
    for subject in [subject for subject in run.subjects if len(subject.paths) == 1]:
        path = subject.paths[0]
        listed = path == one.refs and subject.kind == "listing"
        replaced = subject.kind in DROPPED and (one.is_replaceable(path) or _is_unused_log(run, one, path, readers))
        if (listed or replaced) and _only_git(run, path, readers):
            del run.subjects[subject]


def _is_unused_log(run: Run, one: Repository, path: bytes, readers: _Readers) -> bool:
    """Whether a path is HEAD's log, which no command that read it tells of."""
    readings = [readers[program] for program in run.lookers.get(path, ())]
    return path == one.folder + b"/logs/HEAD" and all(reading and reading.log_unused for reading in readings)


def _drop_orders(run: Run, readers: _Readers) -> None:
    """Forget the orders of times: git holds them only against its index, and where they differ it reads the file."""
    for order, programs in run.orders.items():
        if all(readers[program] for program in programs):
            run.subjects.pop(order, None)
