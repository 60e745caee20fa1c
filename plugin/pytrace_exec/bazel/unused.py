# SPDX-License-Identifier: Apache-2.0
"""`--unused-inputs-list`: the declared inputs that a run did not use, one a line, as Bazel reads them.

An input is used as soon as anything of it counted: its content, its status, its being there. What was not seen whole
has used everything: the list is empty then.
"""

from __future__ import annotations

import os

from pytrace_exec.bazel.beside import ancestors
from pytrace_exec.observe.world import under

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytrace_cas.recorded.subjects import Subject
    from pytrace_exec.bazel.inputs import Declared


def unused(declared: Declared, subjects: Iterable[Subject], root: bytes) -> list[bytes]:
    """The names of inputs that none of the subjects concerns, sorted.

    An order of times is left out: what is declared has none that counts.
    """
    touched = {path for subject in subjects if subject.kind != "order" for path in subject.paths}
    # One input may have been reached through another: a link of a runfiles tree.
    touched |= {os.path.realpath(path) for path in touched if under(path, root)}
    parents = {parent for path in touched for parent in ancestors(path)}
    used = set()
    for path, name in declared.aliases():
        # A folder is used by what lies in it.
        if path in touched or (path in parents and os.path.isdir(path)):
            used.add(name)
    return sorted(set(declared.names.values()) - used)


def write(path: bytes, names: Iterable[bytes]) -> None:
    """Write the list; raise OSError."""
    with open(path, "wb") as file:
        file.writelines(name + b"\n" for name in names)
