# SPDX-License-Identifier: Apache-2.0
"""Findings as SARIF 2.1.0, which code-scanning services read."""

from __future__ import annotations

from typing import Any

from pytrace_cas import __version__
from pytrace_exec.bazel.audit import KINDS

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
LEVELS = {"unused_input": "note", "clock": "warning", "not_reproducible": "warning"}


def document(findings: list[dict[str, Any]]) -> dict[str, Any]:
    """The log of one run; each finding has `target`, `mnemonic`, `kind`, `subject` and `message`."""
    rules = [{"id": kind, "shortDescription": {"text": text}} for kind, text in KINDS.items()]
    driver = {"name": "pytrace", "version": __version__, "rules": rules}
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": [_result(one) for one in findings]}],
    }


def _result(finding: dict[str, Any]) -> dict[str, Any]:
    package = str(finding["target"]).partition("//")[2].partition(":")[0]
    location = {
        "physicalLocation": {"artifactLocation": {"uri": f"{package}/BUILD" if package else "BUILD"}},
        "logicalLocations": [{"fullyQualifiedName": finding["target"], "kind": "target"}],
    }
    return {
        "ruleId": finding["kind"],
        "level": LEVELS.get(str(finding["kind"]), "error"),
        "message": {"text": f"{finding['target']} ({finding['mnemonic']}): {finding['message']}"},
        "locations": [location],
        "partialFingerprints": {"subject": f"{finding['target']} {finding['kind']} {finding['subject']}"},
    }
