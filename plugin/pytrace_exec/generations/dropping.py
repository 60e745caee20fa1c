# SPDX-License-Identifier: Apache-2.0
"""Invalidating and taking back, in the local store or in a remote: what `pytrace invalidate` does."""

from __future__ import annotations

import time

from pytrace_cas.generations import WHOLE_STORE, Ledger, ledgers, of_instance, of_remote, rows
from pytrace_cas.recorded.invalidations import Invalidation, invalidations, undoing
from pytrace_exec.cache.errors import RemoteFailed
from pytrace_exec.cache.remote import Address, connect
from pytrace_exec.generations.known import keep, refresh
from pytrace_exec.generations.shared import SharedLedger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytrace_cas.store import Store
    from pytrace_exec.options import Options

SETTLING = 0.3
"""Seconds after which a remote's ledger is read once more: who had read it before us may replace what we wrote."""
_ROUNDS = 10


class NoSuchInvalidation(Exception):
    """No invalidation, or several, is meant by what was given for one; the message says what to do."""


class Ledgers:
    """The ledgers that a user may change: those of a store, or with `--remote` that of the remote's instance.

    Every method raises `StoreError`, and with a remote `RemoteFailed` and `RemoteRefused`. What returned is durable.
    """

    def __init__(self, store: Store, options: Options, instance: str | None) -> None:
        self._store = store
        self._options = options
        self._address = None if options.remote is None else Address(options.remote, options.instance_name)
        if self._address is not None:
            self.place = of_remote(self._address.name)
        else:
            self.place = WHOLE_STORE if instance is None else of_instance(instance)

    def invalidate(self, one: Invalidation) -> None:
        """Make an invalidation known."""
        self._add(self.place, one.ledger())

    def undo(self, beginning: str, by: bytes) -> tuple[str, Invalidation]:
        """Take back the one invalidation whose ID begins so; return its place and it. Raise `NoSuchInvalidation`."""
        found = [(place, one) for place, one in self.all() if one.id.startswith(beginning)]
        if len(found) != 1:
            what = "no invalidation has" if not found else f"{len(found)} invalidations have"
            raise NoSuchInvalidation(f"{what} an ID that begins with {beginning!r}; see pytrace invalidate --list")
        ((place, one),) = found
        if place.startswith(of_remote("")) and place != self.place:
            raise NoSuchInvalidation(f"{one.id} was made in {place.removeprefix(of_remote(''))}; name it with --remote")
        if one.undone is None:
            self._add(place, undoing(one.id, by))
            one.undone = int(time.time()), by
        return place, one

    def all(self) -> Iterator[tuple[str, Invalidation]]:
        """Every invalidation with its place, the oldest of each place first; a remote is asked before."""
        if self._address is not None:
            with _Connection(self._address, self._options) as shared:
                refresh(self._store, shared)
        places = ledgers(self._store.generations())
        for place in [self.place] if self._address is not None else sorted(places):
            for one in invalidations(places.get(place, Ledger())):
                yield place, one

    def _add(self, place: str, ledger: Ledger) -> None:
        if self._address is None:
            self._store.unite_generations(rows(place, ledger))
            return
        with _Connection(self._address, self._options) as shared:
            refresh(self._store, shared)
            keep(self._store, self._address.name, _settled(shared, ledger))


def _settled(shared: SharedLedger, ledger: Ledger) -> Ledger:
    """Add to a remote's ledger until it has stood there for a while, whoever else writes; return what stands there."""
    for _ in range(_ROUNDS):
        begun = time.monotonic()
        standing = shared.add(ledger)
        time.sleep(max(SETTLING, 2 * (time.monotonic() - begun)))
        now = shared.read()
        if now is not None and now.holds(ledger):
            return standing.united(now)
    raise RemoteFailed(shared.name, "others keep writing invalidations at the same time; try again")


class _Connection:
    """A connection to a remote for as long as the context lasts."""

    def __init__(self, address: Address, options: Options) -> None:
        self._address = address
        self._remote = connect(address, options)

    def __enter__(self) -> SharedLedger:
        return SharedLedger(self._remote, self._remote.terms(), self._address.name)

    def __exit__(self, *_: object) -> None:
        self._remote.close()
