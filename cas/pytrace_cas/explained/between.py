# SPDX-License-Identifier: Apache-2.0
"""One stored result held against another: why the first would not have answered for the second.

Where the second did not look at what the first depends on, nothing is known of it there, and nothing is told.
"""

from __future__ import annotations

import os

from pytrace_cas.explained import invalidated
from pytrace_cas.explained.commands import command_differences
from pytrace_cas.explained.facts import Comparison, option_of
from pytrace_cas.explained.listings import add_names, read_listing
from pytrace_cas.explained.reasons import in_order, reason
from pytrace_cas.recorded.subjects import ASKED_FOR, GENERATION, Subject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from pytrace_cas.recorded.invalidations import Invalidation
    from pytrace_cas.recorded.keys import StoredKey
    from pytrace_cas.recorded.places import Places

_THERE = {"content": b"file", "status": b"", "listing": b"dir", "link": b"symlink"}
"""Kinds of subjects that say that a path is there, and of what type; the first that is known says what."""


def reasons_between(
    old: StoredKey,
    new: StoredKey,
    places: Places,
    *,
    produced: Collection[bytes],
    known: Iterable[Invalidation],
    content: Callable[[str], bytes | None],
) -> list[dict[str, object]]:
    """Every reason why `old` is not the result of `new`, both read in terms of `places`.

    `produced`: paths that the old run made, removed or changed; `known`: what was invalidated; `content`: the bytes of
    a digest, None if they are not at hand.
    """
    then = {subject: value for subject, value in old.values.items() if subject.kind != GENERATION}
    now = _Seen(new)
    comparison = Comparison({s: value for s, value in then.items() if now.knows(s)}, now.value, places)
    reasons = list(command_differences(old.command, new.command, places))
    reasons += _invalidations(old, new, places, list(known))
    reasons += comparison.reasons(produced, now.digest)
    reasons += _options(old, new)
    _add_listings(comparison, reasons, content)
    return in_order(reasons)


_RANK = tuple(_THERE)


class _Seen:
    """What a result says of a subject, itself or by another one at the same path."""

    def __init__(self, key: StoredKey) -> None:
        self._values = key.values
        self._errors = {s.paths[0]: value for s, value in key.values.items() if s.kind == "error" and s.paths}
        self._there: dict[bytes, tuple[str, bytes]] = {}
        for subject, value in key.values.items():
            if subject.kind in _THERE and len(subject.paths) == 1:
                known = self._there.get(subject.paths[0], (subject.kind, value))
                self._there[subject.paths[0]] = min((subject.kind, value), known, key=lambda one: _RANK.index(one[0]))

    def knows(self, subject: Subject) -> bool:
        """Whether it says anything of a subject."""
        return self._value(subject) is not None

    def value(self, subject: Subject) -> bytes:
        """What it says of a subject that it knows."""
        value = self._value(subject)
        assert value is not None
        return value

    def digest(self, path: bytes) -> str:
        """The digest of what lies at a path that is new; of what is no file, its type."""
        kind, value = self._there.get(path, ("content", b""))
        return os.fsdecode(value.rpartition(b" ")[2] if kind in ("content", "status") else _THERE[kind])

    def _value(self, subject: Subject) -> bytes | None:
        value = self._values.get(subject)
        if value is not None or len(subject.paths) != 1:
            return value
        path = subject.paths[0]
        if subject.kind == "error":
            kind, there = self._there.get(path, ("", b""))
            return (_THERE[kind] or there.partition(b" ")[0]) if kind else None
        return self._errors.get(path) if subject.kind in _THERE else None


def _invalidations(
    old: StoredKey, new: StoredKey, places: Places, known: list[Invalidation]
) -> Iterator[dict[str, object]]:
    salts = [invalidated.ids_in_salt(key.action.salt) for key in (old, new)]
    yield from invalidated.between(salts[0], salts[1], known)
    for subject in sorted(s for s in {*old.values, *new.values} if s.kind == GENERATION):
        ids = [invalidated.ids_in(key.values.get(subject, invalidated.NONE)) for key in (old, new)]
        path = subject.paths[0] if subject.paths else None
        shown = f"{places.readable(path)} " if path is not None else ""
        yield from invalidated.between(ids[0], ids[1], known, path, shown)


def _options(old: StoredKey, new: StoredKey) -> Iterator[dict[str, object]]:
    """Options of the old one that the new one was not stored under, and exactness that only the new one asked for."""
    for subject in sorted(old.values.keys() ^ new.values.keys()):
        name, there = option_of(subject), new.values.get(subject)
        if name is not None and there in (None, ASKED_FOR):
            here = old.values.get(subject)
            texts = (None if value is None else os.fsdecode(value) for value in (here, there))
            yield reason("options_changed", None, *texts, name=name)


def _add_listings(
    comparison: Comparison, reasons: Iterable[dict[str, object]], content: Callable[[str], bytes | None]
) -> None:
    """Add to each reason for a changed listing which names came and went, where both are at hand."""
    changed = {os.fsdecode(s.paths[0]): (old, new) for s, old, new in comparison.differing if s.kind == "listing"}
    for one in reasons:
        if one["code"] != "listing_changed" or one["path"] not in changed:
            continue
        texts = [content(os.fsdecode(value)) for value in changed[str(one["path"])]]
        if texts[0] is None or texts[1] is None:
            continue
        try:
            add_names(one, read_listing(texts[0]), read_listing(texts[1]))
        except ValueError:
            continue
