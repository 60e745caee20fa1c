# SPDX-License-Identifier: Apache-2.0
"""Two actions in the words of `pytrace explain`: why the result of the first did not answer for the second.

Of those that `pytrace-exec` stored what was observed is compared, of any others the commands and input roots.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING, Any

from pytrace_cas import store as storage
from pytrace_cas.digest import Digest, MalformedDigest
from pytrace_cas.explained.between import reasons_between
from pytrace_cas.explained.commands import command_differences
from pytrace_cas.explained.contents import MAX_BYTES, text_diff
from pytrace_cas.explained.reasons import group_of, in_order, reason, title_of
from pytrace_cas.generations import Ledger
from pytrace_cas.json_fields import reason_fields
from pytrace_cas.reapi import Command, EnvironmentVariable, MalformedMessage
from pytrace_cas.recorded.effect_entries import Move
from pytrace_cas.recorded.effects import EFFECTS_PATH, Effects
from pytrace_cas.recorded.invalidations import invalidations
from pytrace_cas.recorded.keys import MalformedKey, read_key
from pytrace_cas.recorded.names import path_of
from pytrace_cas.recorded.places import MalformedText
from pytrace_cas.services import shared_generations
from pytrace_cas.services.errors import InvalidRequest
from pytrace_cas.web.actions import PLACES, bounded, is_hidden, read_result
from pytrace_cas.web.errors import TooLargeToShow
from pytrace_cas.web.messages import read_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytrace_cas.recorded.invalidations import Invalidation
    from pytrace_cas.recorded.keys import StoredKey
    from pytrace_cas.services.backing import Store
    from pytrace_cas.web.addresses import BlobAddress

    Reason = dict[str, object]

MAX_DIFFS = 20
"""Changed files of which a diff is told."""
_WITH_CONTENT = ("inputs_changed", "tool_changed", "output_differs")
_DIGEST = re.compile(r"[0-9a-f]{32,128}/[0-9]{1,18}")
_SIGNS = re.compile(r"/<(root|home|tmp)>")
_UNREADABLE = (storage.BlobNotFound, InvalidRequest, TooLargeToShow, ValueError)


def explain_pair(
    store: Store, old: BlobAddress, new: BlobAddress, left: dict[str, Any], right: dict[str, Any], rows: Iterable[Any]
) -> dict[str, Any]:
    """The `reasons`, and the same by their `groups`; `rows` are the differences of input roots."""
    traced = all(one["observations"] is not None for one in (left, right))
    keys = tuple(key_of(store, place) for place in (old, new)) if traced else (None, None)
    if keys[0] is not None and keys[1] is not None:
        found = between_results(store, old, keys[0], keys[1])
    else:
        found = in_order([*_commands(store, old, new, left, right), *map(_of_row, rows)])
    if left["result"] is None:
        found.append(reason("outputs_missing", None, str(old.digest), None))
    _add_diffs(store, old, new, found)
    told = described(found)
    groups = groupby(told, key=lambda one: group_of(one["code"]))
    return {
        "reasons": told,
        "groups": [{"group": group, "title": title_of(group), "reasons": list(some)} for group, some in groups],
    }


def described(reasons: Iterable[Reason]) -> list[dict[str, Any]]:
    """Reasons for JSON and pages, in which places have their names and are nobody's."""
    return [_named(reason_fields(one, PLACES.root)) for one in reasons]


def key_of(store: Store, place: BlobAddress) -> StoredKey | None:
    """What a result of `pytrace-exec` depended on; None where that cannot be read."""
    try:
        return read_key(bounded(store, place), place.digest, PLACES)
    except (MalformedKey, *_UNREADABLE):
        return None


def between_results(store: Store, old: BlobAddress, before: StoredKey, now: StoredKey) -> list[Reason]:
    """Every reason why the result at `old`, whose key is `before`, does not answer for another key."""
    return reasons_between(
        before,
        now,
        PLACES,
        produced=_produced(store, old),
        known=_known(store, old.instance),
        content=lambda digest: _content(store, old, digest),
    )


def _produced(store: Store, place: BlobAddress) -> set[bytes]:
    """Paths that a run made, changed or removed; none where its effects are not here."""
    result = read_result(store, place)
    files = () if result is None else result.output_files
    named = next((file.digest for file in files if file.path == EFFECTS_PATH), None)
    if named is None:
        return set()
    try:
        entries = Effects.decode(read_bytes(store, place.other(Digest(named.hash, named.size_bytes)))).entries
    except _UNREADABLE:
        return set()
    names = {entry.path for entry in entries} | {entry.to for entry in entries if isinstance(entry, Move)}
    paths = set()
    for name in names:
        try:
            paths.add(path_of(PLACES, name))
        except MalformedText:
            continue
    return paths


def _known(store: Store, instance: str) -> list[Invalidation]:
    found = shared_generations.read(store, instance)
    return [] if found is None else list(invalidations(Ledger.decode(found.stdout_raw)))


def _commands(
    store: Store, old: BlobAddress, new: BlobAddress, left: dict[str, Any], right: dict[str, Any]
) -> list[Reason]:
    """How the commands of two actions differ, as far as they are here."""
    found = []
    for place, told in ((old, left), (new, right)):
        if told.get("command") is None:
            return []
        try:
            found.append(_without_secrets(Command.decode(read_bytes(store, place.of(told["command_digest"]))), place))
        except (MalformedMessage, *_UNREADABLE):
            return []
    return list(command_differences(found[0], found[1], PLACES))


def _without_secrets(command: Command, place: BlobAddress) -> Command:
    """A command whose secrets are hashes, as those of the wrapper's are."""
    for variable in command.environment_variables:
        if is_hidden(variable.name, variable.value):
            variable.value = "sha256:" + place.function.of(variable.value.encode()).hash
    command.environment_variables = [
        EnvironmentVariable(name=one.name, value=one.value) for one in command.environment_variables
    ]
    return command


def _of_row(row: Any) -> Reason:
    """A difference of two input roots as a reason."""
    old, new = (None if text is None else _digest_in(text) or text for text in (row.old, row.new))
    code = "input_removed" if new is None else "inputs_changed"
    if any(text is not None and text.startswith("symlink") for text in (row.old, row.new)):
        code = "link_changed" if None not in (old, new) else code
    return reason(code, row.name.encode("utf-8", "surrogateescape"), old, new)


def _digest_in(text: str) -> str | None:
    found = _DIGEST.search(text)
    return found[0] if found else None


def _add_diffs(store: Store, old: BlobAddress, new: BlobAddress, reasons: Sequence[Reason]) -> None:
    """Add to reasons for other content how it differs, where both are text and at hand."""
    diffs = 0
    for one in reasons:
        if one["code"] not in _WITH_CONTENT or diffs == MAX_DIFFS:
            continue
        digests = [_digest_in(str(one[name])) for name in ("old", "new")]
        if digests[0] is None or digests[1] is None or digests[0] == digests[1]:
            continue
        before, now = _content(store, old, digests[0]), _content(store, new, digests[1])
        if before is None or now is None:
            continue
        diffs += 1
        name = _plain(str(one["path"])).removeprefix("<root>/")
        one.update(text_diff(before, now, f"a/{name}", f"b/{name}"))


def _content(store: Store, place: BlobAddress, digest: str) -> bytes | None:
    try:
        named = Digest.parse(digest)
        return read_bytes(store, place.other(named), MAX_BYTES) if named.size_bytes else b""
    except (MalformedDigest, *_UNREADABLE):
        return None


def _named(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields in which places have their names, and are nobody's."""
    return {name: _plain(value) if isinstance(value, str) else value for name, value in fields.items()}


def _plain(text: str) -> str:
    return _SIGNS.sub(r"<\1>", text)
