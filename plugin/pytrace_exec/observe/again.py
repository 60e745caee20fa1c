# SPDX-License-Identifier: Apache-2.0
"""Looks that are made again and again: an equal one need not be understood anew.

Processes of one kind look at the same libraries, headers and modules. A look that is told in the same words, by a
program that the tables treat the same, while the names that led there stand for what they stood for, tells nothing new
but who looked.
"""

from __future__ import annotations

from pytrace_cas.recorded.bytecode import SUFFIX
from pytrace_exec.calls.table import TABLE
from pytrace_exec.observe.loader_cache import PATH
from pytrace_exec.observe.run import argument
from pytrace_exec.observe.world import under
from pytrace_exec.policy import accounts, comparing, programs
from pytrace_exec.tracer.events import Flags

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pytrace_exec.observe.processes import Program, Task
    from pytrace_exec.observe.repeats import Known
    from pytrace_exec.observe.run import Run
    from pytrace_exec.observe.world import Found
    from pytrace_exec.tracer.events import Again, Call

_CHANGING = frozenset({"O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_TMPFILE"})


def look_again(run: Run, task: Task, event: Again, read: Callable[[Run, Call], None]) -> None:
    """Let looks that were told before have their effect: the second of its kind is remembered, the third recalled.

    `read`: reads a call as if it were the first of its kind.
    """
    known, program = _known_to(run, task), task.program
    for position, call in enumerate(event.calls):
        look = known.get(call.line)
        if look is not None:
            look.again(task, program)
        else:
            look = run.begin_look()
            read(run, event.call(position))
            run.look = None
            if (
                program.ways
                and can_be_repeated(call)
                and run.found is not None
                and is_for_all(run.found, run.setting.root)
            ):
                run.world.repeats.remember(known, call.line, look, run.found)
            known = _known_to(run, task)


def _known_to(run: Run, task: Task) -> Known:
    """The looks that tell nothing new when a thread makes them now."""
    program = task.program
    if program.ways is None:
        program.ways = ways_of(program)
    return run.world.repeats.known_to((program.ways, task.context.cwd))


def can_be_repeated(call: Call) -> bool:
    """Whether a look changes nothing, and says what it is by its own arguments."""
    row = TABLE[call.name]
    flags = argument(call, row, "flags") if row.effect == "open" else None
    return "how" not in row.places and not (isinstance(flags, Flags) and not flags.names.isdisjoint(_CHANGING))


def ways_of(program: Program) -> tuple[object, ...]:
    """All that a program is when it looks, to the tables and to its loader; empty if its looks depend on each other."""
    if comparing.looks_before_listing(program):
        return ()
    copies = programs.copies_times(program)
    archive = program.archive if copies else None
    return (
        program.own,
        program.loading,
        copies,
        archive,
        programs.looks_at_mode_only(program),
        accounts.shows_owners(program),
    )


def is_for_all(found: Found, root: bytes) -> bool:
    """Whether what was found is the same for whoever looks: not the machine, nor the run's own content.

    What Python has looked at before it opens a `.pyc` under the root decides what it opens it for; so does what a
    program has opened before the loader's cache.
    """
    if found.machine is not None or (found.node is not None and found.node.own):
        return False
    path = found.subject
    return path is None or not (path == PATH or (path.endswith(SUFFIX) and under(path, root)))
