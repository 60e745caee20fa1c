# SPDX-License-Identifier: Apache-2.0
"""Looks at a run's own outputs (DESIGN 4.3): a program often looks at what it is about to make.

Such a look counts as "absent, or a plain writable file with one link" when the path lies under a declared output
place, or when every process that looked is in the table below. Content that was read, a type other than a file's and
an order of times are never relaxed.
"""

from __future__ import annotations

import os
import re

from pytrace_cas.recorded.subjects import Subject
from pytrace_exec.observe.world import under
from pytrace_exec.policy import programs
from pytrace_exec.policy.gnu_options import rows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_exec.observe.outputs import Output
    from pytrace_exec.observe.processes import Program
    from pytrace_exec.observe.run import Run

RELAXED_KINDS = frozenset({"error", "status", "access", "change"})

COMPILER_SUFFIXES = frozenset(
    {b".o", b".d", b".s", b".i", b".ii", b".gcno", b".dwo", b".su", b".out", b".obj", b".bc", b".res", b""}
)
"""Endings of what a compiler makes beside what `-o` names, with the stem of one of its arguments."""

REPLACING = """
cp -f -L -p -t= -T -v --force --dereference --preserve --reflink? --target-directory= --no-target-directory --verbose
install -c -D -m= -p -t= -T --mode= --preserve-timestamps --target-directory= --no-target-directory
"""
"""Programs that copy in the same way whether a plain file was there or none, given no other options than these.

`install -v` tells that it removed the old file.
"""

_REPLACING = rows(REPLACING)


def relax(run: Run, outputs: list[Output]) -> None:
    """Replace the looks at the run's own files by the one fact that they could be made anew.

    Where the run wrote over what was there, that fact is known already, with the mode that a new file would have had:
    the old one may have left it another.
    """
    made = {subject.paths for subject in run.subjects if subject.kind == "target"}
    for output in outputs:
        if output.kind != "file" or output.mode is None:
            continue
        looked = [s for s in run.subjects if s.kind in RELAXED_KINDS and s.paths == (output.path,)]
        if looked and (_declared(run, output.path) or _all_in_table(run, output)):
            for subject in looked:
                del run.subjects[subject]
            if (output.path,) not in made:
                run.subjects[Subject("target", f"{output.mode:04o}", output.path)] = None
    _relax_listings(run, outputs)


def _declared(run: Run, path: bytes) -> bool:
    return any(under(path, place) for place in run.setting.declared)


def _relax_listings(run: Run, outputs: list[Output]) -> None:
    """A listing that shows declared outputs counts without them."""
    declared = [output.path for output in outputs if _declared(run, output.path) and output.kind in ("file", "dir")]
    for subject in [s for s in run.subjects if s.kind == "listing" and not s.arg]:
        names = [os.path.basename(path) for path in declared if os.path.dirname(path) == subject.paths[0]]
        if names:
            call = run.subjects.pop(subject)
            run.subjects[Subject("listing", "less " + b"/".join(sorted(names)).hex(), *subject.paths)] = call


def _all_in_table(run: Run, output: Output) -> bool:
    lookers = run.lookers.get(output.path, set())
    return bool(lookers) and all(_in_table(run, program, output) for program in lookers)


def _in_table(run: Run, program: Program, output: Output) -> bool:
    if program.own:
        return False
    absent = isinstance(run.world.earlier.lstat(output.path), str)
    if programs.is_compiler(program):
        by_umask = (0o666 & ~run.setting.umask, 0o777 & ~run.setting.umask)
        return (absent or output.mode in by_umask) and _compiler_makes(program, output.path)
    options = _REPLACING.get(program.known_as)
    return absent and options is not None and options.split(program.argv[1:]) is not None


def _compiler_makes(program: Program, path: bytes) -> bool:
    """Whether a compiler's arguments name the path, or imply it by a stem."""
    name = os.path.basename(path)
    stem, suffix = os.path.splitext(name)
    words = {os.path.basename(word) for argument in program.argv for word in re.split(rb"[=,]|^-[oI]", argument)}
    if name in words or name == b"a.out":
        return True
    return suffix in COMPILER_SUFFIXES and stem in {os.path.splitext(word)[0] for word in words}
