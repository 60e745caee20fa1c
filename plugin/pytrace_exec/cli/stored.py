# SPDX-License-Identifier: Apache-2.0
"""Finding a stored result by what people call it, in the store or by its digest in the remote, and reading it whole."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import attrs

from pytrace_cas.catalogue import AmbiguousReference, Catalogue, Match, Query
from pytrace_cas.catalogue.rows import TRACED
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
from pytrace_exec.cli.choices import folder_of, open_chosen_cache, open_store_for_remote
from pytrace_exec.cli.exit_status import NOT_FOUND, USAGE, status_of
from pytrace_exec.cli.listing import open_writable
from pytrace_exec.cli.main import Failed
from pytrace_exec.places import find_places

if TYPE_CHECKING:
    from pytrace_cas.catalogue import ActionRow
    from pytrace_cas.reapi import ActionResult
    from pytrace_cas.recorded.effect_entries import Entry
    from pytrace_cas.store import Store
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
    if _whole_digest(reference) is None:
        return open_writable(folder_of(options))  # its catalogue is kept
    return open_store_for_remote(options)


def resolved(store: Store, reference: str, options: Options) -> ActionRow:
    """The row of the local result that a reference means; raise `Failed`."""
    finder = Finder(store, options)
    with Catalogue(store) as catalogue:
        row = _named(catalogue, reference, options.instance_name, finder.places)
    if row is None:
        raise Failed(finder.not_found(reference), NOT_FOUND)
    return row


def _named(catalogue: Catalogue, reference: str, instance: str, places: Places) -> ActionRow | None:
    """The row of a digest, the beginning of one, `latest`, or of the result that last wrote a path."""
    if reference == "latest":
        query = Query(instance=Match(instance), kind=Match(TRACED))
        return next(iter(catalogue.actions(query, limit=1).rows), None)
    try:
        return catalogue.resolve_digest(reference, instance) or _that_wrote(catalogue, reference, instance, places)
    except AmbiguousReference as error:
        raise Failed(str(error), USAGE) from None


def _that_wrote(catalogue: Catalogue, reference: str, instance: str, places: Places) -> ActionRow | None:
    folder, name = os.path.split(os.path.abspath(os.fsencode(reference)))
    path = places.encode_path(os.path.join(os.path.realpath(folder), name)).decode()
    query = Query(writes=Match(path, "exact"), instance=Match(instance), kind=Match(TRACED))
    return next(iter(catalogue.actions(query, limit=1).rows), None)


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
        row = self._by_digest(reference) or self._listed(reference)
        if row is None:
            raise Failed(self.not_found(reference), NOT_FOUND)
        return self._read(*row)

    def not_found(self, reference: str) -> str:
        """What to say of a reference that means nothing."""
        if self._options.remote is None:
            return (
                f"no stored result is called {reference!r}; give a digest, the beginning of one, 'latest' or an output"
            )
        name = Address(self._options.remote, self._instance).name
        if _whole_digest(reference) is None:
            return f"no result in the local store is called {reference!r}; {name} is asked for whole digests, HASH/SIZE"
        return f"neither the local store nor {name} has a result {reference}; --digest-function chooses its function"

    def _by_digest(self, reference: str) -> tuple[LocalCache, Digest] | None:
        wanted = _whole_digest(reference)
        if wanted is None:
            return None
        for function in FUNCTIONS.values():
            cache = LocalCache(self._store, function, self._instance)
            if function.can_make(wanted) and (result := cache.get_result(wanted)) is not None:
                return cache, _led_to(cache, result) or wanted
        return self._in_remote(wanted) if self._options.remote is not None else None

    def _in_remote(self, wanted: Digest) -> tuple[LocalCache, Digest] | None:
        """As a run would get it: what the remote sends is verified and kept in the store, the result itself is not."""
        cache = open_chosen_cache(self._store, self._options)
        result = cache.get_result(wanted) if cache.function.can_make(wanted) else None
        if result is not None:
            return cache, _led_to(cache, result) or wanted
        if cache.troubles:
            raise _incomplete(cache, wanted)
        return None

    def _listed(self, reference: str) -> tuple[LocalCache, Digest] | None:
        """The result that the beginning of a digest, `latest` or an output's path means."""
        with Catalogue(self._store) as catalogue:
            row = _named(catalogue, reference, self._instance, self.places)
        return (LocalCache(self._store, row.function, row.instance), row.digest) if row is not None else None

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
