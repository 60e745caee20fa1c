# SPDX-License-Identifier: Apache-2.0
"""What is known to be invalidated: by the local store at once, of a remote as of a moment ago (DESIGN 10).

What was ever seen of a remote's ledger stays in the store. A ledger that lacks some of it has been lost, and with it
perhaps what was never seen: then everything begins anew, which costs misses and never a stale hit.
"""

from __future__ import annotations

import time

from pytrace_cas.generations import WHOLE_STORE, Ledger, ledgers, of_instance, of_remote, rows
from pytrace_exec.cache.errors import RemoteRefused, RemoteTrouble

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytrace_cas.store import Store
    from pytrace_exec.cache.line import Line
    from pytrace_exec.cache.remote import Remote, Terms
    from pytrace_exec.generations.shared import SharedLedger

LOST = b"the remote lost what was invalidated in it"


class GenerationsOld(RemoteTrouble):
    """The remote could not be asked what was invalidated: what was known last counts."""

    code = "generations_old"


def in_store(generations: Mapping[str, str], instance: str) -> Ledger:
    """What is invalidated for runs without a remote: here, and in any remote that results here may come from."""
    found = Ledger()
    for place, ledger in ledgers(generations).items():
        if place in (WHOLE_STORE, of_instance(instance)) or place.startswith(of_remote("")):
            found = found.united(ledger)
    for scope, text in generations.items():
        if scope.startswith(_lost("")):
            found = found.united(_as_ledger(text))
    return found


def in_tiers(store: Store, line: Line, name: str, instance: str, max_age: float) -> Ledger:
    """What is invalidated here and in a remote; that is asked when what is known of it is older than `max_age`."""
    generations = store.generations()
    age = age_of(generations, name)
    if age is None or not 0 <= age <= max_age:
        asked = not line.dead and line.ask(lambda remote, terms: _refreshed(store, remote, terms, name), False)
        if asked:
            generations = store.generations()
        elif age is not None:
            line.note(GenerationsOld(name, f"what is known of its invalidations is {_told(age)} old"))
    places = ledgers(generations)
    found = _as_ledger(generations.get(_lost(name), ""))
    for place in (WHOLE_STORE, of_instance(instance), of_remote(name)):
        found = found.united(places.get(place, Ledger()))
    return found


def age_of(generations: Mapping[str, str], name: str) -> float | None:
    """How long ago (s) a remote was asked last; None: never. Negative when the clock was set back."""
    asked = generations.get(_read_at(name))
    return None if asked is None else time.time() - float(asked)


def _refreshed(store: Store, remote: Remote, terms: Terms, name: str) -> bool:
    from pytrace_exec.generations.shared import SharedLedger

    refresh(store, SharedLedger(remote, terms, name))
    return True


def refresh(store: Store, shared: SharedLedger) -> None:
    """Learn what is invalidated in a remote, and tell it what it has lost; raise `RemoteFailed`, `StoreError`."""
    name, asked = shared.name, time.time()
    known = ledgers(store.generations()).get(of_remote(name), Ledger())
    standing = shared.read()
    if (known and not (standing or Ledger()).holds(known)) or standing == Ledger():
        _begin_anew(store, shared, known.united(standing or Ledger()))
    else:
        _found(store, name, standing or Ledger())
    store.set_generation(_read_at(name), repr(asked))


def keep(store: Store, name: str, ledger: Ledger) -> None:
    """Know from now on what stands in a remote."""
    known = store.generations()
    new = {scope: text for scope, text in rows(of_remote(name), ledger).items() if scope not in known}
    if new:
        store.unite_generations(new)


def _found(store: Store, name: str, standing: Ledger) -> None:
    keep(store, name, standing)
    if store.generation(_lost(name)):
        store.set_generation(_lost(name), "")


def _begin_anew(store: Store, shared: SharedLedger, known: Ledger) -> None:
    """Invalidate everything, for all who use the remote; where it takes no writes, for those who use this store."""
    from pytrace_cas.recorded.invalidations import Invalidation

    everything = Invalidation.new((), b"pytrace-exec", LOST).ledger()
    try:
        _found(store, shared.name, shared.add(known.united(everything)))
    except RemoteRefused:
        ((key, text),) = everything.lines.items()
        store.set_generation(_lost(shared.name), f"{key} {text}")


def _as_ledger(line: str) -> Ledger:
    key, _, text = line.partition(" ")
    return Ledger({key: text}) if key else Ledger()


def _read_at(name: str) -> str:
    return f"remote-read {name}"


def _lost(name: str) -> str:
    return f"remote-lost {name}"


def _told(seconds: float) -> str:
    return f"{seconds:.0f} s"
