# SPDX-License-Identifier: Apache-2.0
"""One run of the wrapper from the store's opening to the line in the statistics."""

from __future__ import annotations

import os
import sqlite3
import sys
import time

from pytrace_cas.digest import SHA256, function_named
from pytrace_cas.store import Store, StoreError, StoreNotWritable
from pytrace_exec.cache.errors import CacheFailed
from pytrace_exec.cache.local import LocalCache
from pytrace_exec.lookup import LookUp
from pytrace_exec.observe.digest_cache import DigestCache
from pytrace_exec.outcome import Outcome

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_cas.digest import DigestFunction
    from pytrace_exec.invocation import Invocation
    from pytrace_exec.observe.snapshot import Snapshot
    from pytrace_exec.tracer.strace import Trace


class Session:
    """Looks one invocation up, replays or runs it, and tells how it went.

    Whatever goes wrong with the cache, the command runs: at most once, and with its own exit status.
    """

    def __init__(self, invocation: Invocation, started_ns: int) -> None:
        self.invocation = invocation
        self.options = invocation.options
        self.outcome = Outcome(invocation)
        self._started_ns = started_ns
        self._store: Store | None = None
        self._digests: DigestCache | None = None

    def run(self) -> int:
        """Answer the command; return its wait status."""
        try:
            status = self._answer()
        finally:
            self._close()
        self.outcome.tell(status, time.monotonic_ns() - self._started_ns, self._store_for_counters())
        return status

    def _answer(self) -> int:
        if self.options.mode == "off":
            return self._bypass("the mode is off")
        try:
            cache = self._open()
            look_up = LookUp(self.invocation, cache, self._digests)
            self.outcome.weak = look_up.weak.digest
            if self.options.mode != "recache" and self._replayed(look_up):
                return self.outcome.wait_status
        except (StoreError, CacheFailed, OSError, sqlite3.Error) as error:
            return self._bypass(f"the cache failed: {error}")
        return self._miss(look_up)

    def _open(self) -> LocalCache:
        from pytrace_exec.wrapper import store_folder

        folder = store_folder(self.options)
        if folder is None:
            raise CacheFailed("no store: HOME is not set; --dir names one")
        try:
            store = Store.open(folder, max_size=self.options.max_size)
        except StoreNotWritable:
            store = Store.open(folder, read_only=True)
        self._store = store
        function = function_named(self.options.digest_function) if self.options.digest_function else self._function()
        if not store.read_only:
            path = os.path.join(store.path, b"digests.sqlite")
            self._digests = DigestCache(path, function, self.options.trust_stat)
        return LocalCache(store, function, self.options.instance_name)

    def _function(self) -> DigestFunction:
        from pytrace_cas.digest import BLAKE3

        return SHA256 if self.options.remote else BLAKE3

    def _replayed(self, look_up: LookUp) -> bool:
        """Whether a stored result was put in place of running the command."""
        for hit in look_up.hits():
            from pytrace_exec.hit import NotReplayed, replay

            if self.options.verify:
                self.outcome.expected = hit
                return False
            try:
                replay(look_up, hit, self._digests)
            except NotReplayed as error:
                self.outcome.not_replayed(hit, str(error), error.path)
                continue
            self.outcome.hit(look_up, hit)
            return True
        return False

    def _miss(self, look_up: LookUp) -> int:
        from pytrace_exec.miss import known_before, run_command
        from pytrace_exec.tracer.strace_command import TracerUnavailable

        known = known_before(look_up)
        begun = time.monotonic_ns()
        try:
            snapshot, trace = run_command(self.invocation)
        except TracerUnavailable as error:
            return self._bypass(str(error))
        self.outcome.command_ns = time.monotonic_ns() - begun
        try:
            self._store_run(look_up, snapshot, trace, known)
        except Exception as error:  # the command has run: whatever is wrong with us, its status is passed on
            self.outcome.failed(error)
        return trace.status

    def _store_run(
        self, look_up: LookUp, snapshot: Snapshot, trace: Trace, known: dict[bytes, tuple[os.stat_result, str]]
    ) -> None:
        from pytrace_exec.miss import observe, store_result

        traced = observe(self.invocation, look_up.function, snapshot, trace, known, self._digests)
        moved = self.invocation.streams.moved_by() if traced.seen.run.stdin_read else None
        action, reasons = store_result(look_up, traced, moved)
        self.outcome.missed(look_up, traced, action, reasons)

    def _bypass(self, why: str) -> int:
        """Run the command without a cache."""
        from pytrace_exec.tracer.plain import run_plain

        invocation = self.invocation
        self.outcome.bypassed(why)
        try:
            return run_plain(invocation.argv, invocation.executable, invocation.environ)
        except OSError as error:
            sys.stderr.write(f"pytrace-exec: {os.fsdecode(invocation.argv[0])}: {error.strerror}\n")
            return 126 << 8

    def _close(self) -> None:
        if self._digests is not None:
            self._digests.close()

    def _store_for_counters(self) -> Store | None:
        return self._store if self._store is not None and not self._store.read_only else None
