# SPDX-License-Identifier: Apache-2.0
"""Git compares the times of files with its index, by which it reads them or not: where that matters it is a fact.

It matters for files that conversions may make differ from what was added (git_conversions.py). What converts is told by
files that git reads only when it reads such a file, or by settings, which it always reads; so those files become facts.
"""

from __future__ import annotations

import os
import re

from pytrace_cas.recorded.subjects import Subject
from pytrace_exec.observe import git_conversions, git_index
from pytrace_exec.observe.git_meaning import UNTRUSTED
from pytrace_exec.observe.variables import read_text
from pytrace_exec.policy.git_commands import is_git, splits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytrace_exec.observe.facts import Surroundings
    from pytrace_exec.observe.processes import Program
    from pytrace_exec.observe.run import Run

SYSTEM = b"/etc/gitattributes"
"""Attributes of the whole machine."""

_LONGEST = 1 << 20
_NAMING = re.compile(rb"attributesfile\s*=\s*(.*)", re.IGNORECASE)
_PATH = re.compile(rb"(~?/[^\"';#\\]+)")
_CONVERTING = re.compile(rb"autocrlf", re.IGNORECASE)
_FROM_A_TREE = re.compile(rb"^\s*\[attr\]\s*$", re.IGNORECASE | re.MULTILINE)
_GIVEN = ("GIT_CONFIG_COUNT", "GIT_CONFIG_PARAMETERS", "GIT_ATTR_SOURCE")


def add_untrusted(run: Run, around: Surroundings) -> None:
    """Have it count of each index that git read whether git reads the files that conversions may concern."""
    used = {program for program in run.processes.programs if is_git(program)}
    indexes = [path for path in run.lookers if used and os.path.basename(path) == b"index" and _looked(run, path, used)]
    if not indexes:
        return
    files, told = _elsewhere(run, around, used)
    for path in files:
        run.subjects.setdefault(Subject("content", "", path), None)
    for path in indexes:
        run.subjects.setdefault(Subject("content", UNTRUSTED + told, path), None)


def _looked(run: Run, index: bytes, used: set[Program]) -> bool:
    """Whether git read an index, and looked at a file that it tracks."""
    top = git_index.worktree_of(os.path.dirname(index))
    if top is None or Subject("content", "", index) not in run.subjects or used.isdisjoint(run.lookers[index]):
        return False
    names = (os.path.join(top, entry.name) for entry in git_index.files_of(read_text(index)) or ())
    return any(not used.isdisjoint(run.lookers.get(name, ())) for name in names)


def _elsewhere(run: Run, around: Surroundings, used: set[Program]) -> tuple[list[bytes], str]:
    """The files of attributes outside of repositories, and what these and settings may convert."""
    files = [SYSTEM]
    home, chosen = (around.variable(name).removeprefix(b"= ") for name in ("HOME", "XDG_CONFIG_HOME"))
    folder = chosen if chosen.startswith(b"/") else home + b"/.config"
    if folder.startswith(b"/"):
        files.append(folder + b"/git/attributes")
    settings = b"\n".join(_settings(run, used))
    told = all(map(splits, used)) and all(around.variable(name) == b"unset" for name in _GIVEN)
    for value in _NAMING.findall(settings):
        path = _PATH.fullmatch(value)
        told = told and path is not None
        files += [] if path is None else [re.sub(rb"^~", lambda _: home, path[1].strip())]
    texts = b"\n".join(map(read_text, files))
    if not told or _FROM_A_TREE.search(settings) or git_conversions.BY_CONTENT.search(texts):
        return files, git_conversions.ALL
    return files, git_conversions.LINES if texts.strip() or _CONVERTING.search(settings) else git_conversions.NONE


def _settings(run: Run, used: set[Program]) -> Iterator[bytes]:
    """Whatever git read that may be settings: any file can be included."""
    for path, lookers in run.lookers.items():
        if not used.isdisjoint(lookers) and Subject("content", "", path) in run.subjects:
            yield read_text(path, _LONGEST)
