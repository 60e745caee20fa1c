# SPDX-License-Identifier: Apache-2.0
"""The stored result nearest to a look-up, by what both observe, and how it differs from today."""

from __future__ import annotations

from pytrace_cas.explained.commands import command_differences
from pytrace_cas.explained.facts import Comparison
from pytrace_cas.explained.reasons import in_order, reason
from pytrace_cas.recorded.effect_entries import Move
from pytrace_cas.recorded.keys import MalformedKey, read_key
from pytrace_cas.recorded.names import path_of
from pytrace_cas.recorded.places import MalformedText
from pytrace_cas.recorded.subjects import GENERATION, Subject
from pytrace_exec.cache.errors import BlobMissing
from pytrace_exec.explain.beside import declared_inputs, origin_of
from pytrace_exec.explain.candidates import (
    FEW,
    effects_of,
    is_result,
    of_commands_like_this,
    of_this_command,
    stored_in,
)
from pytrace_exec.explain.invalidated import by_facts, by_salt, without_old
from pytrace_exec.explain.listings import came_and_went
from pytrace_exec.policy.terms import asked_for, serves

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytrace_cas.digest import Digest
    from pytrace_cas.recorded.keys import StoredKey
    from pytrace_exec.lookup import LookUp


class Nearest:
    """A stored result held against today.

    `like`: it is another command's; `compared`: among how many it was found; `dropped`: what was invalidated since.
    """

    __slots__ = ("compared", "comparison", "dropped", "key", "like", "produced")

    def __init__(self, look_up: LookUp, key: StoredKey, like: bool = False) -> None:
        self.key = key
        self.like = like
        self.compared = 1
        self.comparison = compare(look_up, key)
        self.dropped = [*by_salt(look_up, key.action.salt), *by_facts(look_up, key)]
        self.produced: set[bytes] = set()

    @property
    def distance(self) -> tuple[float, int]:
        """The share of what it depends on that is another today, and how much that is."""
        differing = len(self.comparison.differing) + len(self.dropped)
        return differing / max(1, len(self.key.values)), differing


def nearest(look_up: LookUp, limit: int = FEW) -> Nearest | None:
    """The nearest result of this command, among at most `limit`; without any, of the command most like it."""
    found = _closest(look_up, of_this_command(look_up, limit), False)
    return found or _closest(look_up, of_commands_like_this(look_up, max(1, limit // FEW)), True)


def _closest(look_up: LookUp, actions: Iterable[Digest], like: bool) -> Nearest | None:
    """Of other commands the words decide, by which they are sorted."""
    found = []
    for action in actions:
        key = read(look_up, action)
        if key is not None:
            found.append(Nearest(look_up, key, like))
    if not found:
        return None
    if like:
        same = [one for one in found if one.key.command == found[0].key.command]
        closest = min(same, key=lambda one: one.distance)
    else:
        closest = min(found, key=lambda one: one.distance)
    closest.compared = len(found)
    return closest


def read(look_up: LookUp, action: Digest) -> StoredKey | None:
    """A stored key in terms of today's places; None when not all of it is in the store."""
    try:
        return read_key(stored_in(look_up).get, action, look_up.invocation.places)
    except (BlobMissing, MalformedKey):
        return None


def compare(look_up: LookUp, key: StoredKey) -> Comparison:
    """Hold a result's values against today's."""
    seen = {subject: value for subject, value in key.values.items() if subject.kind != GENERATION}
    return Comparison(seen, look_up.value, look_up.invocation.places)


def told(look_up: LookUp, found: Nearest) -> list[dict[str, object]]:
    """Every difference between a stored result and today, and whether it is there at all.

    What a remote may have is missing only if nothing else keeps it from serving.
    """
    reasons = differences(look_up, found)
    here = is_result(stored_in(look_up), found.key.digest)
    if not here and (not reasons or look_up.cache is stored_in(look_up)):
        reasons.append(reason("outputs_missing", None, str(found.key.digest), None))
    return reasons or [reason("unusable", None, str(found.key.digest), None)]


def differences(look_up: LookUp, found: Nearest) -> list[dict[str, object]]:
    """Every difference between a stored result and today as reasons; none when it would be a hit."""
    key, options, places = found.key, look_up.invocation.options, look_up.invocation.places
    found.produced = produced_by(look_up, key)
    origin = origin_of(stored_in(look_up), key.digest)
    reasons = list(command_differences(key.command, look_up.command, places, origin))
    reasons += without_old(found.dropped)
    reasons += found.comparison.reasons(found.produced, look_up.view.digest)
    reasons += _declared(look_up, key)
    if not serves(options, key.values):
        reasons.append(reason("options_changed", name=asked_for(options, key.values)))
    came_and_went(look_up, found.comparison, reasons)
    return in_order(reasons)


def _declared(look_up: LookUp, key: StoredKey) -> list[dict[str, object]]:
    """Inputs that were declared then or are now (`--input`), whether or not the command read them."""
    before = declared_inputs(stored_in(look_up), key, look_up.invocation.places)
    if before is None:
        return []
    digests = ((path, look_up.view.digest(path)) for path in look_up.invocation.inputs)
    now = {path: digest.encode() for path, digest in digests if "/" in digest}
    read_as_well = {subject.paths[0] for subject, *_ in _contents(key)}
    reasons = []
    for path in sorted((before.keys() | now.keys()) - read_as_well):
        old, new = (None if value is None else value.decode() for value in (before.get(path), now.get(path)))
        if old != new:
            code = "input_removed" if new is None else "inputs_changed"
            reasons.append(reason(code, path, old, new, shown=look_up.invocation.places.readable(path)))
    return reasons


def _contents(key: StoredKey) -> list[tuple[Subject, bytes]]:
    return [(subject, value) for subject, value in key.values.items() if subject.kind == "content"]


def produced_by(look_up: LookUp, key: StoredKey) -> set[bytes]:
    """Paths that a stored result makes, removes or changes.

    When its effects are gone, what its path set says, and those of which its key has the earlier state.
    """
    effects = effects_of(stored_in(look_up), key.digest)
    if effects is None:
        listed = {path for _, path_set, _ in look_up.tried for path in path_set.produced}
        return listed | {path for subject in key.values if subject.kind == "target" for path in subject.paths}
    places = look_up.invocation.places
    changed = [entry.to if isinstance(entry, Move) else entry.path for entry in effects.entries]
    moved = [entry.path for entry in effects.entries if isinstance(entry, Move)]
    try:
        return {path_of(places, name) for name in (*changed, *moved)}
    except MalformedText:
        return set()
