# SPDX-License-Identifier: Apache-2.0
"""Looks that are made again and again: an equal one need not be understood anew.

Processes of one kind look at the same libraries, headers and modules. A look that is told in the same words, by a
program that the tables treat the same, while the names that led there stand for what they stood for, tells nothing new
but who looked.
"""

from __future__ import annotations

from pytrace_cas.recorded.bytecode import SUFFIX
from pytrace_exec.observe.loader_cache import PATH
from pytrace_exec.observe.run import argument
from pytrace_exec.observe.world import under
from pytrace_exec.policy import accounts, comparing, programs
from pytrace_exec.tracer.events import Flags

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from typing import TypeAlias

    from pytrace_exec.calls.table import Row
    from pytrace_exec.observe.processes import Program, Task
    from pytrace_exec.observe.run import Run
    from pytrace_exec.observe.world import Found
    from pytrace_exec.tracer.events import Call

    Effect: TypeAlias = Callable[[Run, Task, Call, Row], None]

_CHANGING = frozenset({"O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_TMPFILE"})


def look_again(run: Run, task: Task, call: Call, row: Row, effect: Effect) -> None:
    """Let a look that was told before have its effect: the second of its kind is remembered, the third recalled."""
    key = key_of(task, call, row)
    if key is None:
        effect(run, task, call, row)
        return
    if (known := run.world.repeats.recall(key)) is not None:
        known.again(task)
        return
    look = run.begin_look()
    effect(run, task, call, row)
    run.look = None
    if row.effect == "open" or (row.effect == "status" and argument(call, row, "path")):
        look.last = (task.last_look,)
    if run.found is not None and can_be_repeated(run.found, run.setting.root):
        run.world.repeats.remember(key, look, run.found)


def key_of(task: Task, call: Call, row: Row) -> Hashable | None:
    """What makes two looks equal; None for one that changes something or depends on others."""
    program = task.program
    if program.ways is None:
        program.ways = ways_of(program)
    if not program.ways or "how" in row.places:
        return None
    flags = argument(call, row, "flags") if row.effect == "open" else None
    if isinstance(flags, Flags) and not flags.names.isdisjoint(_CHANGING):
        return None
    return call.like, program.ways, task.context.cwd


def ways_of(program: Program) -> tuple[object, ...]:
    """All that a program is to the tables when it looks; empty if its looks depend on each other."""
    if comparing.looks_before_listing(program):
        return ()
    copies = programs.copies_times(program)
    archive = program.archive if copies else None
    return copies, archive, programs.looks_at_mode_only(program), accounts.shows_owners(program)


def can_be_repeated(found: Found, root: bytes) -> bool:
    """Whether what was found is the same for whoever looks: not the machine, nor the run's own content.

    What Python has looked at before it opens a `.pyc` under the root decides what it opens it for; so does what a
    program has opened before the loader's cache.
    """
    if found.machine is not None or (found.node is not None and found.node.own):
        return False
    path = found.subject
    return path is None or not (path == PATH or (path.endswith(SUFFIX) and under(path, root)))
