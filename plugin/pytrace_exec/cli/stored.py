# SPDX-License-Identifier: Apache-2.0
"""Finding a stored result by what people call it, and reading it whole."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import attrs

from pytrace_cas.digest import FUNCTIONS, Digest, MalformedDigest
from pytrace_exec.cache.errors import BlobMissing
from pytrace_exec.cache.local import LocalCache
from pytrace_exec.cli.exit_status import NOT_FOUND, USAGE
from pytrace_exec.cli.main import Failed
from pytrace_exec.keys.entries import index_digest, parse_index
from pytrace_exec.keys.values import MalformedKey, StoredKey, read_key
from pytrace_exec.places import MalformedText, Places
from pytrace_exec.replay.effects import EFFECTS_PATH, Effects
from pytrace_exec.replay.entries import Move
from pytrace_exec.replay.names import path_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytrace_cas.reapi import ActionResult
    from pytrace_cas.store import Store, StoredResult
    from pytrace_exec.replay.entries import Entry

_HEX = re.compile(r"[0-9a-f]{4,}")


@attrs.frozen
class StoredRun:
    """A stored result with everything that is known of it; `cache` is where its blobs are."""

    cache: LocalCache
    digest: Digest
    result: ActionResult
    effects: Effects
    key: StoredKey


class Finder:
    """Looks results up in one instance of a store; `places` are those in whose terms paths are told."""

    def __init__(self, store: Store, instance: str, places: Places) -> None:
        self._store = store
        self._instance = instance
        # A stored path in a place that is not set here is still to be shown.
        self.places = Places(places.root, places.home or b"/%H", places.tmp or b"/%T")

    def find(self, reference: str) -> StoredRun:
        """The result that a digest, a unique beginning of one, `latest` or an output's path means; raise `Failed`."""
        row = self._latest() if reference == "latest" else self._by_digest(reference) or self._by_output(reference)
        if row is None:
            raise Failed(
                f"no stored result is called {reference!r}; give a digest, the beginning of one, 'latest' or an output",
                NOT_FOUND,
            )
        return self._read(*row)

    def _latest(self) -> tuple[LocalCache, Digest] | None:
        return next(((cache, digest) for cache, digest, _ in self._results()), None)

    def _by_digest(self, reference: str) -> tuple[LocalCache, Digest] | None:
        try:
            wanted = Digest.parse(reference)
        except MalformedDigest:
            return self._by_prefix(reference) if _HEX.fullmatch(reference) else None
        for function in FUNCTIONS.values():
            cache = LocalCache(self._store, function, self._instance)
            if len(wanted.hash) == function.length and (result := cache.get_result(wanted)) is not None:
                return cache, _led_to(cache, result) or wanted
        return None

    def _by_prefix(self, prefix: str) -> tuple[LocalCache, Digest] | None:
        found = [row for row in self._rows() if row.digest.hash.startswith(prefix)]
        if len(found) > 1:
            raise Failed(f"{len(found)} stored results begin with {prefix}; give more of the digest", USAGE)
        for row in found:
            cache = LocalCache(self._store, row.function, row.instance)
            result = cache.get_result(row.digest)
            return cache, (_led_to(cache, result) if result is not None else None) or row.digest
        return None

    def _by_output(self, reference: str) -> tuple[LocalCache, Digest] | None:
        """The newest result that made, changed or removed a path."""
        folder, name = os.path.split(os.path.abspath(os.fsencode(reference)))
        wanted = os.path.join(os.path.realpath(folder), name)
        for cache, digest, result in self._results():
            effects = _effects(cache, result)
            if effects is not None and wanted in changed_paths(effects.entries, self.places):
                return cache, digest
        return None

    def _rows(self) -> Iterator[StoredResult]:
        return self._store.action_results(None, self._instance, newest_first=True)

    def _results(self) -> Iterator[tuple[LocalCache, Digest, ActionResult]]:
        """Complete results of the wrapper's, those stored last first."""
        for row in self._rows():
            cache = LocalCache(self._store, row.function, row.instance)
            result = cache.get_result(row.digest)
            if result is not None and any(file.path == EFFECTS_PATH for file in result.output_files):
                yield cache, row.digest, result

    def _read(self, cache: LocalCache, digest: Digest) -> StoredRun:
        result = cache.get_result(digest)
        if result is None:
            raise Failed(f"{digest} is incomplete: outputs of it are missing from the cache; run it again", NOT_FOUND)
        effects = _effects(cache, result)
        if effects is None:
            raise Failed(f"{digest} was not stored by pytrace-exec; bb-browser or the like can show it", NOT_FOUND)
        try:
            return StoredRun(cache, digest, result, effects, read_key(cache.get, digest, self.places))
        except (BlobMissing, MalformedKey) as error:
            raise Failed(f"what {digest} depends on cannot be read ({error}); run it again", NOT_FOUND) from None


def changed_paths(entries: list[Entry], places: Places) -> set[bytes]:
    """Absolute paths that effects make, change or remove; those in a place that is not set are left out."""
    found = set()
    for name in [entry.to for entry in entries if isinstance(entry, Move)] + [entry.path for entry in entries]:
        try:
            found.add(path_of(places, name))
        except MalformedText:
            continue
    return found


def _effects(cache: LocalCache, result: ActionResult) -> Effects | None:
    named = next((file.digest for file in result.output_files if file.path == EFFECTS_PATH), None)
    try:
        return Effects.decode(cache.get(named)) if named is not None else None
    except (BlobMissing, ValueError):
        return None


def _led_to(cache: LocalCache, result: ActionResult) -> Digest | None:
    """The result that a list of path sets (a weak key's entry) last led to."""
    index = index_digest(result)
    try:
        sets = parse_index(cache.get(index)).sets if index is not None else []
    except BlobMissing:
        return None
    return sets[0][1] if sets else None
