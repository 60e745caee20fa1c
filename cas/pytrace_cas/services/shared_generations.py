# SPDX-License-Identifier: Apache-2.0
"""The one entry of an action cache that is united in place of being replaced: an instance's invalidations.

To clients it is an action result like any other (docs/invalidation.md); here its lines are generations of the store,
which are never evicted, and two writers at once lose nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytrace_cas import store as storage
from pytrace_cas.digest import TRUSTED
from pytrace_cas.generations import (
    MOST_LINES,
    WHOLE_STORE,
    Ledger,
    MalformedLedger,
    entry_key,
    ledgers,
    of_instance,
    rows,
)
from pytrace_cas.services.digests import digest_of
from pytrace_cas.services.errors import InvalidRequest, LedgerFull
from pytrace_proto import remote_execution_pb2 as reapi

if TYPE_CHECKING:
    from pytrace_cas.digest import DigestFunction
    from pytrace_cas.services.backing import Store

_hashes: dict[str, str] = {}


def is_entry(function: DigestFunction, hash: str) -> bool:
    """Whether a key is that of an instance's invalidations."""
    if function.name not in _hashes:
        _hashes[function.name] = entry_key(function)[0].hash if function.name in TRUSTED else ""
    return _hashes[function.name] == hash


def read(store: Store, instance: str) -> reapi.ActionResult | None:
    """What was invalidated in an instance and in the whole store; None if nothing ever was."""
    found = _standing(store, instance)
    return reapi.ActionResult.FromString(found.result().encode()) if found else None


def unite(store: Store, instance: str, function: DigestFunction, result: reapi.ActionResult) -> None:
    """Add what a client knows; raise `InvalidRequest` for a result that is no ledger, `LedgerFull`."""
    known, standing = _sent(store, function, result), _standing(store, instance)
    new = Ledger({key: text for key, text in known.lines.items() if key not in standing.lines})
    if len(standing.lines) + len(new.lines) > MOST_LINES:
        raise LedgerFull(MOST_LINES)
    if new:
        store.unite_generations(rows(of_instance(instance), new))


def _standing(store: Store, instance: str) -> Ledger:
    places = ledgers(store.generations())
    return places.get(WHOLE_STORE, Ledger()).united(places.get(of_instance(instance), Ledger()))


def _sent(store: Store, function: DigestFunction, result: reapi.ActionResult) -> Ledger:
    data = result.stdout_raw
    try:
        if not data and result.HasField("stdout_digest"):
            data = store.get(function, digest_of(result.stdout_digest, function, "stdout_digest"))
        return Ledger.decode(data)
    except (MalformedLedger, storage.BlobNotFound) as error:
        why = f"under this key stand invalidations, and these cannot be read: {error}"
        raise InvalidRequest("action_result.stdout_raw", why) from None
