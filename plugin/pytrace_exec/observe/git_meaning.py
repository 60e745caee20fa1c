# SPDX-License-Identifier: Apache-2.0
"""The meaning of what git reads in its own folder, as facts ask for it (policy/git.py, git_times.py)."""

from __future__ import annotations

import os

from pytrace_exec.observe import git_index, git_refs
from pytrace_exec.observe.git_conversions import Conversions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytrace_exec.observe.facts import View
    from pytrace_exec.observe.git_index import Entry

INDEX = "index"
"""The argument of content of a git index that counts by what it says of the files that git tracks."""

FILES = "index files"
"""The same with whether each of the files stands as the index remembers it; a word of `git_conversions` may follow."""

UNTRUSTED = "index untrusted"
"""Before such a word, the argument of content of an index that counts by its bytes: how the files stand that git reads,
because they do not stand as it remembers, and may find otherwise although nobody changed them."""

REFS = "refs "
"""With names in hexadecimal, each ended by NUL, that of content of a repository's folder: what these refs stand for."""

SHORT = "short "
"""With a number of digits, that of content of a repository's folder: how the id of HEAD is abbreviated."""


def meaning(view: View, arg: str, path: bytes) -> bytes | None:
    """What stands there, in canonical form; None: it cannot be told."""
    if arg.startswith(REFS):
        return git_refs.meaning(view, path, bytes.fromhex(arg.removeprefix(REFS)).split(b"\0")[:-1])
    if arg.startswith(SHORT):
        return git_refs.abbreviation(view, path, int(arg.removeprefix(SHORT)))
    data = view.data(path, view.digest(path))
    if data is None or arg == INDEX:
        return None if data is None else git_index.meaning(data)
    top = git_index.worktree_of(os.path.dirname(path))
    if arg.startswith(UNTRUSTED):
        return _untrusted(view, arg, path, git_index.files_of(data), top)
    entries = git_index.entries_of(data)
    if top is None or entries is None:
        return None
    concern, written = _conversions(view, arg.removeprefix(FILES), path, entries, top).concern, view.lstat(path)

    def standing(entry: Entry) -> bytes:
        state = entry.state(view.lstat(os.path.join(top, entry.name)))
        new = entry.is_as_new(written) if state == b"=" else _NOT_NEW
        return state if new == _NOT_NEW or not concern(entry) else state + new

    return git_index.meaning(data, standing)


_NOT_NEW = b"<"


def _untrusted(view: View, arg: str, path: bytes, entries: list[Entry] | None, top: bytes | None) -> bytes:
    """How the files stand at which git looks once more, and may find what it did not trust its index to say.

    Nothing is told where the files or their entries lie elsewhere.
    """
    if entries is None or top is None:
        return b""
    conversions = _conversions(view, arg.removeprefix(UNTRUSTED), path, entries, top)
    written, lines = view.lstat(path), []
    for entry in entries:
        differing = entry.differing(view.lstat(os.path.join(top, entry.name)))
        new = entry.is_as_new(written)
        if (differing or new != _NOT_NEW) and conversions.concern(entry):
            numbers = b" ".join(b"%d" % number for number in sorted(differing))
            lines.append(b"%s\0%s %s\n" % (entry.name, new, numbers))
    return b"".join(lines)


def _conversions(view: View, told: str, path: bytes, entries: Iterable[Entry], top: bytes) -> Conversions:
    return Conversions(view, os.path.dirname(path), top, told, frozenset(entry.name for entry in entries))
