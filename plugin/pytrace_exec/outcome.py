# SPDX-License-Identifier: Apache-2.0
"""How a run went: the lines of `--explain`, the line of `--stats-log`, the store's counters."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_cas.digest import Digest
    from pytrace_cas.store import Store
    from pytrace_exec.invocation import Invocation
    from pytrace_exec.lookup import Hit, LookUp
    from pytrace_exec.miss import Traced
    from pytrace_exec.policy.reasons import Reason

NS_PER_MS = 1_000_000


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

    def hit(self, look_up: LookUp, hit: Hit) -> None:
        """A stored result was replayed."""
        self.kind, self.source, self.action = "hit", look_up.cache.source, hit.action
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

    def missed(self, look_up: LookUp, traced: Traced, action: Digest | None, reasons: list[Reason]) -> None:
        """The command was run under the tracer."""
        self.kind = "miss" if action is not None else "not_stored"
        self.action = action
        self.inputs, self.outputs = len(traced.seen.values), len(traced.seen.outputs)
        self.processes = len(traced.seen.run.processes.programs)
        for reason in reasons:
            path = None if reason.path is None else os.fsdecode(reason.path)
            self.reasons.append({"code": reason.code, "message": reason.message, "path": path})
        if action is not None:
            self._explain_miss(look_up)

    def _explain_miss(self, look_up: LookUp) -> None:
        if not (self.invocation.options.explain or self.invocation.options.stats_log):
            return
        from pytrace_exec.explain import why_missed

        self.reasons += why_missed(look_up)

    def bypassed(self, why: str) -> None:
        """The command is run without a cache."""
        self.kind = "bypass"
        self.reasons.append({"code": "bypass", "message": why, "path": None})

    def failed(self, error: Exception) -> None:
        """The wrapper failed after the command had run; nothing was stored."""
        import traceback

        self.kind = "error"
        place = traceback.extract_tb(error.__traceback__)[-1]
        message = f"the wrapper failed, nothing is stored: {error!r} at {place.name}, line {place.lineno}"
        self.reasons.append({"code": "wrapper_failed", "message": message, "path": None})

    def tell(self, status: int, elapsed_ns: int, store: Store | None) -> None:
        """Write what was asked for; nothing of it can fail the run."""
        self.wait_status = status
        options = self.invocation.options
        if options.explain:
            self._explain()
        if options.stats_log is not None:
            from pytrace_exec.statistics_log import append_line

            append_line(options.stats_log, self, elapsed_ns)
        if store is not None:
            store.count(f"runs_{self.kind}")

    def _explain(self) -> None:
        lines = [f"{self.kind.replace('_', ' ')}{f' {self.action}' if self.action else ''}"]
        messages = [str(reason["message"]) for reason in self.reasons]
        if self.kind in ("not_stored", "bypass"):
            lines = [f"{'not stored' if self.kind == 'not_stored' else 'bypass'}: {messages[0] if messages else ''}"]
            messages = messages[1:]
        text = "".join(f"pytrace: {line}\n" for line in [*lines, *messages])
        sys.stderr.write(text)
        sys.stderr.flush()
