# SPDX-License-Identifier: Apache-2.0
"""How a run went: the lines of `--explain`, the line of `--stats-log`, the store's counters."""

from __future__ import annotations

import os

from pytrace_cas.store import events

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytrace_cas.digest import Digest, DigestFunction
    from pytrace_cas.reapi import Command
    from pytrace_cas.store import Store
    from pytrace_cas.store.events import Event
    from pytrace_exec.cache.errors import RemoteTrouble
    from pytrace_exec.invocation import Invocation
    from pytrace_exec.lookup import Hit, LookUp
    from pytrace_exec.miss import Traced
    from pytrace_exec.policy.reasons import Reason
    from pytrace_exec.verifying import Difference

FAILURES = frozenset(
    (
        "cache_failed",
        "no_store",
        "not_noted",
        "remote_failed",
        "remote_refused",
        "remote_skipped",
        "store_failed",
        "store_full",
        "store_read_only",
        "wrapper_failed",
    )
)
"""Reasons that are told, in one line, to who asked with `-v` and to who sits at a terminal."""

UNWRITTEN = frozenset({"depfile_failed", "unused_inputs_failed"})
"""Reasons that are told to everybody: a build that goes on without its dependencies would be wrong."""


class Outcome:
    """What became of one invocation."""

    def __init__(self, invocation: Invocation) -> None:
        self.invocation = invocation
        self.kind = "error"
        self.source: str | None = None
        self.action: Digest | None = None
        self.weak: Digest | None = None
        self.wait_status = 0
        self.reasons: list[dict[str, object]] = []
        self.inputs = self.outputs = self.processes = 0
        self.expected: Hit | None = None
        self.command_ns = 0
        self._missed_because: list[dict[str, object]] = []
        self._function: DigestFunction | None = None
        self._command: Command | None = None

    def looked_up(self, look_up: LookUp) -> None:
        """The keys are known under which a result would be found."""
        self.weak = look_up.weak.digest
        self._function, self._command = look_up.function, look_up.command

    def hit(self, look_up: LookUp, hit: Hit) -> None:
        """A stored result was replayed."""
        self.kind, self.source, self.action = "hit", hit.source, hit.action
        self.wait_status = hit.effects.exit_code << 8
        self.outputs = len(hit.effects.entries)
        self.inputs = next(
            (len(subjects.subjects) for digest, subjects, _ in look_up.tried if digest == hit.path_set), 0
        )

    def not_replayed(self, hit: Hit, why: str, path: bytes | None) -> None:
        """A stored result would have served but could not be put in place."""
        message = f"a stored result was not replayed: {why}"
        where = None if path is None else os.fsdecode(path)
        self.reasons.append({"code": "not_replayed", "message": message, "path": where, "old": str(hit.action)})

    def about_to_run(self, look_up: LookUp) -> None:
        """Find out why the look-up missed while what it saw is still there; no failure of it stops the command."""
        options = self.invocation.options
        if not (options.explain or options.stats_log) or self.expected is not None or self.reasons:
            return
        try:
            from pytrace_exec.explain import why_missed

            self._missed_because = why_missed(look_up)
        except Exception as error:
            self._missed_because = [{"code": "unknown", "message": f"the miss is unexplained: {error!r}", "path": None}]

    def missed(self, look_up: LookUp, traced: Traced, action: Digest | None, reasons: list[Reason]) -> None:
        """The command was run under the tracer."""
        self.ran(action, reasons)
        self.inputs, self.outputs = len(traced.seen.values), len(traced.seen.outputs)
        self.processes = len(traced.seen.run.processes.programs)

    def ran(self, action: Digest | None, reasons: list[Reason]) -> None:
        """The command was run; `action`: where its result is stored, or None and the reasons why it is not."""
        self.kind = "miss" if action is not None else "not_stored"
        self.action = action
        self.reasons[:0] = [reason.described() for reason in reasons]
        if action is not None or self.invocation.options.mode == "readonly":
            self.reasons += self._missed_because

    def verified(self, found: list[Difference]) -> None:
        """The run was held against the stored result that would have answered it."""
        if not found:
            self.reasons.append({"code": "verified", "message": "the stored result is the same", "path": None})
        for one in found:
            path = None if one.path is None else os.fsdecode(one.path)
            said = {"code": "verify_differs", "message": one.message, "path": path}
            self.reasons.append({**said, "old": one.old, "new": one.new})

    def bypassed(self, code: str, why: str) -> None:
        """The command is run without a cache."""
        self.kind = "bypass"
        self.reasons.insert(0, {"code": code, "message": why, "path": None})

    def note(self, code: str, message: str) -> None:
        """Say something that is no reason for how it went."""
        self.reasons.append({"code": code, "message": message, "path": None})

    def failed(self, error: Exception) -> None:
        """The wrapper failed after the command had run; nothing was stored."""
        import traceback

        self.kind = "error"
        place = traceback.extract_tb(error.__traceback__)[-1]
        message = f"the wrapper failed: {error!r} at {place.name}, line {place.lineno}"
        self.reasons.insert(0, {"code": "wrapper_failed", "message": message, "path": None})

    def remote(self, troubles: Iterable[RemoteTrouble]) -> None:
        """Note what went wrong with the remote."""
        self.reasons += [{"code": trouble.code, "message": str(trouble), "path": None} for trouble in troubles]

    def tell(self, status: int, elapsed_ns: int, store: Store | None) -> None:
        """Write what was asked for; nothing of it can fail the run."""
        self.wait_status = status
        options = self.invocation.options
        asked = options.explain or options.verbose or os.isatty(2)
        if options.explain:
            say(f"pytrace: {line}\n" for line in self.lines())
        else:
            told = FAILURES if asked else frozenset()
            lines = [f"pytrace: {reason['message']}\n" for reason in self.reasons if reason["code"] in told][:1]
            say([*lines, *(f"pytrace: {r['message']}\n" for r in self.reasons if r["code"] in UNWRITTEN)])
        try:
            self._log(elapsed_ns)
        except OSError as error:
            say([f"pytrace: a log is not written: {error}\n"] if asked else ())
        if store is not None:
            codes = {str(reason["code"]) for reason in self.reasons}
            store.record([f"runs_{self.kind}", *(f"reason_{code}" for code in codes)], self._events())

    def _events(self) -> list[Event]:
        """What the store keeps of the run: the result that answered, or why none did."""
        if self._function is None:
            return []
        if self.kind == "hit":
            return (
                [events.hit(self._function, self.invocation.options.instance_name, self.action)] if self.action else []
            )
        from pytrace_exec.run_history import run_event

        return [run_event(self, self._function, self._command)]

    def _log(self, elapsed_ns: int) -> None:
        options = self.invocation.options
        if options.stats_log is not None:
            from pytrace_exec.statistics_log import append_run

            append_run(options.stats_log, self, elapsed_ns)
        if options.log is not None:
            from pytrace_exec.run_log import append_run as append_lines

            append_lines(options.log, options.log_level, self)

    def lines(self) -> list[str]:
        """How it went, in the first line, and each further reason in one of its own."""
        messages = [str(reason["message"]) for reason in self.reasons]
        if self.kind in ("hit", "miss"):
            return [f"{self.kind} {self.action}", *messages]
        why = messages[0] if messages else "unknown"
        return [f"{'bypass' if self.kind == 'bypass' else 'not stored'}: {why}", *messages[1:]]


def say(lines: Iterable[str]) -> None:
    """Write lines to standard error in one piece, if anybody reads it."""
    data = "".join(lines).encode("utf-8", "surrogateescape")
    try:
        while data:
            data = data[os.write(2, data) :]
    except OSError:
        return
