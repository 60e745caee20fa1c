# SPDX-License-Identifier: Apache-2.0
"""Which varying variables a run may have read (DESIGN 6): reads cannot be seen, so traces of them are looked for."""

from __future__ import annotations

import os
import re
import stat

from pytrace_cas.recorded.subjects import Subject
from pytrace_exec.policy import environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pytrace_exec.observe.run import Run

_TERMINFO = b"/terminfo/"


def variable_subjects(
    run: Run, environ: Mapping[bytes, bytes], chosen: Iterable[bytes], results: Iterable[bytes]
) -> set[Subject]:
    """The variables that count for this run; `results`: what came out of it, file by file."""
    names = environment.named_in(arguments(run)) | environment.named_in(read_texts(run))
    results = list(results)
    names |= environment.values_in(environ, results) | environment.told_in(environ, results)
    if run.environment_dumped:
        names |= {name for name in environ if environment.varies(name)}
    names |= environment.read_by(program.name for program in run.processes.programs)
    if _uses_terminal(run):
        names |= environment.TERMINAL
    return {Subject("variable", os.fsdecode(name)) for name in names - set(chosen)}


def generated_names(run: Run, paths: set[bytes]) -> set[bytes]:
    """Those of the paths whose names a program made up: they look it, and no argument and no text read spells them."""
    looking = {path for path in paths if re.search(_GENERATED, os.path.basename(path))}
    for text in (*arguments(run), *read_texts(run)) if looking else ():
        looking = {path for path in looking if os.path.basename(path) not in text}
    return looking


_GENERATED = rb"(?=[A-Za-z0-9_]*[0-9A-Z])[A-Za-z0-9_]{6,}|[0-9]{3,}"
"""A piece of a name as mkstemp(3) makes it, or a number as of a process."""


def arguments(run: Run) -> Iterator[bytes]:
    """The words of each program of the run, once if they are those of another."""
    for words in dict.fromkeys(program.argv for program in run.processes.programs):
        yield b" ".join(words)


def read_texts(run: Run) -> Iterator[bytes]:
    """The user's content that was read, where it lies now; what the run destroyed cannot be read any more."""
    for subject in list(run.subjects):
        if subject.kind == "content" and run.setting.own(subject.paths[0]):
            node = run.world.originals.get(subject.paths[0])
            path = node.path() if node is not None and node.places else subject.paths[0]
            yield read_text(path)


def read_text(path: bytes, most: int | None = None) -> bytes:
    """Content of a regular file, nothing if it cannot be read (a FIFO would be waited for) or is longer than `most`."""
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode) or (most is not None and found.st_size > most):
            return b""
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def _uses_terminal(run: Run) -> bool:
    kinds = (standing.kind for number, standing in run.setting.standing.items() if number <= 2)
    return "tty" in kinds or any(_TERMINFO in path for subject in run.subjects for path in subject.paths)
