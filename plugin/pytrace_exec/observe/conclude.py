# SPDX-License-Identifier: Apache-2.0
"""From what the events told to observations: every fact with its value, every output, every reason not to store."""

from __future__ import annotations

import os

from pytrace_cas.recorded.subjects import Subject
from pytrace_exec.observe.before import EarlierView, moved_folders
from pytrace_exec.observe.comparisons import add_comparisons
from pytrace_exec.observe.facts import value_of
from pytrace_exec.observe.outputs import Output, outputs_of
from pytrace_exec.observe.variables import generated_names
from pytrace_exec.policy.git_commands import is_git

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pytrace_exec.observe.facts import Surroundings
    from pytrace_exec.observe.run import Run
    from pytrace_exec.policy.reasons import Reason


class Observations:
    """What a run depended on and what it did; `values` by subject, as they were before it."""

    __slots__ = ("outputs", "reasons", "run", "values")

    def __init__(self, run: Run, values: dict[Subject, bytes], outputs: list[Output], reasons: list[Reason]) -> None:
        self.run = run
        self.values = values
        self.outputs = outputs
        self.reasons = reasons


def conclude(
    run: Run,
    earlier: EarlierView,
    around: Surroundings,
    relax: Callable[[Run, list[Output]], None] = lambda run, outputs: None,
) -> Observations:
    """Complete the subjects of a run, find their values before it, and what it left behind.

    `relax` takes needless subjects away once all are known.
    """
    earlier.world = run.world
    outputs = outputs_of(run, earlier)
    _drop_temporary(run)
    _add_targets(run)
    _add_folders(run)
    _add_crossings(run)
    _add_moved(run, earlier)
    add_comparisons(run, earlier)
    if any(map(is_git, run.processes.programs)):
        from pytrace_exec.observe.git_times import add_untrusted

        add_untrusted(run, around)
    for name in around.identities():
        run.subjects.setdefault(Subject("identity", name), None)
    if run.stdin_read:
        run.subjects.setdefault(Subject("stream", "stdin"), None)
    if not run.executed:
        run.refuse("not_whole")
    run.reasons.update(earlier.problems)
    earlier.problems.clear()
    relax(run, outputs)
    values = {
        subject: value_of(subject, earlier.live if subject in run.after else earlier, around)
        for subject in run.subjects
    }
    _check_listings(run, earlier, around)
    reasons = {**run.reasons, **earlier.problems}
    return Observations(run, values, outputs, list(reasons.values()))


def _drop_temporary(run: Run) -> None:
    """What the run made under a generated name and removed again leaves nothing but its folder's existence.

    A name that the command line or a file spells out is no generated one: whether it was free is a fact.
    """
    for path in generated_names(run, _new_and_gone(run)):
        if run.subjects.pop(Subject("change", "l", path), None) is not None:
            run.subjects.setdefault(Subject("error", "", os.path.dirname(path)), None)


def _new_and_gone(run: Run) -> set[bytes]:
    """Names that calls proved to be new, and that are there no more."""
    return {path for path, (folder, name) in run.exclusive.items() if folder.entries.get(name) is None}


def _add_targets(run: Run) -> None:
    """State what was replaced: a change that leaves a file of some mode cannot tell absence from a plain one."""
    for target in run.targets:
        node = target.node
        mode = node.mode if node.mode is not None else node.created
        if node.origin is not None and node.status is not None and not node.own:
            mode = node.mode if node.mode is not None else node.status.st_mode & 0o7777
        elif node.origin is None and node.mode is None and node.places:
            mode = _mode_now(node.path(), mode)
        if not node.places or node.kind != "file":
            run.subjects.setdefault(Subject("target", "", target.subject), None)
        elif mode is not None:
            run.subjects.setdefault(Subject("target", f"{mode:04o}", target.subject), None)


def _add_folders(run: Run) -> None:
    """A name that was made and is there no more had a folder: no output says so, and without it it was absent too."""
    gone = _new_and_gone(run)
    gone |= {target.subject for target in run.targets if not target.node.places or target.node.path() != target.subject}
    for path in gone:
        folder = os.path.dirname(path)
        if folder != run.setting.root:
            run.subjects.setdefault(Subject("error", "", folder), None)


def _mode_now(path: bytes, otherwise: int | None) -> int | None:
    """Mode of a file that the run made: a folder's default ACL may have had a say."""
    try:
        return os.lstat(path).st_mode & 0o7777
    except OSError:
        return otherwise


def _add_crossings(run: Run) -> None:
    for path in run.world.crossed:
        run.subjects.setdefault(Subject("link", "", path), None)
    for path in run.world.climbed:
        run.subjects.setdefault(Subject("change", "l", path), None)


def _add_moved(run: Run, earlier: EarlierView) -> None:
    """Of a directory that was moved, everything below is moved with it."""
    pending = [node.origin for node in moved_folders(run.world) if node.origin is not None]
    while pending:
        folder = pending.pop()
        run.subjects.setdefault(Subject("listing", "", folder), None)
        names = earlier.names(folder)
        for name, letter in names if not isinstance(names, str) else ():
            path = os.path.join(folder, name)
            if letter == "d":
                pending.append(path)
            else:
                run.subjects.setdefault(Subject("link" if letter == "l" else "content", "", path), None)


def _check_listings(run: Run, earlier: EarlierView, around: Surroundings) -> None:
    """Hold what the run saw in directories against what is known to have been there before it."""
    for folder, seen in run.listings.items():
        if Subject("listing", "", folder) not in run.subjects:
            continue
        names = earlier.names(folder)
        if isinstance(names, str):
            continue
        if dict(around.counting(folder, names)).keys() != dict(around.counting(folder, list(seen.items()))).keys():
            run.refuse("input_changed", folder)
