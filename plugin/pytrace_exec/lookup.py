# SPDX-License-Identifier: Apache-2.0
"""Looking a command up: weak key, today's values of each path set's subjects, strong key, result (DESIGN 3)."""

from __future__ import annotations

import time

from pytrace_cas.reapi import ActionResult
from pytrace_cas.recorded.candidates import Candidates
from pytrace_cas.recorded.effects import EFFECTS_PATH, Effects
from pytrace_cas.recorded.path_sets import MalformedPathSet, PathSet
from pytrace_cas.recorded.subjects import GENERATION
from pytrace_exec.cache.candidates import lists
from pytrace_exec.cache.errors import BlobMissing
from pytrace_exec.generations.applying import Generations
from pytrace_exec.keys.messages import strong_key, weak_key
from pytrace_exec.observe.facts import value_of
from pytrace_exec.observe.view import LiveView
from pytrace_exec.policy.terms import serves
from pytrace_exec.replay.results import check_result

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytrace_cas.digest import Digest
    from pytrace_cas.reapi import Command
    from pytrace_cas.recorded.subjects import Subject
    from pytrace_exec.cache.interface import Tier
    from pytrace_exec.cache.local import LocalCache
    from pytrace_exec.invocation import Invocation
    from pytrace_exec.keys.messages import Key
    from pytrace_exec.observe.digest_cache import DigestCache


class Hit:
    """A stored result that answers the command: its key, its message, what it did, what led to it, and whose it is.

    `path_set` led to it; `source` names the tier that had it.
    """

    __slots__ = ("action", "effects", "path_set", "result", "source")

    def __init__(self, action: Digest, result: ActionResult, effects: Effects, path_set: Digest, source: str) -> None:
        self.action = action
        self.result = result
        self.effects = effects
        self.path_set = path_set
        self.source = source


class LookUp:
    """One look-up of one invocation in one cache.

    `values` are today's values of every subject that any path set names, each found once. `tried` lists each path
    set with the strong key that today's values give it; `candidates` is the list of them that was found.
    """

    def __init__(self, invocation: Invocation, cache: LocalCache, digests: DigestCache | None) -> None:
        self.begun_ns = time.time_ns()
        self.invocation = invocation
        self.cache = cache
        self.function = cache.function
        self.command = invocation.command()
        self.view = LiveView(self.function, digests)
        self.around = invocation.surroundings(self.function)
        self.values: dict[Subject, bytes] = {}
        self.tried: list[tuple[Digest, PathSet, Key]] = []
        self.candidates = Candidates()
        self.generations = _generations(invocation, cache)
        self.salt = self.generations.salt
        self.weak = self._weak(self.command)

    def weak_in(self, slot: int) -> Key:
        """The weak key of a slot; that of the first is `weak`."""
        return self._weak(self.invocation.command(slot)) if slot else self.weak

    def _weak(self, command: Command) -> Key:
        """The weak key; what the caller declared as input is in it by its content."""
        inputs = {}
        for path in self.invocation.inputs:
            digest = self.view.digest(path)
            if "/" in digest:
                inputs[path] = digest
        return weak_key(command, inputs, self.salt, self.invocation.places, self.function)

    def hits(self) -> Iterator[Hit]:
        """Every stored result that today's values lead to: from the nearer tier first, the most recently useful first.

        A farther tier is asked only by who goes on, and then for what the nearer one listed as well.
        """
        for tier in self.cache.tiers:
            for path_set, key in self._keys(tier):
                found = self._result(tier, key, path_set)
                if found is not None:
                    yield found

    def _keys(self, tier: Tier) -> Iterator[tuple[Digest, Key]]:
        """Each path set that a tier or a nearer one lists, with the strong key that today's values give it."""
        nearer = {path_set: key for path_set, _, key in self.tried}
        for path_set, subjects in self._path_sets(tier):
            key = nearer.pop(path_set, None)
            if key is None:
                key = self.strong(subjects)
                self.tried.append((path_set, subjects, key))
            yield path_set, key
        yield from nearer.items()

    def _path_sets(self, tier: Tier) -> Iterator[tuple[Digest, PathSet]]:
        """The path sets that a tier lists, those that can be read."""
        seen: set[Digest] = set()
        for listed in lists(tier, self.weak_in):
            self.candidates = self.candidates.united(listed)
            new = [path_set for path_set in listed.path_sets() if path_set not in seen]
            seen.update(new)
            tier.fetch(new)
            for digest in new:
                try:
                    path_set = PathSet.decode(tier.get(digest), self.invocation.places)
                except (BlobMissing, MalformedPathSet):
                    continue
                if serves(self.invocation.options, path_set.subjects):
                    yield digest, path_set

    def strong(self, path_set: PathSet) -> Key:
        """The strong key that today's values give a path set."""
        return self.key({subject: self.value(subject) for subject in path_set.subjects})

    def key(self, values: Mapping[Subject, bytes]) -> Key:
        """The strong key that values give, under the generations with which this look-up began."""
        return self.complete(values)[1]

    def complete(self, values: Mapping[Subject, bytes]) -> tuple[Mapping[Subject, bytes], Key]:
        """Values with the generations of what they are values of, and their strong key."""
        places = self.invocation.places
        return self.generations.complete(
            values, lambda complete: strong_key(self.command, complete, self.salt, places, self.function)
        )

    def value(self, subject: Subject) -> bytes:
        """Today's value of a subject."""
        if subject.kind == GENERATION:
            return self.generations.value(subject)
        value = self.values.get(subject)
        if value is None:
            value = self.values[subject] = value_of(subject, self.view, self.around)
        return value

    def _result(self, tier: Tier, key: Key, path_set: Digest) -> Hit | None:
        """The whole result under a strong key; one without our effects (an executor's, say) is no hit."""
        result = tier.get_result(key.digest)
        if result is None:
            return None
        named = next((file.digest for file in result.output_files if file.path == EFFECTS_PATH), None)
        if named is None:
            return None
        try:
            effects = Effects.decode(tier.get(named))
            check_result(effects, result)
        except (BlobMissing, ValueError):
            return None
        return None if tier.fetch(result.needs()) else Hit(key.digest, result, effects, path_set, tier.source)

    def subjects_of(self, hit: Hit) -> tuple[Subject, ...]:
        """What a result that was found depends on."""
        return next(path_set.subjects for digest, path_set, _ in self.tried if digest == hit.path_set)

    def newest_input(self) -> int:
        """The latest modification time (ns) of any file that a look-up asked for."""
        return self.view.newest()


def _generations(invocation: Invocation, cache: LocalCache) -> Generations:
    """What was invalidated of what concerns an invocation."""
    ledger = cache.invalidated()
    if not ledger:
        return Generations()
    from pytrace_exec.generations.matching import applying

    return applying(ledger, invocation)
