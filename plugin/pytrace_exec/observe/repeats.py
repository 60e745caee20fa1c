# SPDX-License-Identifier: Apache-2.0
"""What looks that can be repeated did to the run, until a name that led to where they ended means something else."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable

    from pytrace_exec.observe.processes import Program, Task
    from pytrace_exec.observe.world import Found, Node


class Look:
    """What a look noted of its program.

    `lookers`: of each path that it noted, who looked there. `kind` and `spot`: what was looked at, as `Program` tells
    it. `last`: what the thread's last look is after it, itself a tuple so that None can be told from nothing.
    """

    __slots__ = ("kind", "last", "lookers", "spot")

    def __init__(self) -> None:
        self.lookers: list[set[Program]] = []
        self.kind = ""
        self.spot = b""
        self.last: tuple[bytes | None] | None = None

    def again(self, task: Task) -> None:
        """Note the same of another look."""
        program = task.program
        for lookers in self.lookers:
            lookers.add(program)
        if self.kind:
            program.saw(self.kind, self.spot)
        if self.last is not None:
            task.last_look = self.last[0]


class Repeats:
    """The looks that can be repeated: by what they are, and by the name at which each ended."""

    __slots__ = ("_by_name", "_looks")

    def __init__(self) -> None:
        self._looks: dict[Hashable, Look] = {}
        self._by_name: dict[tuple[Node, bytes], list[Hashable]] = {}

    def recall(self, key: Hashable) -> Look | None:
        """What an equal look did, if nothing has changed since."""
        return self._looks.get(key)

    def remember(self, key: Hashable, look: Look, found: Found) -> None:
        """Keep what a look did that ended at a place."""
        self._looks[key] = look
        self._by_name.setdefault((found.parent, found.name), []).append(key)

    def forget(self, folder: Node, name: bytes) -> None:
        """Forget the looks that ended at a name, which means something else now."""
        for key in self._by_name.pop((folder, name), ()):
            self._looks.pop(key, None)

    def forget_all(self) -> None:
        """Forget everything: a name changed that looks may have passed on their way."""
        self._looks.clear()
        self._by_name.clear()
