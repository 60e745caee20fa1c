# SPDX-License-Identifier: Apache-2.0
"""Finding a stored result by what people call it, in the store or by its digest in the remote, and reading it whole."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import attrs

from pytrace_cas.digest import FUNCTIONS, Digest, MalformedDigest
from pytrace_cas.recorded.candidates import index_digest, parse_index
from pytrace_cas.recorded.effect_entries import Move
from pytrace_cas.recorded.effects import EFFECTS_PATH, Effects
from pytrace_cas.recorded.keys import StoredKey, read_key
from pytrace_cas.recorded.names import path_of
from pytrace_cas.recorded.places import MalformedText, Places
from pytrace_exec.cache.errors import BlobMissing
from pytrace_exec.cache.local import LocalCache
from pytrace_exec.cache.remote import Address
from pytrace_exec.cli.choices import open_chosen_cache, open_store, open_store_for_remote
from pytrace_exec.cli.exit_status import NOT_FOUND, USAGE, status_of
from pytrace_exec.cli.main import Failed
from pytrace_exec.invocation import find_places

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytrace_cas.digest import DigestFunction
    from pytrace_cas.reapi import ActionResult
    from pytrace_cas.recorded.effect_entries import Entry
    from pytrace_cas.store import Store, StoredResult
    from pytrace_exec.options import Options

_HEX = re.compile(r"[0-9a-f]{4,}")
_TREES = ((b"%W", b"/%W"), (b"%X", b"/%X"), (b"%O", b"/%O"))
"""Where trees of declared inputs are said to be when nobody is in a place that has them."""


@attrs.frozen
class StoredRun:
    """A stored result with everything that is known of it; `cache` is where its blobs are."""

    cache: LocalCache
    digest: Digest
    result: ActionResult
    effects: Effects
    key: StoredKey

    def at_hand(self) -> LocalCache:
        """The store as one that has this result, after fetching what the result needs; raise `Failed`."""
        if self.cache.tiers[-1].fetch(self.result.needs()):
            raise _incomplete(self.cache, self.digest)
        return _StoreWithResult(self.cache.at_hand, self.digest, self.result)


class _StoreWithResult(LocalCache):
    """A store and one result more, which needs blobs of it: a remote's is looked at like any other, but not kept."""

    def __init__(self, store: LocalCache, digest: Digest, result: ActionResult) -> None:
        super().__init__(store.store, store.function, store.instance)
        self._digest = digest
        self._result = result

    def get_result(self, action: Digest) -> ActionResult | None:
        return self._result if action == self._digest else super().get_result(action)


def open_store_to_find(options: Options, reference: str) -> Store:
    """Open the store that a result is to be found in; it is made where a remote may have to send the result there."""
    return open_store(options) if _whole_digest(reference) is None else open_store_for_remote(options)


class Finder:
    """Looks results up in one instance of a store, and by digest in the remote that the options name.

    `places` are those in whose terms paths are told.
    """

    def __init__(self, store: Store, options: Options) -> None:
        self._store = store
        self._options = options
        self._instance = options.instance_name
        places = find_places(options, os.getcwdb(), os.environb)
        # A stored path in a place that is not set here is still to be shown.
        self.places = Places(places.root, places.home or b"/%H", places.tmp or b"/%T", places.trees or _TREES)

    def find(self, reference: str) -> StoredRun:
        """The result that a digest, a unique beginning of one, `latest` or an output's path means; raise `Failed`."""
        row = self._latest() if reference == "latest" else self._by_digest(reference) or self._by_output(reference)
        if row is None:
            raise Failed(self._not_found(reference), NOT_FOUND)
        return self._read(*row)

    def _not_found(self, reference: str) -> str:
        if self._options.remote is None:
            return (
                f"no stored result is called {reference!r}; give a digest, the beginning of one, 'latest' or an output"
            )
        name = Address(self._options.remote, self._instance).name
        if _whole_digest(reference) is None:
            return f"no result in the local store is called {reference!r}; {name} is asked for whole digests, HASH/SIZE"
        return f"neither the local store nor {name} has a result {reference}; --digest-function chooses its function"

    def _latest(self) -> tuple[LocalCache, Digest] | None:
        return next(((cache, digest) for cache, digest, _ in self._results()), None)

    def _by_digest(self, reference: str) -> tuple[LocalCache, Digest] | None:
        wanted = _whole_digest(reference)
        if wanted is None:
            return self._by_prefix(reference) if _HEX.fullmatch(reference) else None
        for function in FUNCTIONS.values():
            cache = LocalCache(self._store, function, self._instance)
            if _made_by(function, wanted) and (result := cache.get_result(wanted)) is not None:
                return cache, _led_to(cache, result) or wanted
        return self._in_remote(wanted) if self._options.remote is not None else None

    def _in_remote(self, wanted: Digest) -> tuple[LocalCache, Digest] | None:
        """As a run would get it: what the remote sends is verified and kept in the store, the result itself is not."""
        cache = open_chosen_cache(self._store, self._options)
        result = cache.get_result(wanted) if _made_by(cache.function, wanted) else None
        if result is not None:
            return cache, _led_to(cache, result) or wanted
        if cache.troubles:
            raise _incomplete(cache, wanted)
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
            if result is not None and _effects_digest(result) is not None:
                yield cache, row.digest, result

    def _read(self, cache: LocalCache, digest: Digest) -> StoredRun:
        result = cache.get_result(digest)
        if result is None:
            raise _incomplete(cache, digest)
        named = _effects_digest(result)
        if named is None:
            raise Failed(f"{digest} was not stored by pytrace-exec; bb-browser or the like can show it", NOT_FOUND)
        try:
            effects = Effects.decode(cache.get(named))
            return StoredRun(cache, digest, result, effects, read_key(cache.get, digest, self.places))
        except (BlobMissing, ValueError) as error:
            why = f"what {digest} did and depends on cannot be read ({error}); run it again"
            raise _failed(cache, why) from None


def changed_paths(entries: list[Entry], places: Places) -> set[bytes]:
    """Absolute paths that effects make, change or remove; those in a place that is not set are left out."""
    found = set()
    for name in [entry.to for entry in entries if isinstance(entry, Move)] + [entry.path for entry in entries]:
        try:
            found.add(path_of(places, name))
        except MalformedText:
            continue
    return found


def _incomplete(cache: LocalCache, digest: Digest) -> Failed:
    return _failed(cache, f"{digest} is incomplete: outputs of it are missing from the cache; run it again")


def _failed(cache: LocalCache, why: str) -> Failed:
    """What went wrong with the remote if anything did, else that something is not there."""
    for trouble in cache.troubles:
        return Failed(str(trouble), status_of(trouble))
    return Failed(why, NOT_FOUND)


def _whole_digest(reference: str) -> Digest | None:
    try:
        return Digest.parse(reference)
    except MalformedDigest:
        return None


def _made_by(function: DigestFunction, digest: Digest) -> bool:
    try:
        function.check(digest)
    except MalformedDigest:
        return False
    return True


def _effects_digest(result: ActionResult) -> Digest | None:
    return next((file.digest for file in result.output_files if file.path == EFFECTS_PATH), None)


def _effects(cache: LocalCache, result: ActionResult) -> Effects | None:
    named = _effects_digest(result)
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
