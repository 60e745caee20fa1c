# SPDX-License-Identifier: Apache-2.0
"""Stored results that a look-up can be held against: found through the index, so that none is missed by its age.

Every result keeps its `Command` in the store, and the index says which results keep a blob: so all results of one
command are found at once, however many others were stored since. Only where there is none are other commands looked
at, the newest first.
"""

from __future__ import annotations

from itertools import islice

from pytrace_cas.recorded.candidates import index_digest, parse_index
from pytrace_cas.recorded.effects import EFFECTS_PATH, Effects
from pytrace_cas.recorded.keys import MalformedKey, read_command
from pytrace_exec.cache.errors import BlobMissing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytrace_cas.digest import Digest
    from pytrace_cas.reapi import Command
    from pytrace_exec.cache.local import LocalCache
    from pytrace_exec.lookup import LookUp

FEW = 8
"""Results that the wrapper compares: it is about to run the command."""
MANY = 64
"""Results that `pytrace explain` compares."""
SCANNED = 2000
"""Results that are looked at for a command like this one, where nothing is stored of this one."""


def stored_in(look_up: LookUp) -> LocalCache:
    """The local store alone: what is not at hand is not fetched only to be compared."""
    return look_up.cache.at_hand


def of_this_command(look_up: LookUp, limit: int) -> list[Digest]:
    """Results of exactly this command: those the list of path sets leads to, then all others, the newest first."""
    cache = stored_in(look_up)
    listed = [action for _, action in look_up.candidates.sets]
    command = cache.function.of(look_up.command.encode())
    rows = cache.store.results_needing(cache.function, cache.instance, command, limit)
    return list(dict.fromkeys((*listed, *(row.digest for row in rows))))[:limit]


def of_commands_like_this(look_up: LookUp, limit: int) -> list[Digest]:
    """Results of commands that run the same program, the nearest first: by their words, then their variables."""
    cache = stored_in(look_up)
    known: dict[Digest, Command] = {}
    ranked: dict[tuple[bool, int, int, int, int], Digest] = {}
    for place, digest in enumerate(_newest(look_up)):
        try:
            _, command = read_command(cache.get, digest, known)
        except (BlobMissing, MalformedKey):
            continue
        if command.arguments[:1] == look_up.command.arguments[:1]:
            for turn, action in enumerate(_results_of(cache, digest)):
                ranked[*_distance(command, look_up.command), place, turn] = action
    return list(dict.fromkeys(ranked[rank] for rank in sorted(ranked)))[:limit]


def _results_of(cache: LocalCache, digest: Digest) -> list[Digest]:
    """The result itself, or those that a list of path sets leads to: they may be gone, what is known of them not."""
    result = cache.get_result(digest)
    if result is None:
        return []
    if any(file.path == EFFECTS_PATH for file in result.output_files):
        return [digest]
    index = index_digest(result)
    try:
        return [action for _, action in parse_index(cache.get(index)).sets] if index is not None else []
    except BlobMissing:
        return []


def _newest(look_up: LookUp) -> Iterator[Digest]:
    cache = stored_in(look_up)
    rows = cache.store.action_results(cache.function, cache.instance, newest_first=True)
    return (row.digest for row in islice(rows, SCANNED))


def _distance(command: Command, ours: Command) -> tuple[bool, int, int]:
    """How far another command is: whether it has other arguments, how many words, how many other settings differ."""
    words = len(set(command.arguments) ^ set(ours.arguments))
    settings = len(_settings(command) ^ _settings(ours))
    return command.arguments != ours.arguments, words, settings


def _settings(command: Command) -> set[tuple[str, str]]:
    found = {(variable.name, variable.value) for variable in command.environment_variables}
    return found | {(item.name, item.value) for item in (command.platform.properties if command.platform else ())}


def is_result(cache: LocalCache, digest: Digest) -> bool:
    """Whether a complete result is stored there, and no list of path sets."""
    result = cache.get_result(digest)
    return result is not None and any(file.path == EFFECTS_PATH for file in result.output_files)


def effects_of(cache: LocalCache, digest: Digest) -> Effects | None:
    """What a stored result did; None when that is gone."""
    result = cache.get_result(digest)
    named = next((file.digest for file in result.output_files if file.path == EFFECTS_PATH), None) if result else None
    try:
        return Effects.decode(cache.get(named)) if named is not None else None
    except (BlobMissing, ValueError):
        return None
