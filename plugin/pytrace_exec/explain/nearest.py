# SPDX-License-Identifier: Apache-2.0
"""The stored result nearest to a look-up: by shared values among those of its weak key, else by its command."""

from __future__ import annotations

from itertools import islice

from pytrace_cas.recorded.effect_entries import Move
from pytrace_cas.recorded.effects import EFFECTS_PATH, Effects
from pytrace_cas.recorded.keys import MalformedKey, read_command, read_key
from pytrace_cas.recorded.names import path_of
from pytrace_cas.recorded.places import MalformedText
from pytrace_exec.cache.errors import BlobMissing
from pytrace_exec.explain.commands import command_differences
from pytrace_exec.explain.facts import Comparison
from pytrace_exec.explain.reasons import in_order, reason
from pytrace_exec.policy.terms import asked_for, serves

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from pytrace_cas.digest import Digest
    from pytrace_cas.reapi import Command
    from pytrace_cas.recorded.keys import StoredKey
    from pytrace_exec.cache.local import LocalCache
    from pytrace_exec.lookup import LookUp

    Ranked: TypeAlias = tuple[tuple[bool, int, int], list[dict[str, object]], Digest]

_SCANNED = 200
"""How many of the results stored last are looked at for a command like this one."""


def stored_in(look_up: LookUp) -> LocalCache:
    """The local store alone: what is not at hand is not fetched only to be compared."""
    return look_up.cache.at_hand


def nearest(look_up: LookUp) -> list[dict[str, object]]:
    """How the nearest of the results that the weak key leads to differs from today."""
    found = []
    for _, action in look_up.candidates.sets:
        key = _read(look_up, action)
        if key is not None:
            found.append((compare(look_up, key), key))
    if not found:
        return [reason("unknown")]
    closest, key = min(found, key=lambda item: len(item[0].differing))
    return told(look_up, closest, key)


def differences(look_up: LookUp, action: Digest) -> list[dict[str, object]]:
    """How one complete stored result differs from today; none when it would be a hit."""
    key = _read(look_up, action)
    if key is None:
        return [reason("unknown")]
    reasons = list(command_differences(key.command, look_up.command, look_up.invocation.places))
    comparison = compare(look_up, key)
    same = not comparison.differing and serves(look_up.invocation.options, key.values)
    return in_order([*reasons, *(() if same else told(look_up, comparison, key))])


def _read(look_up: LookUp, action: Digest) -> StoredKey | None:
    try:
        return read_key(stored_in(look_up).get, action, look_up.invocation.places)
    except (BlobMissing, MalformedKey):
        return None


def compare(look_up: LookUp, key: StoredKey) -> Comparison:
    """Hold a result's values against today's."""
    return Comparison(key.values, look_up.value, look_up.invocation.places)


def told(look_up: LookUp, comparison: Comparison, key: StoredKey) -> list[dict[str, object]]:
    """The differences as reasons; without any, the result itself is what is missing."""
    options = look_up.invocation.options
    reasons = list(comparison.reasons(produced_by(look_up, key.digest), look_up.view.digest))
    if not serves(options, key.values):
        reasons.append(reason("options_changed", name=asked_for(options, key.values)))
    if reasons:
        return reasons
    code = "outputs_missing" if stored_in(look_up).get_result(key.digest) is None else "unusable"
    return [reason(code, None, str(key.digest), None)]


def produced_by(look_up: LookUp, action: Digest) -> set[bytes]:
    """Paths that a stored result makes, removes or changes; none when its effects are gone."""
    result = stored_in(look_up).get_result(action)
    effects = next((file.digest for file in result.output_files if file.path == EFFECTS_PATH), None) if result else None
    if effects is None:
        return set()
    places = look_up.invocation.places
    try:
        entries = Effects.decode(stored_in(look_up).get(effects)).entries
        changed = [entry.to if isinstance(entry, Move) else entry.path for entry in entries]
        moved = [entry.path for entry in entries if isinstance(entry, Move)]
        return {path_of(places, name) for name in (*changed, *moved)}
    except (BlobMissing, MalformedText, ValueError):
        return set()


def nearest_command(look_up: LookUp) -> list[dict[str, object]]:
    """How the nearest stored command differs from one whose weak key leads to nothing."""
    found = _closest(look_up)
    if found is None:
        return [reason("never_seen")]
    (other_arguments, *_), reasons, action = found
    if other_arguments:
        return [reason("never_seen"), *reasons]
    key = _read(look_up, action)
    if key is None:
        return reasons or [reason("unknown")]
    comparison = compare(look_up, key)
    return [*reasons, *(told(look_up, comparison, key) if comparison.differing or not reasons else ())]


def _closest(look_up: LookUp) -> Ranked | None:
    """The result whose command is nearest to ours, of those stored last; the newest of several."""
    cache = stored_in(look_up)
    known: dict[Digest, Command] = {}
    found: Ranked | None = None
    for row in islice(cache.store.action_results(cache.function, cache.instance, newest_first=True), _SCANNED):
        ranked = _ranked(look_up, row.digest, known)
        if ranked is not None and (found is None or ranked[0] < found[0]) and _is_result(cache, row.digest):
            found = ranked
    return found


def _ranked(look_up: LookUp, digest: Digest, known: dict[Digest, Command]) -> Ranked | None:
    """How far a stored command is from ours, and by what; None when it runs another program."""
    ours = look_up.command
    try:
        action, command = read_command(stored_in(look_up).get, digest, known)
    except (BlobMissing, MalformedKey):
        return None
    if command.arguments[:1] != ours.arguments[:1]:
        return None
    reasons = list(command_differences(command, ours, look_up.invocation.places))
    if action.salt != look_up.salt:
        reasons.append(reason("invalidated"))
    words = len(set(command.arguments) ^ set(ours.arguments))
    return (command.arguments != ours.arguments, words, len(reasons)), reasons, digest


def _is_result(cache: LocalCache, digest: Digest) -> bool:
    """Whether a complete result is stored there, and no list of path sets."""
    result = cache.get_result(digest)
    return result is not None and any(file.path == EFFECTS_PATH for file in result.output_files)
