# SPDX-License-Identifier: Apache-2.0
"""Results that hold the time at which they were made (DESIGN 5): what shows it without a call to see."""

from __future__ import annotations

import os
import re

from pytrace_exec.observe.variables import read_text
from pytrace_exec.policy import programs
from pytrace_exec.policy.reasons import Reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytrace_exec.observe.outputs import Output
    from pytrace_exec.observe.processes import Program
    from pytrace_exec.observe.run import Run

TIMES_AS_CONTENT = frozenset({b".ninja_deps", b".ninja_log"})
"""Files into which their tool writes absolute times of others."""

STAMPED_BY = b"GIT_COMMITTER_DATE"
"""The variable by which git takes another time than the present for what it logs."""

_REF_LOG = rb"/logs/(?:HEAD|refs/.+)"  # what git notes in when it moves a ref

NO_SOURCES = (b"\x7fELF", b"\xde\x12\x04\x95", b"\x95\x04\x12\xde")
"""Beginnings of what a compiler runs or loads and never compiles: programs, libraries, translated messages."""

_OF_FILE = (b"__TIMESTAMP__",)
_ANY = (b"__DATE__", b"__TIME__", *_OF_FILE)


def clock_reasons(run: Run, outputs: Iterable[Output], environ: Mapping[bytes, bytes]) -> list[Reason]:
    """Return what was compiled with the time of day in it, and the files that hold times as content."""
    names = [output.path for output in outputs if os.path.basename(output.path) in TIMES_AS_CONTENT]
    reasons = [Reason("absolute_times", path) for path in names]
    if STAMPED_BY not in environ and any(program.name == "git" for program in run.processes.programs):
        reasons += [Reason("clock", output.path) for output in outputs if re.search(_REF_LOG, output.path)]
    marks = _OF_FILE if b"SOURCE_DATE_EPOCH" in environ else _ANY
    sources = (subject.paths[0] for subject in run.subjects if subject.kind == "content")
    # A compiler proper expands macros, a driver or a linker does not.
    expanding = {program for program in set().union(*run.lookers.values()) if programs.expands_macros(program)}
    compiled = [path for path in sources if not expanding.isdisjoint(run.lookers.get(path, ()))]
    told = {
        program.path for program in run.processes.programs if programs.expands_macros(program) and _told(program, marks)
    }
    found = [path for path in compiled if _holds(read_text(path), marks)]
    return reasons + [Reason("clock", path) for path in (*found, *sorted(told))]


def _holds(text: bytes, marks: tuple[bytes, ...]) -> bool:
    return not text.startswith(NO_SOURCES) and any(mark in text for mark in marks)


def _told(program: Program, marks: tuple[bytes, ...]) -> bool:
    """Whether an argument (`-DSTAMP=__DATE__`) has the mark."""
    return any(_holds(word, marks) for word in program.argv)
