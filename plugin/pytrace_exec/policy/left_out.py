# SPDX-License-Identifier: Apache-2.0
"""What the user says is neither input nor output: `--ignore`, and scratch places named by `--disposable` (DESIGN 4.3).

A glob is one as in the shell's `case`: `*` matches `/` too. It is held against the path from the root and the
absolute path; a directory that matches takes everything below with it.
"""

from __future__ import annotations

import os

from pytrace_cas.recorded.subjects import Subject

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Sequence
    from typing import Protocol

    from pytrace_exec.observe.outputs import Output
    from pytrace_exec.observe.run import Run

    class Paths(Protocol):
        """Some paths."""

        def __contains__(self, path: bytes, /) -> bool: ...


BOUND_TO_PATHS = frozenset({
    "wrote_outside", "special_file", "many_links", "owner", "attributes", "input_changed", "input_too_new",
    "input_destroyed", "machine", "device", "absolute_times",
})  # fmt: skip
"""Reasons not to store that are void when their path is left out."""

_TWO_PLACES = frozenset({"hardlink", "linked", "moved"})
"""Kinds of outputs that join two paths."""


class LeftOut:
    """The paths that some globs leave out; false when there are none."""

    __slots__ = ("_below", "_matches", "_patterns")

    def __init__(self, root: bytes, patterns: Sequence[bytes]) -> None:
        self._below = root.rstrip(b"/") + b"/"
        self._patterns = patterns
        self._matches: re.Pattern[bytes] | None = None

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def __contains__(self, path: bytes) -> bool:
        """Whether an absolute path is left out."""
        if not self._patterns:
            return False
        if self._matches is None:
            import re

            self._matches = re.compile(b"|".join(map(_with_all_below, self._patterns)), re.DOTALL)
        if self._matches.match(path):
            return True
        return path.startswith(self._below) and bool(self._matches.match(path[len(self._below) :]))

    def less(self, folder: bytes, names: list[tuple[bytes, str]]) -> list[tuple[bytes, str]]:
        """Entries of a directory but those that are left out."""
        if not self._patterns:
            return names
        return [(name, letter) for name, letter in names if os.path.join(folder, name) not in self]


def _with_all_below(pattern: bytes) -> bytes:
    import fnmatch

    expression = fnmatch.translate(os.fsdecode(pattern))
    # It ends with the sign for the end of the text, which differs between versions.
    return os.fsencode(expression[:-2]) + rb"(?:/.*)?\Z"


def drop(run: Run, outputs: list[Output], left_out: Paths, inputs: bool = True) -> None:
    """Take out of a run's subjects, outputs and reasons what is left out; of subjects without `inputs` only orders."""
    for subject in list(run.subjects):
        if not inputs and subject.kind != "order":
            continue
        kept = tuple(path for path in subject.paths if path not in left_out)
        if kept != subject.paths:
            call = run.subjects.pop(subject)
            if len(kept) > 1:
                rest = Subject(subject.kind, subject.arg, *kept)
                run.subjects[rest] = call
                run.orders.setdefault(rest, set()).update(run.orders.pop(subject, ()))
    for key, reason in list(run.reasons.items()):
        if reason.code in BOUND_TO_PATHS and reason.path is not None and reason.path in left_out:
            del run.reasons[key]
    outputs[:] = [output for output in outputs if _counts(run, output, left_out)]


def _counts(run: Run, output: Output, left_out: Paths) -> bool:
    """Whether an output counts; one that joins a path that does with one that does not cannot be replayed."""
    out = output.path in left_out
    if output.kind in _TWO_PLACES and (output.other in left_out) != out:
        run.refuse("left_out", output.path)
    return not out
