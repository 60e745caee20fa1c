# SPDX-License-Identifier: Apache-2.0
"""One action of a store as listings tell of it, and its shape in JSON."""

from __future__ import annotations

from typing import Any

import attrs

from pytrace_cas.digest import Digest, DigestFunction

TRACED, OTHER, LIST = "traced", "other", "list"
"""Kinds of results: the wrapper's, another client's, and the wrapper's lists of path sets."""


@attrs.frozen
class ActionRow:
    """A stored result. Times are seconds of Unix time, sizes bytes; what is not known is empty, 0 or None.

    `id`: of the store's row. `command`: quoted for a shell, places as `%R`. `size`: of all outputs. `inputs`: facts of
    a traced result, files of another's input tree where that is here. `root`: where the result belongs to; empty if
    any. `target`, `mnemonic`, `tool`, `invocation`: of the request that stored it or asked for it, else of its labels.
    """

    id: int
    instance: str
    function: DigestFunction
    digest: Digest
    kind: str
    program: str
    command: str
    cwd: str
    exit_code: int
    stored: int
    used: int
    hits: int
    last_hit: int
    size: int
    inputs: int
    outputs: int
    root: str
    labels: dict[str, str]
    target: str
    mnemonic: str
    tool: str
    invocation: str

    @property
    def outcome(self) -> str:
        """`ok` or `failed`, by the exit code."""
        return "failed" if self.exit_code else "ok"


def described_row(row: ActionRow) -> dict[str, Any]:
    """The row in JSON, as `pytrace ls --json` and `/api/v1/actions` tell it; unknown times and texts are null."""
    return {
        "action": str(row.digest),
        "digest_function": row.function.name,
        "instance": row.instance,
        "kind": row.kind,
        "command": row.command or None,
        "program": row.program or None,
        "cwd": row.cwd or None,
        "exit_code": row.exit_code,
        "outcome": row.outcome,
        "stored": row.stored or None,
        "used": row.used,
        "hits": row.hits,
        "last_hit": row.last_hit or None,
        "size": row.size,
        "inputs": row.inputs,
        "outputs": row.outputs,
        "root": row.root or None,
        "labels": row.labels,
        "target": row.target or None,
        "mnemonic": row.mnemonic or None,
        "tool": row.tool or None,
        "invocation": row.invocation or None,
    }
