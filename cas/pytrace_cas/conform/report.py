# SPDX-License-Identifier: Apache-2.0
"""Findings as JSON, as lines, and as a table for people."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from pytrace_cas.conform.registry import Status

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytrace_cas.conform.registry import Finding

SHOWN = {Status.PASS: "pass", Status.FAIL: "FAIL", Status.NOT_OFFERED: "not offered"}
COLOURS = {Status.PASS: "green", Status.FAIL: "bold red", Status.NOT_OFFERED: "yellow"}


def as_json(endpoint: str, findings: Iterable[Finding]) -> dict[str, Any]:
    """The object that scripts read."""
    return {
        "schema": 1,
        "endpoint": endpoint,
        "rules": [
            {"rule": finding.rule.id, "status": finding.status.value, "message": finding.message}
            for finding in findings
        ],
    }


def as_line(finding: Finding) -> str:
    """One finding in plain text."""
    return f"{finding.rule.id:>3}  {SHOWN[finding.status]:<11}  {finding.rule.title}: {finding.message}"


def summary(findings: Iterable[Finding]) -> str:
    """How many there are of each."""
    counts = Counter(finding.status for finding in findings)
    return ", ".join(f"{counts[status]} {SHOWN[status].lower()}" for status in Status)


def print_table(findings: Iterable[Finding]) -> None:
    """Print a table as wide as the terminal."""
    # Imported here: scripts that read JSON need none of it.
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("rule", "", "what it asks", "what was seen", box=None, pad_edge=False)
    for finding in findings:
        status = f"[{COLOURS[finding.status]}]{SHOWN[finding.status]}[/]"
        table.add_row(finding.rule.id, status, finding.rule.title, escape(finding.message))
    Console().print(table)
