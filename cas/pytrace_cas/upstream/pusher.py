# SPDX-License-Identifier: Apache-2.0
"""Writing back: one thread, in one process of those that share a store, empties the queue towards the tier."""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from pytrace_cas.services.errors import InvalidRequest
from pytrace_cas.services.result_needs import needs_of
from pytrace_cas.store import BlobNotFound, StoreError
from pytrace_cas.upstream.guarded import NotServed
from pytrace_cas.upstream.tier import CHUNK, TierFailed, TierRefused, TierSkipped
from pytrace_proto import remote_execution_pb2 as reapi

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytrace_cas.digest import Digest, DigestFunction
    from pytrace_cas.store import Store
    from pytrace_cas.upstream.guarded import Guarded
    from pytrace_cas.upstream.metrics import TierMetrics
    from pytrace_cas.upstream.write_queue import Entry, WriteQueue

log = logging.getLogger(__name__)

_BATCH = 256  # entries looked at by one round
_AT_ONCE = 4  # blobs and results that are on their way at a time
_IDLE_SECONDS = 1.0  # between two looks for what other processes have queued, and for their death
_COMING_SECONDS = 60.0  # an entry so young may still get its blob
_MOST_REFUSALS = 10
_STOP_SECONDS = 5.0


class Pusher:
    """The thread and what it does; `start` it, `wake` it when something was queued, `stop` it."""

    def __init__(self, store: Store, queue: WriteQueue, tier: Guarded, metrics: TierMetrics) -> None:
        self._store = store
        self._queue = queue
        self._tier = tier
        self._metrics = metrics
        self._stopping = False
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upstream-pusher", daemon=True)

    def start(self) -> None:
        """Begin to push, once no other process does."""
        self._thread.start()

    def wake(self) -> None:
        """Look at the queue at once."""
        self._woken.set()

    def stop(self) -> None:
        """End after what is on its way; the queue keeps the rest."""
        self._stopping = True
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        lock = os.open(self._store.path + b"/upstream.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            while not self._stopping and not _locked(lock):
                self._rest()
            with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="upstream-push") as pool:
                while not self._stopping:
                    self._woken.clear()
                    if not self._round(pool):
                        self._rest()
        finally:
            os.close(lock)

    def _rest(self) -> None:
        if not self._stopping:
            self._woken.wait(_IDLE_SECONDS)

    def _round(self, pool: ThreadPoolExecutor) -> bool:
        """Push what is due; say whether to go on at once."""
        try:
            entries = self._queue.due(_BATCH)
            if not entries:
                return False
            blobs = [entry for entry in entries if entry.instance is None]
            moved = self._push_blobs(pool, blobs)
            results = [entry for entry in entries if entry.instance is not None]
            return moved & all([*pool.map(self._push_one, results)])
        except TierSkipped:
            return False
        except (TierFailed, TierRefused, StoreError, sqlite3.Error) as error:
            log.warning("writing upstream: %s", error)
            return False
        except Exception:
            # The thread goes on whatever happens: nobody would start it again.
            log.exception("writing upstream failed")
            return False

    def _push_blobs(self, pool: ThreadPoolExecutor, entries: Sequence[Entry]) -> bool:
        """Push the blobs that are not there yet; one question for all of a function."""
        moved = True
        for function in dict.fromkeys(entry.function for entry in entries):
            mine = [entry for entry in entries if entry.function is function]
            try:
                wanted = self._wanted(function, [entry.digest for entry in mine])
            except NotServed:
                self._give_up(mine, "unserved")
                continue
            self._queue.done(entry for entry in mine if entry.digest not in wanted)
            moved &= all([*pool.map(self._push_one, [entry for entry in mine if entry.digest in wanted])])
        return moved

    def _wanted(self, function: DigestFunction, digests: Sequence[Digest]) -> set[Digest]:
        """Those that the tier does not have, or is not believed to have."""
        doubted = self._queue.doubted(function, digests)
        return doubted | set(self._tier.missing(function, [one for one in digests if one not in doubted]))

    def _push_one(self, entry: Entry) -> bool:
        """Push a blob or a result, and keep account of it; say whether the tier took part."""
        if self._stopping:
            return False
        try:
            if entry.instance is None:
                self._push_blob(entry.function, entry.digest)
            elif not self._push_result(entry.function, entry.instance, entry.digest):
                self._wait_or_give_up(entry)
                return True
            self._queue.done((entry,))
        except TierSkipped:
            return False
        except BlobNotFound:
            self._wait_or_give_up(entry)
        except NotServed:
            self._give_up((entry,), "unserved")
        except (TierRefused, InvalidRequest, DecodeError) as error:
            if entry.tries < _MOST_REFUSALS:
                self._queue.later(entry)
            else:
                log.warning("given up to write upstream: %s", error)
                self._give_up((entry,), "refused")
        except (TierFailed, StoreError) as error:
            log.warning("writing upstream: %s", error)
            self._queue.later(entry)
        except sqlite3.Error:
            raise
        except Exception:
            log.exception("one entry cannot be written upstream")
            self._queue.later(entry)
        return True

    def _push_blob(self, function: DigestFunction, digest: Digest) -> None:
        # Opened first: a blob that is not here is no news, and gRPC logs whatever iterating over requests raises.
        with self._store.open_blob(function, digest, verify=True) as blob:
            self._tier.write(function, digest, iter(lambda: blob.read(CHUNK), b""))
        self._queue.trust(function, digest)

    def _push_result(self, function: DigestFunction, instance: str, digest: Digest) -> bool:
        """Push the blobs that a result needs, then the result; False if it is not complete here."""
        message = self._store.get_action_result(function, instance, digest)
        if message is None:
            return False
        result = reapi.ActionResult.FromString(message)
        with needs_of(self._store, result, function) as needs:
            wanted = self._wanted(function, [need for need in needs if need.size_bytes])
        for need in wanted:
            self._push_blob(function, need)
        self._tier.put_result(function, instance, digest, message)
        return True

    def _wait_or_give_up(self, entry: Entry) -> None:
        """Deal with what is not here: it comes in a moment, or never came, or was evicted."""
        if self._queue.age(entry) < _COMING_SECONDS:
            self._queue.later(entry)
        else:
            self._give_up((entry,), "gone")

    def _give_up(self, entries: Sequence[Entry], reason: str) -> None:
        self._queue.done(entries)
        self._metrics.dropped(reason, len(entries))


def _locked(fd: int) -> bool:
    """Whether this process is the one that pushes; the kernel lets go of the lock when it dies."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
