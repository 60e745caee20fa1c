# SPDX-License-Identifier: Apache-2.0
"""An instance's ledger in somebody else's action cache: read, united, written, read back (DESIGN 3, 10).

It is one entry, whose key depends on nothing but the remote's own digest function. A cache that refuses to change it
gets the longer ledger in the next slot; what counts is what all slots hold together.
"""

from __future__ import annotations

from pytrace_cas.digest import SHA256, MalformedDigest
from pytrace_cas.generations import Ledger, MalformedLedger, entry_key
from pytrace_cas.reapi import ActionResult, MalformedMessage
from pytrace_exec.cache.errors import BlobMissing, RemoteFailed, RemoteRefused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_cas.digest import DigestFunction
    from pytrace_exec.cache.remote import Remote, Terms

SLOTS = 64
"""Entries that the ledger of one instance may use in a cache that refuses to overwrite: one for each invalidation."""
_ATTEMPTS = 8
"""Races lost to other writers before giving up."""


class SharedLedger:
    """The ledger of the instance that a connection is about; `name` is the remote's address."""

    def __init__(self, remote: Remote, terms: Terms, name: str) -> None:
        self._remote = remote
        self._terms = terms
        self.name = name
        self._function: DigestFunction = terms.function or SHA256

    def read(self) -> Ledger | None:
        """What stands there; None if nothing does, an empty one for what cannot be read. Raises `RemoteFailed`."""
        slots = self._slots()
        return _together(slots) if slots else None

    def add(self, wanted: Ledger) -> Ledger:
        """See that all of a ledger stands there; return what does. Raises `RemoteRefused`, `RemoteFailed`."""
        if self._terms.may_write is False:
            raise RemoteRefused(self.name, "it takes no results, and so no invalidations")
        slots, closed = self._slots(), 0
        for _ in range(_ATTEMPTS + SLOTS):
            wanted = wanted.united(_together(slots))
            if _together(slots).holds(wanted):
                return wanted
            slot = max(closed, len(slots) - 1)
            if slot >= SLOTS:
                raise RemoteRefused(
                    self.name, f"it overwrites nothing, and its {SLOTS} slots for invalidations are full"
                )
            refusal = self._write(slot, wanted)
            before, slots = slots, self._slots()
            if slots[: slot + 1] == before[: slot + 1]:
                # It does not overwrite; one that does not take what is new either takes nothing.
                if slot >= len(before):
                    raise refusal or RemoteRefused(self.name, "it does not keep what it is sent")
                closed = slot + 1
        raise RemoteFailed(self.name, "others keep writing invalidations at the same time; try again")

    def _write(self, slot: int, ledger: Ledger) -> RemoteRefused | None:
        """Write a slot's entry; some caches say that they refuse, others do not: only reading back tells."""
        digest, blobs = entry_key(self._function, slot)
        try:
            absent = self._remote.missing(self._function, [one for one in blobs if one.size_bytes])
            self._remote.write_many(self._function, [(one, blobs[one]) for one in absent])
            self._remote.put_result(self._function, digest, ledger.result().encode())
        except RemoteRefused as error:
            return error
        return None

    def _slots(self) -> list[Ledger]:
        found: list[Ledger] = []
        for slot in range(SLOTS):
            message = self._remote.get_result(self._function, entry_key(self._function, slot)[0], ())
            if message is None:
                break
            found.append(self._decoded(message))
        return found

    def _decoded(self, message: bytes) -> Ledger:
        """The ledger of an entry: in the message, or where a cache has put what it was sent in it."""
        try:
            result = ActionResult.decode(message)
            data = result.stdout_raw
            if not data and result.stdout_digest is not None:
                digest = self._function.check(result.stdout_digest)
                data = b"".join(self._remote.read(self._function, digest))
                if self._function.of(data) != digest:
                    return Ledger()
            return Ledger.decode(data)
        except (MalformedMessage, MalformedDigest, MalformedLedger, BlobMissing):
            return Ledger()


def _together(slots: list[Ledger]) -> Ledger:
    whole = Ledger()
    for ledger in slots:
        whole = whole.united(ledger)
    return whole
