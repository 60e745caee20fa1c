# SPDX-License-Identifier: Apache-2.0
"""Statistics by hour: runs of the wrapper with their reasons, and what the server was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable

RUNS = ("hit", "miss", "not_stored", "bypass", "error")
ASKED = ("hit", "miss")
_RUN, _REASON, _GET = "runs_", "reason_", "server_get_"


@attrs.frozen
class Hour:
    """One hour, or a sum of some. `time`: its beginning (Unix time); counts by outcome, by reason, by answer."""

    time: int
    runs: dict[str, int]
    reasons: dict[str, int]
    asked: dict[str, int]


@attrs.frozen
class Statistics:
    """Hours in order, those without anything left out, and all of them together."""

    hours: tuple[Hour, ...]
    total: Hour

    @classmethod
    def of(cls, rows: Iterable[tuple[int, str, int]], since: int) -> Statistics:
        """Of rows of hour, name and count."""
        by_hour: dict[int, dict[str, int]] = {}
        total: dict[str, int] = {}
        for hour, name, count in rows:
            by_hour.setdefault(hour, {})[name] = count
            total[name] = total.get(name, 0) + count
        return cls(tuple(_hour(hour, by_hour[hour]) for hour in sorted(by_hour)), _hour(since, total))


def described_statistics(statistics: Statistics) -> dict[str, Any]:
    """The statistics in JSON, as `pytrace stats --json` and `/api/v1/statistics` tell them."""
    return {
        **_described(statistics.total, "since"),
        "hours": [_described(hour, "time") for hour in statistics.hours],
    }


def hit_rate(counts: dict[str, int]) -> float | None:
    """Hits of all that could have been some: hits, misses and runs that were not stored."""
    asked = sum(counts.get(name, 0) for name in ("hit", "miss", "not_stored"))
    return counts.get("hit", 0) / asked if asked else None


def _hour(time: int, counts: dict[str, int]) -> Hour:
    return Hour(
        time,
        {name: counts[_RUN + name] for name in RUNS if _RUN + name in counts},
        {name.removeprefix(_REASON): count for name, count in sorted(counts.items()) if name.startswith(_REASON)},
        {name: counts[_GET + name] for name in ASKED if _GET + name in counts},
    )


def _described(hour: Hour, name: str) -> dict[str, Any]:
    return {
        name: hour.time,
        "runs": {outcome: hour.runs.get(outcome, 0) for outcome in RUNS},
        "hit_rate": hit_rate(hour.runs),
        "reasons": hour.reasons,
        "server": {answer: hour.asked.get(answer, 0) for answer in ASKED},
        "server_hit_rate": hit_rate(hour.asked),
    }
