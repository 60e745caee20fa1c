# SPDX-License-Identifier: Apache-2.0
"""Action results: a message under instance, function, hash and size, answered only while every blob it needs is here.

Bodies that are no `ActionResult` live in the same table under function 0 (REAPI's UNKNOWN), which no client can ask
for: their hash is the key's bytes.
"""

from __future__ import annotations

import os
import time

from pytrace_cas.digest import FUNCTIONS, Digest
from pytrace_cas.store.ages import HIT_PATIENCE, Clock, clock_of
from pytrace_cas.store.index import PATIENCE, OutOfSpace, StoreBusy
from pytrace_cas.store.layout import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _sqlite3 as sqlite
    from collections.abc import Iterable, Iterator

    from pytrace_cas.digest import DigestFunction
    from pytrace_cas.store.index import Index
    from pytrace_cas.store.room import Room

OPAQUE = 0  # the function number of bodies that are no ActionResult
_PAGE = 256  # results listed by one statement
REPLACED_BYTES = 64 << 20
"""Of messages that were replaced, so many are kept when a long one comes to them."""

# One statement, so that the result and its blobs are seen at one moment.
_COMPLETE = """SELECT r.id, r.message,
  min(r.used, ifnull(min(b.used), r.used)), min(r.turn, ifnull(min(b.turn), r.turn)),
  (SELECT added FROM store), (SELECT max_size FROM store), (SELECT min_lifetime FROM store)
FROM results r LEFT JOIN refs f ON f.result = r.id
LEFT JOIN blobs b ON b.function = r.function AND b.hash = f.hash AND b.size = f.size
WHERE r.function = ? AND r.hash = ? AND r.instance = ? {}
GROUP BY r.id HAVING count(f.hash) = count(b.id) ORDER BY r.id DESC LIMIT 1"""
_BY_DIGEST = _COMPLETE.format("AND r.size = ?")
_BY_HASH = _COMPLETE.format("")
_ABSENT = """SELECT f.hash, f.size FROM refs f WHERE f.result = ? AND NOT EXISTS
(SELECT 1 FROM blobs b WHERE b.function = ? AND b.hash = f.hash AND b.size = f.size) ORDER BY f.hash"""
# CROSS JOIN: in this order, which SQLite would otherwise guess.
_RENEW_BLOBS = """UPDATE blobs SET used = :now, turn = :turn WHERE id IN
(SELECT b.id FROM results r CROSS JOIN refs f ON f.result = r.id
 CROSS JOIN blobs b ON b.function = r.function AND b.hash = f.hash
 WHERE r.id = :id AND (b.turn < :turn - :grain OR abs(b.used - :now) > 60))"""
_NEEDING = """SELECT r.instance, r.hash, r.size, r.used, length(r.message)
FROM refs f CROSS JOIN results r ON r.id = f.result
WHERE f.hash = ? AND f.size = ? AND r.function = ? AND r.instance = ? ORDER BY f.result DESC LIMIT ?"""
_NEEDS = """SELECT f.hash, f.size FROM results r JOIN refs f ON f.result = r.id
WHERE r.function = ? AND r.hash = ? AND r.instance = ? AND r.size = ?"""
_COMPLETE_ROW = "SELECT id FROM results WHERE function = ? AND hash = ? AND instance = ? AND size = ? AND complete"
# An id is never used twice, so that what was seen of the results can be told from what came after.
_INSERT = """INSERT INTO results (id, function, hash, instance, size, complete, charge, used, turn, message, stored)
VALUES ((SELECT last_result + 1 FROM store), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_KEY = "function = ? AND hash = ? AND instance = ? AND size = ?"
_OTHER = f"SELECT stored, message FROM results WHERE {_KEY} AND message <> ?"
_KEEP_REPLACED = "INSERT INTO replaced (function, hash, instance, size, time, message) VALUES (?, ?, ?, ?, ?, ?)"
_TRIM_REPLACED = f"""DELETE FROM replaced WHERE id <= (SELECT max(id) FROM replaced) - 4096 OR id IN
(SELECT id FROM replaced WHERE {_KEY} ORDER BY id DESC LIMIT -1 OFFSET 4)"""
# Messages with the bytes of streams are long: the charge of the store does not count them, so they are few.
_LAST_IS_LONG = "SELECT length(message) > 16384 FROM replaced ORDER BY id DESC LIMIT 1"
_TRIM_BYTES = """DELETE FROM replaced WHERE id <= (SELECT id FROM
(SELECT id, sum(length(message)) OVER (ORDER BY id DESC) AS kept FROM replaced)
WHERE kept > ? ORDER BY id DESC LIMIT 1)"""


class MissingBlobs(StoreError):
    """The result refers to blobs of `function` that are not here (`missing`); it was not stored."""

    def __init__(self, path: bytes, function: DigestFunction, missing: list[Digest]) -> None:
        super().__init__(
            path, f"the result needs {len(missing)} blobs that are not here ({missing[0]}); send them first"
        )
        self.function = function
        self.missing = missing


class StoredResult:
    """One line of a listing; `used` in seconds of Unix time, `size` that of the message."""

    __slots__ = ("digest", "function", "instance", "size", "used")

    def __init__(self, function: DigestFunction, instance: str, digest: Digest, used: int, size: int) -> None:
        self.function = function
        self.instance = instance
        self.digest = digest
        self.used = used
        self.size = size


class Results:
    """The action results of one store. Any thread may call."""

    def __init__(self, index: Index, room: Room) -> None:
        self._index = index
        self._room = room

    def get(self, function: DigestFunction, instance: str, digest: Digest, *, renew: bool = True) -> bytes | None:
        """The message, if all that it needs is here; renews it and all of that unless told not to."""
        function.check(digest)
        key = (function.number, bytes.fromhex(digest.hash), instance, digest.size_bytes)
        return self._get(_BY_DIGEST, key, renew)

    def get_by_hash(self, function: DigestFunction, instance: str, hash: str) -> bytes | None:
        """As `get`, for a client that knows no size: the one stored last."""
        return self._get(_BY_HASH, (function.number, bytes.fromhex(hash), instance))

    def put(
        self,
        function: DigestFunction,
        instance: str,
        digest: Digest,
        message: bytes,
        needs: Iterable[Digest],
        allow_missing: bool,
        keep_complete: bool = False,
        mutable: bool = False,
    ) -> None:
        """Store a result in place of an earlier one; raise `MissingBlobs`, `OutOfSpace`.

        With `allow_missing`, a result whose blobs are not all here is kept and answered once they are. With
        `keep_complete`, one that was stored with all its blobs stays in place of the new one. What an earlier one said
        otherwise is kept (`replaced`), unless the entry is `mutable`.
        """
        from pytrace_cas.store.room import charge_of_result

        key = (function.number, bytes.fromhex(function.check(digest).hash), instance, digest.size_bytes)
        refs = {(bytes.fromhex(function.check(need).hash), need.size_bytes) for need in needs if need.size_bytes}
        charge = charge_of_result(len(message), len(refs))

        def work(db: sqlite.Connection, clock: Clock) -> None:
            if keep_complete and db.execute(_COMPLETE_ROW, key).fetchone():
                return
            if not mutable:
                _keep_replaced(db, key, message)
            row = _replace(db, key, message, charge, clock)
            db.executemany("INSERT INTO refs VALUES (?, ?, ?)", [(row, *ref) for ref in sorted(refs)])
            absent = db.execute(_ABSENT, (row, function.number)).fetchall()
            if absent and not allow_missing:
                root = self._index.layout.root
                raise MissingBlobs(root, function, [Digest(hash.hex(), size) for hash, size in absent])
            if absent:
                db.execute("UPDATE results SET complete = 0 WHERE id = ?", (row,))
            _renew(db, row, clock)

        self._room.add(charge, work)

    def remove(self, function: DigestFunction, instance: str, digest: Digest, incomplete: bool = False) -> bool:
        """Drop a result, with `incomplete` only one stored without all its blobs; say whether there was one."""
        query = "DELETE FROM results WHERE function = ? AND hash = ? AND instance = ? AND size = ?"
        with self._index.write() as db:
            key = (function.number, bytes.fromhex(digest.hash), instance, digest.size_bytes)
            return bool(db.execute(f"{query} AND NOT complete" if incomplete else query, key).rowcount)

    def replaced(self, function: DigestFunction, instance: str, digest: Digest) -> list[tuple[int, bytes]]:
        """Messages that stood under a key before and said otherwise, the last first, with the time they were stored."""
        query = f"SELECT time, message FROM replaced WHERE {_KEY} ORDER BY id DESC"
        key = (function.number, bytes.fromhex(digest.hash), instance, digest.size_bytes)
        with self._index.read() as db:
            return [(time, bytes(message)) for time, message in db.execute(query, key)]

    def keep_other(self, function: DigestFunction, instance: str, digest: Digest, message: bytes) -> None:
        """Keep what a run gave under a key instead of what stands there, as if it had stood there before."""
        key = (function.number, bytes.fromhex(digest.hash), instance, digest.size_bytes)
        with self._index.write() as db:
            db.execute(_KEEP_REPLACED, (*key, int(time.time()), message))
            _trim_replaced(db, key)

    def replaced_keys(self) -> list[tuple[DigestFunction, str, Digest]]:
        """Function, instance and digest of each key under which something else stood before, the last first."""
        functions = {function.number: function for function in FUNCTIONS.values()}
        query = "SELECT function, instance, hash, size FROM replaced GROUP BY 1, 2, 3, 4 ORDER BY max(id) DESC"
        with self._index.read() as db:
            rows = db.execute(query).fetchall()
        return [
            (functions[number], instance, Digest(hash.hex(), size))
            for number, instance, hash, size in rows
            if number in functions
        ]

    def needing(self, function: DigestFunction, instance: str, digest: Digest, limit: int) -> list[StoredResult]:
        """The results that need a blob, those stored last first."""
        key = (bytes.fromhex(digest.hash), digest.size_bytes, function.number, instance, limit)
        with self._index.read() as db:
            rows = db.execute(_NEEDING, key).fetchall()
        return [StoredResult(function, row[0], Digest(row[1].hex(), row[2]), row[3], row[4]) for row in rows]

    def needs(self, function: DigestFunction, instance: str, digest: Digest) -> list[Digest]:
        """Every blob that goes with a result; none if there is no such result."""
        key = (function.number, bytes.fromhex(digest.hash), instance, digest.size_bytes)
        with self._index.read() as db:
            return [Digest(hash.hex(), size) for hash, size in db.execute(_NEEDS, key).fetchall()]

    def needed(self, function: DigestFunction, hash: str) -> Digest | None:
        """Digest of a blob with that hash that some result needs, whether the blob is here or not."""
        query = (
            "SELECT f.size FROM refs f JOIN results r ON r.id = f.result WHERE f.hash = ? AND r.function = ? LIMIT 1"
        )
        with self._index.read() as db:
            row = db.execute(query, (bytes.fromhex(hash), function.number)).fetchone()
        return Digest(hash, row[0]) if row else None

    def all(
        self, function: DigestFunction | None, instance: str | None, newest_first: bool = False
    ) -> Iterator[StoredResult]:
        """List results, those of one function or instance where given; what changes meanwhile may be left out."""
        functions = {f.number: f for f in FUNCTIONS.values() if function is None or f is function}
        last, sign, order = (1 << 62, "<", "DESC") if newest_first else (0, ">", "ASC")
        query = f"""SELECT id, function, instance, hash, size, used, length(message) FROM results
        WHERE id {sign} ? ORDER BY id {order} LIMIT {_PAGE}"""
        while True:
            with self._index.read() as db:
                rows = db.execute(query, (last,)).fetchall()
            for row in rows:
                if row[1] in functions and instance in (None, row[2]):
                    yield StoredResult(functions[row[1]], row[2], Digest(row[3].hex(), row[4]), row[5], row[6])
            if not rows:
                return
            last = rows[-1][0]

    def put_opaque(self, instance: str, key: str, body: bytes) -> None:
        """Store a body under a key that no digest reaches."""
        from pytrace_cas.store.room import charge_of_result

        charge = charge_of_result(len(body), 0)

        def work(db: sqlite.Connection, clock: Clock) -> None:
            _replace(db, (OPAQUE, os.fsencode(key), instance, 0), body, charge, clock)

        self._room.add(charge, work)

    def get_opaque(self, instance: str, key: str) -> bytes | None:
        """The body under a key."""
        return self._get(_BY_DIGEST, (OPAQUE, os.fsencode(key), instance, 0))

    def _get(self, query: str, key: tuple[object, ...], renew: bool = True) -> bytes | None:
        with self._index.read() as db:
            row = db.execute(query, key).fetchone()
        if row is None:
            return None
        _, message, used, turn, *store = row
        clock = Clock(*store)
        renew = renew and not self._index.read_only and clock.stale(used, turn)
        if renew and not self._renewed(query, key, clock):
            return None
        return bytes(message)

    def _renewed(self, query: str, key: tuple[object, ...], clock: Clock) -> bool:
        """Renew a result and its blobs; False if it is gone meanwhile, or not complete any more."""
        try:
            with self._index.write(PATIENCE if clock.min_lifetime else HIT_PATIENCE) as db:
                row = db.execute(query, key).fetchone()
                if row is not None:
                    _renew(db, row[0], clock_of(db))
                return row is not None
        except (StoreBusy, OutOfSpace):
            if clock.min_lifetime:
                raise  # an answer would promise that all of it stays
            return True  # the next hit will try again


def _replace(db: sqlite.Connection, key: tuple[int, bytes, str, int], message: bytes, charge: int, clock: Clock) -> int:
    """Put a row in place of one of the same key; return its id. Its refs are still to be written."""
    db.execute("DELETE FROM results WHERE function = ? AND hash = ? AND instance = ? AND size = ?", key)
    return int(db.execute(_INSERT, (*key, 1, charge, clock.now, clock.turn, message, clock.now)).lastrowid or 0)


def _keep_replaced(db: sqlite.Connection, key: tuple[int, bytes, str, int], message: bytes) -> None:
    """Keep a result that is about to be replaced by one that says otherwise; when it was made does not count."""
    row = db.execute(_OTHER, (*key, message)).fetchone()
    if row is None:
        return
    from pytrace_cas.reapi import without_times

    if without_times(bytes(row[1])) != without_times(message):
        db.execute(_KEEP_REPLACED, (*key, *row))
        _trim_replaced(db, key)


def _trim_replaced(db: sqlite.Connection, key: tuple[int, bytes, str, int]) -> None:
    """Keep of each key the last 4, of all the last 4096, and of long ones what goes into 64 MiB."""
    db.execute(_TRIM_REPLACED, key)
    if db.execute(_LAST_IS_LONG).fetchone() == (1,):
        db.execute(_TRIM_BYTES, (REPLACED_BYTES,))


def _renew(db: sqlite.Connection, id: int, clock: Clock) -> None:
    db.execute("UPDATE results SET used = ?, turn = ? WHERE id = ?", (clock.now, clock.turn, id))
    db.execute(_RENEW_BLOBS, {"now": clock.now, "turn": clock.turn, "grain": clock.grain, "id": id})
