# SPDX-License-Identifier: Apache-2.0
"""A `.pyc` that Python imported counts by its meaning (DESIGN 4.3): its code, and whether its stamp fits its source.

An import looks at the source and then, with no other look between, opens the `.pyc` beside it. Only such a `.pyc`, read
by an interpreter and never in another way by anybody in the run, counts so; one that a program stats, hashes or packs
counts by its bytes. One that does not fit its source is compiled anew whatever it holds.
"""

from __future__ import annotations

import os

from pytrace_cas.recorded.bytecode import STAMP, SUFFIX, source_of, stamp_for, stamp_in
from pytrace_cas.recorded.subjects import Subject
from pytrace_exec.observe.facts import BYTECODE
from pytrace_exec.observe.loader_cache import PATH
from pytrace_exec.observe.world import under
from pytrace_exec.policy import programs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_exec.observe.outputs import Output
    from pytrace_exec.observe.processes import Task
    from pytrace_exec.observe.run import Run
    from pytrace_exec.tracer.events import Call

_READING = ("content", "status")


def imports(run: Run, task: Task, path: bytes | None) -> bool:
    """Whether the thread that opens a path now imports it.

    Outside the root a `.pyc` comes with its installation, and its bytes are known without reading it again.
    """
    if path is None or not path.endswith(SUFFIX) or task.last_look is None:
        return False
    if source_of(path) != task.last_look or not under(path, run.setting.root):
        return False
    return programs.is_python(task.program)


def opened_own(run: Run, task: Task, call: Call, path: bytes) -> None:
    """Note that a run opened a file that it made itself: a `.pyc` tells its source's time to who does not import it."""
    source = source_of(path)
    if source is not None and not imports(run, task, path):
        run.note(call, "status", "times", run.world.walk(source, run.world.top).subject)


def relax(run: Run) -> None:
    """Let what was only imported count by its meaning."""
    for path in run.meant - run.read_plainly - {PATH}:
        for kind in _READING:
            exact = Subject(kind, "", path)
            if exact in run.subjects:
                run.subjects[Subject(kind, BYTECODE, path)] = run.subjects.pop(exact)


def made_by_import(run: Run, outputs: list[Output], path: bytes) -> bool:
    """Whether Python itself wrote a `.pyc` that fits its source, which the run read or made.

    Then a replay gives it the stamp of the source that it finds, which has the same content.
    """
    source, node = source_of(path), run.world.walk(path, run.world.top).node
    if source is None or node is None or node.birth is None:
        return False
    program, name = node.birth
    # Python writes beside and renames; a program in Python that copies does not.
    if not programs.is_python(program) or not name.startswith(os.path.basename(path) + b"."):
        return False
    changed = [output.kind for output in outputs if source in (output.path, output.other)]
    if changed != ["file"] and (changed or Subject("content", "", source) not in run.subjects):
        return False
    try:
        found = os.stat(source)
        with open(path, "rb") as file:
            stamp = stamp_in(file.read(STAMP.stop))
    except OSError:
        return False
    return stamp == stamp_for(found.st_mtime_ns, found.st_size)
