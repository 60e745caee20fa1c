# SPDX-License-Identifier: Apache-2.0
"""What looks that can be repeated did to the run, until a name that led to where they ended means something else."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from typing import TypeAlias

    from pytrace_exec.observe.processes import Program, Task
    from pytrace_exec.observe.world import Found, Node


class Look:
    """What a look noted of its program.

    `lookers`: of each path that it noted, who looked there. `kind` and `spot`: what was looked at, as `Program` tells
    it. `last`: what the thread's last look is after it, itself a tuple so that None can be told from nothing.
    `effect`: what it does beside, to whatever program makes it.
    """

    __slots__ = ("effect", "kind", "last", "lookers", "spot")

    def __init__(self) -> None:
        self.lookers: list[set[Program]] = []
        self.kind = ""
        self.spot = b""
        self.last: tuple[bytes | None] | None = None
        self.effect: Callable[[Program], None] | None = None

    def again(self, task: Task, program: Program) -> None:
        """Note the same of another look, made by a thread of a program."""
        for lookers in self.lookers:
            lookers.add(program)
        if self.kind:
            program.saw(self.kind, self.spot)
        if self.last is not None:
            (task.last_look,) = self.last
        if self.effect is not None:
            self.effect(program)


if TYPE_CHECKING:
    Known: TypeAlias = dict[int, Look]


class Repeats:
    """The looks that can be repeated, by the number of the call that told them first.

    They are kept apart by who looks, in tables that stay the same ones; and by the name at which each ended.
    """

    __slots__ = ("_by_looker", "_by_name")

    def __init__(self) -> None:
        self._by_looker: dict[Hashable, Known] = {}
        self._by_name: dict[tuple[Node, bytes], list[tuple[Known, int]]] = {}

    def known_to(self, looker: Hashable) -> Known:
        """The looks that some kind of looker made, and that would do the same again."""
        return self._by_looker.setdefault(looker, {})

    def remember(self, known: Known, number: int, look: Look, found: Found) -> None:
        """Keep what a look did that ended at a place."""
        known[number] = look
        self._by_name.setdefault((found.parent, found.name), []).append((known, number))

    def forget(self, folder: Node, name: bytes) -> None:
        """Forget the looks that ended at a name, which means something else now."""
        for known, number in self._by_name.pop((folder, name), ()):
            known.pop(number, None)

    def forget_all(self) -> None:
        """Forget everything: a name changed that looks may have passed on their way."""
        for known in self._by_looker.values():
            known.clear()
        self._by_name.clear()
