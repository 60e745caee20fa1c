# SPDX-License-Identifier: Apache-2.0
"""What a replay has to do, and in which order, worked out before anything is touched.

There are two name spaces: the earlier one, which is on disk when the replay begins, and the final one. Existing
directories are known by their earlier paths and held open, so a step reaches its directory whatever was renamed
meanwhile. New directories are staged whole and put in place by one rename.
"""

from __future__ import annotations

from pytrace_cas.recorded.effect_entries import ABSENT, DIRECTORY, Dir, Hardlink, LinkTo, Mode, Move, Remove, Times
from pytrace_cas.recorded.names import outside, path_of
from pytrace_cas.recorded.places import MalformedText

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    from pytrace_cas.recorded.effect_entries import Entry, Made, State
    from pytrace_cas.recorded.effects import Effects
    from pytrace_cas.recorded.places import Places

    Step: TypeAlias = Made | Move | Remove


class ReplayRefused(Exception):
    """A result cannot be replayed here, now; the tree is as it was and the command is to be run.

    `path` is what stands in the way (bytes, absolute, or None), `why` a sentence.
    """

    def __init__(self, why: str, path: bytes | None = None) -> None:
        super().__init__(f"{why}: {path!r}" if path is not None else why)
        self.why = why
        self.path = path


class Plan:
    """Effects in terms of absolute paths here.

    `made`: what makes each final path. `left`: what takes away each earlier path. `steps`: the changes of existing
    directories in an order in which each finds what it needs. `contents`: for each new directory that is put in
    place by a step, what lies below it, parents first.
    """

    def __init__(self, effects: Effects, places: Places, allowed: Sequence[bytes]) -> None:
        """Work out everything; raise `ReplayRefused` for names that are not allowed here or a ring of renames."""
        self._root = places.root
        self._allowed = allowed
        self._bases = {places.root, *map(directory_of, allowed)}
        self._places = places
        self._paths: dict[bytes, bytes] = {}
        self._homes: dict[bytes, bytes | None] = {}
        self.made: dict[bytes, Made | Move] = {}
        self.left: dict[bytes, Move | Remove] = {}
        self.modes: dict[bytes, Mode] = {}
        self.times: dict[bytes, Times] = {}
        for entry in effects.entries:
            self._enter(entry)
        self.states = {self.path(name): state for name, state in effects.targets.items()}
        self.order = [[self.path(name) for name in group] for group in effects.order]
        if len(set(self._paths.values())) != len(self._paths):
            raise ReplayRefused("two names of the result are one path here")
        self.contents: dict[bytes, list[bytes]] = {}
        self.steps = self._sorted(self._placements())

    def path(self, name: bytes) -> bytes:
        """Absolute path of a name; raise `ReplayRefused` if it lies outside the root and every allowed place."""
        if name not in self._paths:
            try:
                path = self._root if name == b"." else path_of(self._places, name)
            except MalformedText:
                raise ReplayRefused("its place is not set here", name) from None
            if outside(name):
                self.anchor(path)
            self._paths[name] = path
        return self._paths[name]

    def state(self, path: bytes) -> State:
        """Earlier state that a made path must have."""
        return self.states.get(path, ABSENT)

    def anchor(self, path: bytes) -> bytes:
        """Directory that the way to a path starts from: the root, or what holds the allowed place it lies in."""
        if path == self._root or path.startswith(self._root.rstrip(b"/") + b"/"):
            return self._root
        for place in self._allowed:
            if path == place or path.startswith(place.rstrip(b"/") + b"/"):
                return directory_of(place)
        raise ReplayRefused("it lies outside the root and the declared output places", path)

    def home(self, directory: bytes) -> bytes | None:
        """Earlier path of a directory known by its final path; None when it is new."""
        if directory not in self._homes:
            self._homes[directory] = self._find_home(directory)
        return self._homes[directory]

    def spot(self, path: bytes) -> tuple[bytes | None, bytes]:
        """Where a final path lies: earlier path of its directory (None: a new one), and its name in it."""
        folder, name = directory_of(path), path.rpartition(b"/")[2]
        return self.home(folder), name

    def _enter(self, entry: Entry) -> None:
        path = self.path(entry.path)
        if isinstance(entry, Mode):
            self.modes[path] = entry
        elif isinstance(entry, Times):
            self.times[path] = entry
        elif isinstance(entry, Remove):
            self.left[path] = entry
        elif isinstance(entry, Move):
            self.left[path] = entry
            self.made[self.path(entry.to)] = entry
        else:
            if isinstance(entry, Hardlink | LinkTo):
                self.path(entry.other)
            self.made[path] = entry

    def _find_home(self, directory: bytes) -> bytes | None:
        entry = self.made.get(directory)
        if isinstance(entry, Move):
            return self.path(entry.path)
        if isinstance(entry, Dir) and self.state(directory) != DIRECTORY:
            return None
        if entry is not None and not isinstance(entry, Dir):
            raise ReplayRefused("something that is no directory is to hold others", directory)
        if entry is None and directory in self._bases:
            return directory
        folder, name = self.spot(directory)
        if folder is None:
            raise ReplayRefused("the result does not make this directory, but fills it", directory)
        earlier = join(folder, name)
        if earlier in self.left:
            raise ReplayRefused("the result removes this directory, but fills it", directory)
        return earlier

    def _placements(self) -> list[Step]:
        """Steps in no order yet; what lies in new directories goes to `contents`."""
        steps: list[Step] = list(self.left.values())
        for path, entry in sorted(self.made.items()):
            folder, _ = self.spot(path)
            if isinstance(entry, Move):
                continue
            if folder is None and not isinstance(entry, LinkTo):
                if self.state(path) != ABSENT:
                    raise ReplayRefused("it cannot have been there, its directory is new", path)
                self.contents[self.top(directory_of(path))].append(path)
            elif isinstance(entry, Dir) and self.state(path) == DIRECTORY:
                self.home(path)
            else:
                if isinstance(entry, Dir):
                    self.contents[path] = []
                steps.append(entry)
        return steps

    def top(self, directory: bytes) -> bytes:
        """The new directory, put in place by a step, that a new directory lies in."""
        while self.home(directory_of(directory)) is None:
            directory = directory_of(directory)
        return directory

    def final(self, step: Step) -> bytes | None:
        """Path that a step makes; None for a removal."""
        if isinstance(step, Remove):
            return None
        return self.path(step.to if isinstance(step, Move) else step.path)

    def _sorted(self, steps: list[Step]) -> list[Step]:
        """Order steps so that each comes after those it needs; raise `ReplayRefused` for a ring."""
        needs = self._needs(steps)
        done: set[int] = set()
        ordered: list[Step] = []
        for step in steps:
            self._visit(step, needs, done, ordered)
        return ordered

    def _visit(self, first: Step, needs: dict[int, list[Step]], done: set[int], ordered: list[Step]) -> None:
        """Append a step after all it needs, without recursion: a hostile result may chain any number."""
        stack = [(first, iter(needs[id(first)]))]
        open_steps = {id(first)}
        while stack and id(first) not in done:
            step, rest = stack[-1]
            following = next((need for need in rest if id(need) not in done), None)
            if following is None:
                stack.pop()
                open_steps.discard(id(step))
                done.add(id(step))
                ordered.append(step)
            elif id(following) in open_steps:
                raise ReplayRefused("its renames form a ring", self.path(following.path))
            else:
                open_steps.add(id(following))
                stack.append((following, iter(needs[id(following)])))

    def _needs(self, steps: list[Step]) -> dict[int, list[Step]]:
        """For each step, by identity, the steps that must come before it."""
        makers = {path: step for step in steps if (path := self.final(step)) is not None}
        needs: dict[int, list[Step]] = {id(step): [] for step in steps}
        emptied: dict[bytes, Step] = {}
        for step in steps:
            path = self.final(step)
            if isinstance(step, Move | Remove):
                emptied[self.path(step.path)] = step
            if path is None:
                continue
            folder, name = self.spot(path)
            if folder is None:
                needs[id(step)].append(makers[self.top(directory_of(path))])
            else:
                occupant = join(folder, name)
                if occupant in self.left:
                    needs[id(step)].append(self.left[occupant])
                else:
                    emptied[occupant] = step
                bringer = self._bringer(path)
                if bringer is not None and not self._leaves(step, self.path(bringer.path)):
                    needs[id(step)].append(bringer)
            if isinstance(step, LinkTo) and isinstance(mover := self.made.get(self.path(step.other)), Move):
                needs[id(step)].append(mover)
        self._need_emptied(emptied, needs)
        return needs

    def _need_emptied(self, emptied: dict[bytes, Step], needs: dict[int, list[Step]]) -> None:
        """A directory is removed, replaced or renamed after what leaves it."""
        for path, leaver in self.left.items():
            above = directory_of(path)
            while above != b"/":
                if above in emptied and emptied[above] is not leaver:
                    needs[id(emptied[above])].append(leaver)
                above = directory_of(above)

    def _bringer(self, path: bytes) -> Move | None:
        """The rename that brings the directory, or one above it, in which a final path lies."""
        while (path := directory_of(path)) != b"/":
            entry = self.made.get(path)
            if isinstance(entry, Move):
                return entry
        return None

    def _leaves(self, step: Step, directory: bytes) -> bool:
        """Whether a step takes something out of an earlier directory, and so comes before its rename."""
        return isinstance(step, Move) and self.path(step.path).startswith(directory + b"/")


def directory_of(path: bytes) -> bytes:
    """Path of the directory that holds it."""
    return path.rpartition(b"/")[0] or b"/"


def join(folder: bytes, name: bytes) -> bytes:
    """Path of a name in a directory."""
    return folder.rstrip(b"/") + b"/" + name
