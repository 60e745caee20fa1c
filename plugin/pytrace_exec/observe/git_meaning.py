# SPDX-License-Identifier: Apache-2.0
"""The meaning of what git reads in its own folder, as facts ask for it (policy/git.py)."""

from __future__ import annotations

import os

from pytrace_exec.observe import git_index, git_refs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_exec.observe.facts import Lookup, View

INDEX = "index"
"""The argument of content of a git index that counts by what it says of the files that git tracks."""

FILES = "index files"
"""The same with whether each of the files stands as the index remembers it."""

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
    if top is None:
        return None

    def status(name: bytes) -> Lookup:
        return view.lstat(os.path.join(top, name))

    return git_index.meaning(data, status)
