# SPDX-License-Identifier: Apache-2.0
"""One run of the wrapper from the store's opening to the line in the statistics."""

from __future__ import annotations

import os
import time

from pytrace_exec.cache.opening import open_cache
from pytrace_exec.lookup import LookUp
from pytrace_exec.observe.digest_cache import DigestCache
from pytrace_exec.outcome import Outcome, say
from pytrace_exec.store_opening import NoPlaceForStore, StoreRefused, open_store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytrace_cas.recorded.subjects import Subject
    from pytrace_cas.store import Store
    from pytrace_exec.cache.local import LocalCache
    from pytrace_exec.invocation import Invocation
    from pytrace_exec.lookup import Hit
    from pytrace_exec.miss import Traced
    from pytrace_exec.observe.snapshot import Snapshot
    from pytrace_exec.policy.reasons import Reason
    from pytrace_exec.tracer.running import Trace


class NotAsAsked(Exception):
    """The command cannot run as the user asked for, and has not run; the message says what to do."""


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
        self._cache: LocalCache | None = None
        self._digests: DigestCache | None = None

    def run(self) -> int:
        """Answer the command; return its wait status. Raises `StoreRefused` and `NotAsAsked` before it has run."""
        status = self._answer()
        try:
            self._close()
            self.outcome.remote(self._cache.troubles if self._cache is not None else ())
            self.outcome.tell(status, time.monotonic_ns() - self._started_ns, self._store_for_counters())
        except Exception as error:  # what is left is our own bookkeeping
            if self.options.verbose or self.options.explain:
                say([f"pytrace: the wrapper failed: {error!r}\n"])
        return status

    def _answer(self) -> int:
        """Look up; run the command when that does not answer it, or fails in whatever way."""
        if self.options.mode == "off":
            return self._bypass("mode_off", "the mode is off")
        try:
            cache = self._open()
            if self.options.stdin:
                self.invocation.streams.read_stdin()
            look_up = LookUp(self.invocation, cache, self._digests)
            self.outcome.looked_up(look_up)
            status = None if self.options.mode == "recache" else self._replayed(look_up)
        except StoreRefused:
            raise
        except NoPlaceForStore:
            self.outcome.note("no_store", "HOME is not set; --dir names a store")
            return self._bypass("no_store", "no store")
        except Exception as error:
            return self._bypass("cache_failed", f"the cache failed: {_told(error)}{self._hint(error)}")
        return self._miss(look_up) if status is None else status

    def _hint(self, error: Exception) -> str:
        """What a step of Bazel's has to be told besides: its sandbox shuts the store out."""
        from pytrace_cas.store import StoreNotWritable

        shut_out = self.options.inputs_file is not None and isinstance(error, StoreNotWritable)
        return "; in Bazel's sandbox, --sandbox_writable_path=STORE allows it" if shut_out else ""

    def _open(self) -> LocalCache:
        store = self._store = open_store(self.options, os.environb)
        cache = self._cache = open_cache(store, self.options)
        if not store.read_only:
            path = os.path.join(store.path, b"digests.sqlite")
            self._digests = DigestCache(path, cache.function, self.options.trust_stat)
        return cache

    def _replayed(self, look_up: LookUp) -> int | None:
        """Put a stored result in place of running the command; return its wait status, None if none serves."""
        for hit in look_up.hits():
            from pytrace_exec.hit import NotReplayed, OutputCut, replay

            if self.options.verify:
                self.outcome.expected = hit
                return None
            try:
                replay(look_up, hit, self._digests)
            except NotReplayed as error:
                self.outcome.not_replayed(hit, str(error), error.path)
                continue
            except OutputCut as error:
                self.outcome.hit(look_up, hit)
                self.outcome.note("output_cut", str(error))
                if not os.WIFSIGNALED(error.status):
                    say([f"pytrace-exec: {error}\n"])
                return error.status
            self.outcome.hit(look_up, hit)
            self._after_hit(look_up, hit)
            return hit.effects.exit_code << 8
        return None

    def _after_hit(self, look_up: LookUp, hit: Hit) -> None:
        """Do what a hit leaves to do; the command has been answered, so that no failure of it counts."""
        try:
            if hit.source != look_up.cache.source and look_up.cache.writable:
                from pytrace_exec.recording import keep_nearer

                keep_nearer(look_up, hit)
            if self.options.depfile is not None:
                self._write_depfile(*_of_hit(look_up, hit))
            if self.options.inputs_file is not None:
                self._tell_bazel(look_up, {subject: look_up.value(subject) for subject in look_up.subjects_of(hit)})
        except Exception as error:
            self.outcome.note("wrapper_failed", f"the wrapper failed: {_told(error)}")

    def _miss(self, look_up: LookUp) -> int:
        """Run the command under the tracer; without it when nothing of what it would see is wanted."""
        from pytrace_exec.time_limit import TimeLimit
        from pytrace_exec.tracer.namespace import NamespaceUnavailable
        from pytrace_exec.tracer.possible import TracerUnavailable

        options, streams = self.options, self.invocation.streams
        if options.mode == "readonly" and not (options.verify or options.depfile):
            return self._run_unseen(look_up)
        limit = TimeLimit(options.timeout)
        try:
            from pytrace_exec.miss import known_before, run_command

            known = known_before(look_up)
            self.outcome.about_to_run(look_up)
            self._hang_up()
            begun = time.monotonic_ns()
            with limit:
                snapshot, trace = run_command(self.invocation)
        except NamespaceUnavailable as error:
            raise NotAsAsked(str(error)) from None
        except TracerUnavailable as error:
            return self._bypass("no_tracer", str(error))
        except Exception as error:
            if streams.begun:
                return self._given_up(error)
            return self._bypass("wrapper_failed", f"the wrapper failed: {_told(error)}")
        self.outcome.command_ns = time.monotonic_ns() - begun
        try:
            self._store_run(look_up, snapshot, trace, known, limit.reached)
        except Exception as error:  # the command has run: whatever is wrong with us, its status is passed on
            self.outcome.failed(error)
            if self.options.inputs_file is not None:
                self._note_unseen()
        return trace.status

    def _store_run(
        self,
        look_up: LookUp,
        snapshot: Snapshot,
        trace: Trace,
        known: dict[bytes, tuple[os.stat_result, str]],
        timed_out: bool,
    ) -> None:
        from pytrace_exec.miss import observe, store_result
        from pytrace_exec.policy.reasons import Reason

        traced = observe(self.invocation, look_up.function, snapshot, trace, known, self._digests)
        if timed_out:
            traced.seen.reasons.insert(0, Reason("timeout"))
        moved = self.invocation.streams.moved_by() if traced.seen.run.stdin_read else None
        action, reasons = store_result(look_up, traced, moved)
        self._note_why(look_up, reasons)
        self.outcome.missed(look_up, traced, action, reasons)
        if self.outcome.expected is not None:
            from pytrace_exec.verifying import differences

            self.outcome.verified(differences(look_up, self.outcome.expected, traced))
        self._write_depfile(*_of_run(traced))
        if self.options.inputs_file is not None and not trace.status:  # Bazel runs what failed again
            self._tell_bazel(look_up, traced.seen.values, action is not None)

    def _note_why(self, look_up: LookUp, reasons: list[Reason]) -> None:
        """Note in the store why the result was not stored, for who asks later; none: forget what was noted."""
        from pytrace_exec.explain.not_stored import note

        store = look_up.cache.store
        if not store.read_only and self.options.mode != "readonly":
            note(store, look_up.weak.digest, [reason.described() for reason in reasons])

    def _run_unseen(self, look_up: LookUp) -> int:
        """Run the command without a tracer, since nothing is stored anyway."""
        from pytrace_exec.policy.reasons import Reason

        self.outcome.about_to_run(look_up)
        self.outcome.ran(None, [Reason("readonly")])
        return self._run_plain()

    def _bypass(self, code: str, why: str) -> int:
        """Run the command without a cache."""
        self.outcome.bypassed(code, why)
        return self._run_plain()

    def _run_plain(self) -> int:
        from pytrace_exec.time_limit import TimeLimit
        from pytrace_exec.tracer.namespace import NamespaceUnavailable, is_inside
        from pytrace_exec.tracer.plain import run_plain

        invocation = self.invocation
        self._hang_up()
        if self.options.inputs_file is not None:
            self._note_unseen()
        # A pipe that was read ahead can only be handed on by us.
        streams = invocation.streams if invocation.streams.read_ahead is not None else None
        apart = self.options.pid_namespace and not is_inside()
        begun = time.monotonic_ns()
        try:
            with TimeLimit(self.options.timeout):
                return run_plain(invocation.argv, invocation.executable, invocation.environ, streams, apart)
        except NamespaceUnavailable as error:
            raise NotAsAsked(str(error)) from None
        except OSError as error:
            say([f"pytrace-exec: {os.fsdecode(invocation.argv[0])}: {error.strerror}\n"])
            return 126 << 8
        finally:
            self.outcome.command_ns = time.monotonic_ns() - begun

    def _given_up(self, error: Exception) -> int:
        """Wait for a command whose watching failed."""
        self.outcome.failed(error)
        try:
            return os.waitpid(self.invocation.streams.begun, 0)[1]
        except ChildProcessError:
            say([f"pytrace-exec: the command ran, but its exit status was lost: {error!r}\n"])
            return 125 << 8

    def _write_depfile(self, outputs: list[bytes], inputs: dict[Subject, bytes]) -> None:
        """Write the rule that was asked for; a file that cannot be written never fails the run."""
        invocation = self.invocation
        if self.options.depfile is None:
            return
        from pytrace_exec import depfile

        try:
            read = depfile.inputs_of(inputs, invocation.places.root)
            depfile.write(self.options.depfile, outputs, read, invocation.cwd)
        except OSError as error:
            self.outcome.note("depfile_failed", f"--depfile is not written: {error}")

    def _note_unseen(self) -> None:
        """Let Bazel ask an action of which nothing is seen at every build."""
        from pytrace_exec.bazel import report
        from pytrace_exec.store_opening import store_folder

        store = store_folder(self.options, os.environb)
        try:
            if store is not None and os.path.isdir(store):
                report.note_unseen(self.invocation, store)
        except report.NotNoted as error:
            self.outcome.note("not_noted", str(error))

    def _tell_bazel(self, look_up: LookUp, values: Mapping[Subject, bytes], whole: bool = True) -> None:
        """Write what Bazel is to know of declared inputs, and note what was read beside them."""
        from pytrace_exec.bazel import report

        store = self._store
        folder = store.path if store is not None and not store.read_only else None
        try:
            report.tell(look_up, values, whole, folder)
        except report.NotNoted as error:
            self.outcome.note("not_noted", str(error))
        except OSError as error:
            self.outcome.note("unused_inputs_failed", f"--unused-inputs-list is not written: {error}")

    def _hang_up(self) -> None:
        """Close what a command that is started now would find in this process: connections and their threads."""
        if self._cache is not None:
            self._cache.hang_up()

    def _close(self) -> None:
        self._hang_up()
        if self._digests is not None:
            self._digests.save()

    def _store_for_counters(self) -> Store | None:
        return self._store if self._store is not None and not self._store.read_only else None


def _told(error: Exception) -> str:
    """An error in words: its message where it is one of those that say what to do, else its type as well."""
    from pytrace_cas.store import StoreError
    from pytrace_exec.cache.errors import CacheFailed

    return str(error) if isinstance(error, StoreError | CacheFailed) else repr(error)


def _of_hit(look_up: LookUp, hit: Hit) -> tuple[list[bytes], dict[Subject, bytes]]:
    """The files that a stored result makes, and the values of what it read."""
    from pytrace_cas.recorded.names import path_of

    made = [path_of(look_up.invocation.places, file.path) for file in hit.effects.files()]
    return made, {subject: look_up.value(subject) for subject in look_up.subjects_of(hit)}


def _of_run(traced: Traced) -> tuple[list[bytes], dict[Subject, bytes]]:
    """The same of a run that was traced."""
    return [output.path for output in traced.seen.outputs if output.kind == "file"], traced.seen.values
