# SPDX-License-Identifier: Apache-2.0
"""`--stats-log`: one JSON object a run, appended so that lines stay whole whoever else writes."""

from __future__ import annotations

import json
import os
import time

from pytrace_cas.json_fields import list_fields, reason_fields, text_fields
from pytrace_exec.run_log import append

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_exec.outcome import Outcome


def append_run(path: bytes, outcome: Outcome, elapsed_ns: int) -> None:
    """Append the line of a run."""
    append(path, json.dumps(describe(outcome, elapsed_ns), ensure_ascii=True).encode() + b"\n")


def describe(outcome: Outcome, elapsed_ns: int) -> dict[str, object]:
    """The object that stands for a run, as CLI.md states it; paths of reasons are relative under the root."""
    invocation = outcome.invocation
    wall_ms = elapsed_ns / 1e6
    return {
        "schema": 1,
        "time": time.time(),
        "outcome": outcome.kind,
        "action": str(outcome.action) if outcome.action else None,
        "weak": str(outcome.weak) if outcome.weak else None,
        "source": outcome.source,
        "reasons": [reason_fields(reason, invocation.places.root) for reason in outcome.reasons],
        **list_fields("command", invocation.argv),
        **text_fields("cwd", invocation.cwd),
        **text_fields("root", invocation.places.root),
        "exit_code": os.waitstatus_to_exitcode(outcome.wait_status),
        "wall_ms": round(wall_ms, 3),
        "overhead_ms": round(wall_ms - outcome.command_ns / 1e6, 3),
        "inputs": outcome.inputs,
        "outputs": outcome.outputs,
        "processes": outcome.processes,
        "units": {"run": 0 if outcome.kind == "hit" else 1, "skipped": 1 if outcome.kind == "hit" else 0},
        "labels": dict(invocation.options.label),
    }
