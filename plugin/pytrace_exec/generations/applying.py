# SPDX-License-Identifier: Apache-2.0
"""The generations of one invocation: what of all that was invalidated its keys are made of.

On the wrapper's start-up path.
"""

from __future__ import annotations

import os

from pytrace_cas.recorded.subjects import GENERATION, Subject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pytrace_cas.recorded.invalidations import Invalidation
    from pytrace_exec.keys.messages import Key

ACTION = Subject(GENERATION, "action")
"""The fact of a result whose values would give the key of an action that was invalidated."""
NO_GENERATION = b"none"


class Generations:
    """The invalidations that concern one invocation, from its beginning to its end: later ones are none of its.

    `salted` are those that are known before a look-up, `paths` those of what lies at or below a path, by path,
    `actions` those of one action, by its digest; `others` hold as well, but concern other invocations.
    """

    __slots__ = ("actions", "others", "paths", "salted")

    def __init__(
        self,
        salted: Iterable[Invalidation] = (),
        paths: Mapping[bytes, list[Invalidation]] | None = None,
        actions: Mapping[str, list[Invalidation]] | None = None,
        others: Iterable[Invalidation] = (),
    ) -> None:
        self.salted = list(salted)
        self.paths = paths or {}
        self.actions = actions or {}
        self.others = list(others)

    @property
    def salt(self) -> bytes:
        """What both keys are salted with."""
        return b"generations: " + _named(self.salted)

    def complete(
        self, values: Mapping[Subject, bytes], make: Callable[[Mapping[Subject, bytes]], Key]
    ) -> tuple[Mapping[Subject, bytes], Key]:
        """The values of a result with the generations of what it read, and the key that `make` gives them."""
        if not self.paths and not self.actions:
            return values, make(values)
        complete = {**values, **self.of_paths(values)}
        key, left = make(complete), dict(self.actions)
        dropped: list[Invalidation] = []
        while again := left.pop(str(key.digest), None):
            dropped += again
            complete[ACTION] = _named(dropped)
            key = make(complete)
        return complete, key

    def value(self, subject: Subject) -> bytes:
        """The present generation of a path; that of an action is `complete`'s to tell."""
        return _named(self.paths.get(subject.paths[0], ())) if subject.paths else NO_GENERATION

    def of_paths(self, subjects: Iterable[Subject]) -> dict[Subject, bytes]:
        """The generations of what some subjects are about."""
        if not self.paths:
            return {}
        spelled = {path for subject in subjects for path in subject.paths}
        looked = {_plain(path) for path in spelled} | _led_to(spelled)
        return {
            Subject(GENERATION, "", place): _named(found)
            for place, found in self.paths.items()
            if any(is_below(path, place) for path in looked)
        }


def is_below(path: bytes, place: bytes) -> bool:
    """Whether a path is a place or lies below it."""
    return path == place or path.startswith(place.rstrip(b"/") + b"/")


def _plain(path: bytes) -> bytes:
    return os.path.normpath(path) if b"/." in path else path


def _led_to(paths: Iterable[bytes]) -> set[bytes]:
    """Where paths lead now: a link that leaves the root is no part of what is known of a file that was read by it."""
    folders: dict[bytes, bytes] = {}
    found = set()
    for path in paths:
        folder, name = os.path.split(path)
        if folder not in folders:
            folders[folder] = os.path.realpath(folder)
        place = os.path.join(folders[folder], name)
        found.add(os.path.realpath(place) if name == b".." or os.path.islink(place) else place)
    return found


def _named(found: Iterable[Invalidation]) -> bytes:
    return b" ".join(sorted({one.id.encode() for one in found})) or NO_GENERATION
