# SPDX-License-Identifier: Apache-2.0
"""Why runs were not answered and why results were not stored, with the words of those who said so.

Counts are by code; which kind a code is, and its sentence, is told by the last runs that gave it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytrace_cas.store.history import Run

RUNS = 1000
"""How many of the last runs are looked at."""


@attrs.frozen
class Reason:
    """A code, how often it was given, and what it means."""

    code: str
    count: int
    sentence: str


def sorted_reasons(counts: Mapping[str, int], runs: Iterable[Run]) -> tuple[list[Reason], list[Reason]]:
    """Reasons for misses, and for results that were not stored; those given most often first."""
    known: dict[str, tuple[str, str]] = {}
    for run in runs:
        for reason in reasons_of(run):
            known.setdefault(str(reason.get("code", "")), (run.outcome, str(reason.get("message") or "")))
    misses: list[Reason] = []
    others: list[Reason] = []
    for code, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        outcome, sentence = known.get(code, ("", ""))
        found = Reason(code, count, _meaning(sentence) or code.replace("_", " "))
        (misses if outcome == "miss" else others).append(found)
    return misses, others


def reasons_of(run: Run) -> list[dict[str, Any]]:
    """The reasons of a run; none that cannot be read."""
    try:
        found = json.loads(run.reasons)
    except ValueError:
        return []
    return [reason for reason in found if isinstance(reason, dict)] if isinstance(found, list) else []


def _meaning(sentence: str) -> str:
    """A sentence without the path or the name that it ends with, which is one run's."""
    return sentence.partition(": ")[0]
