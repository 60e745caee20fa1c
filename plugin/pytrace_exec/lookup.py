# SPDX-License-Identifier: Apache-2.0
"""Looking a command up: weak key, today's values of each path set's subjects, strong key, result (DESIGN 3)."""

from __future__ import annotations

from pytrace_cas.reapi import ActionResult
from pytrace_exec.cache.errors import BlobMissing
from pytrace_exec.invocation import SALT
from pytrace_exec.keys.entries import Candidates, index_digest, parse_index
from pytrace_exec.keys.messages import strong_key, weak_key
from pytrace_exec.keys.pathset import MalformedPathSet, PathSet
from pytrace_exec.observe.facts import value_of
from pytrace_exec.observe.view import LiveView
from pytrace_exec.replay.effects import EFFECTS_PATH, Effects
from pytrace_exec.replay.results import check_result

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytrace_cas.digest import Digest
    from pytrace_exec.cache.local import LocalCache
    from pytrace_exec.invocation import Invocation
    from pytrace_exec.keys.messages import Key
    from pytrace_exec.observe.digest_cache import DigestCache
    from pytrace_exec.observe.facts import Subject


class Hit:
    """A stored result that answers the command: its key, its message, what it did, and the path set that led to it."""

    __slots__ = ("action", "effects", "path_set", "result")

    def __init__(self, action: Digest, result: ActionResult, effects: Effects, path_set: Digest) -> None:
        self.action = action
        self.result = result
        self.effects = effects
        self.path_set = path_set


class LookUp:
    """One look-up of one invocation in one cache.

    `values` are today's values of every subject that any path set names, each found once. `tried` lists each path
    set with the strong key that today's values give it.
    """

    def __init__(self, invocation: Invocation, cache: LocalCache, digests: DigestCache | None) -> None:
        self.invocation = invocation
        self.cache = cache
        self.function = cache.function
        self.command = invocation.command()
        self.view = LiveView(self.function, digests)
        self.around = invocation.surroundings(self.function)
        self.values: dict[Subject, bytes] = {}
        self.tried: list[tuple[Digest, PathSet, Key]] = []
        self.salt = SALT
        self.weak = self._weak()

    def _weak(self) -> Key:
        """The weak key; what the caller declared as input is in it by its content."""
        inputs = {}
        for path in self.invocation.inputs:
            digest = self.view.digest(path)
            if "/" in digest:
                inputs[path] = digest
        return weak_key(self.command, inputs, self.salt, self.invocation.places, self.function)

    def hits(self) -> Iterator[Hit]:
        """Every stored result that today's values lead to, the most recently useful first."""
        for path_set, subjects in self.path_sets():
            key = self.strong(subjects)
            self.tried.append((path_set, subjects, key))
            found = self._result(key, path_set)
            if found is not None:
                yield found

    def path_sets(self) -> Iterator[tuple[Digest, PathSet]]:
        """The path sets stored for the weak key, those that can be read."""
        for digest, _ in self.current_candidates().sets:
            try:
                yield digest, PathSet.decode(self.cache.get(digest), self.invocation.places)
            except (BlobMissing, MalformedPathSet):
                continue

    def current_candidates(self) -> Candidates:
        """The list of path sets that stands under the weak key now."""
        entry = self.cache.get_result(self.weak.digest)
        index = index_digest(entry) if entry is not None else None
        try:
            return parse_index(self.cache.get(index)) if index is not None else Candidates()
        except BlobMissing:
            return Candidates()

    def strong(self, path_set: PathSet) -> Key:
        """The strong key that today's values give a path set."""
        values = {subject: self.value(subject) for subject in path_set.subjects}
        return strong_key(self.command, values, self.salt, self.invocation.places, self.function)

    def value(self, subject: Subject) -> bytes:
        """Today's value of a subject."""
        value = self.values.get(subject)
        if value is None:
            value = self.values[subject] = value_of(subject, self.view, self.around)
        return value

    def _result(self, key: Key, path_set: Digest) -> Hit | None:
        """The result under a strong key; one without our effects (an executor's, say) is no hit."""
        result = self.cache.get_result(key.digest)
        if result is None:
            return None
        named = next((file.digest for file in result.output_files if file.path == EFFECTS_PATH), None)
        if named is None:
            return None
        try:
            effects = Effects.decode(self.cache.get(named))
            check_result(effects, result)
        except (BlobMissing, ValueError):
            return None
        return Hit(key.digest, result, effects, path_set)

    def newest_input(self) -> int:
        """The latest modification time (ns) of any file that a look-up asked for."""
        return self.view.newest()
