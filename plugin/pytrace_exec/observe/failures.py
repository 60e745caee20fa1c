# SPDX-License-Identifier: Apache-2.0
"""What a failed call tells of the world: the error is a fact of the path, or of the folder it would have changed."""

from __future__ import annotations

import os

from pytrace_cas.recorded.subjects import Subject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_exec.observe.run import Run
    from pytrace_exec.observe.world import Found, Node
    from pytrace_exec.tracer.events import Call

UNTOLD = frozenset(
    {"EFAULT", "EBADF", "ENAMETOOLONG", "ENOSYS", "EINTR", "EAGAIN", "ENOTTY", "EMFILE", "ENFILE", "EINPROGRESS"}
)
"""Errors that say nothing about the tree."""

_LOOKUPS = frozenset({"ENOENT", "ENOTDIR", "ELOOP", "EEXIST", "EISDIR", "EINVAL", "ENXIO", "EXDEV"})
READ, WRITE, SEARCH = os.R_OK, os.W_OK, os.X_OK


def failed(run: Run, call: Call, found: Found, changes: bool = False, access: int = 0) -> None:
    """Note what an error depended on.

    `changes`: the call would have changed the folder that holds the path. `access`: what was asked of the file.
    """
    error = call.error or ""
    if error in UNTOLD or error.startswith("ERESTART"):
        return
    if found.subject is None and found.spot is None:
        return
    _check(run, call, found, error)
    if error == "ENOTEMPTY" or (error == "EEXIST" and call.name in ("rmdir", "unlinkat", "rename", "renameat2")):
        note_held(run, call, found.node, found.subject)
        run.note(call, "change", "l", found.subject)
    elif error in _LOOKUPS:
        run.note(call, "error", "l" if changes else "", found.subject)
        if not found.followed and not changes and error in ("ENOENT", "ENOTDIR"):
            run.note(call, "error", "l", found.subject)  # a link that leads nowhere would have been there
        if changes and error == "ENOENT" and found.subject is not None:
            run.note(call, "error", "", os.path.dirname(found.subject))
    elif error in ("EACCES", "EROFS"):
        if access:
            run.note(call, "error", f"access{access}", found.subject)
        if changes and found.subject is not None:
            run.note(call, "error", f"access{WRITE | SEARCH}", os.path.dirname(found.subject))
        run.note(call, "error", "", found.subject)
    else:
        run.refuse("unknown_error", found.subject, call)


def note_held(run: Run, call: Call, folder: Node | None, path: bytes | None) -> None:
    """Note whether a directory is empty; where the run took names from it, what it held before says that."""
    run.note(call, "error", "empty", path)
    if folder is not None and run.world.changed_names(folder):
        run.note(call, "listing", "", path)


def _check(run: Run, call: Call, found: Found, error: str) -> None:
    """Hold the log against the tree: what the log says was absent is absent, or somebody else made it since."""
    if error != "ENOENT" or found.error is not None or found.node is None or call.name in ("rename", "renameat2"):
        return
    if Subject("change", "l", found.path()) in run.subjects or found.node.origin is None:
        return
    run.refuse("input_changed", found.path(), call)
