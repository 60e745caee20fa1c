# SPDX-License-Identifier: Apache-2.0
"""The first page: how full the cache is, how well it answers, and why not always."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytrace_cas.catalogue.statistics import hit_rate
from pytrace_cas.web.action_list import page_of
from pytrace_cas.web.answers import Page
from pytrace_cas.web.charts import chart
from pytrace_cas.web.reasons import RUNS, sorted_reasons

if TYPE_CHECKING:
    from pytrace_cas.catalogue import ActionRow, Statistics
    from pytrace_cas.web.charts import Chart
    from pytrace_cas.web.site import Asked, Site

_SHOWN = 5
_EXAMINED = 100
_WEEK = 7 * 86400


class Overview:
    """The view of the whole cache."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def show(self, asked: Asked) -> Page:
        """Tell how it is."""
        used, limit = self._site.store.size()
        week = self._site.catalogue.statistics(_WEEK)
        runs = (run for run in self._site.store.history.runs(limit=RUNS) if self._site.may_read(asked, run.instance))
        misses, unstored = sorted_reasons(week.total.reasons, runs)
        values = {
            "used": used,
            "limit": limit,
            "read_only": self._site.store.read_only,
            "week": week.total,
            "rates": {"runs": hit_rate(week.total.runs), "server": hit_rate(week.total.asked)},
            "charts": _charts(week),
            "misses": misses,
            "unstored": unstored,
            "largest": self._first(asked, "size"),
            "most_used": [(row, page) for row, page in self._first(asked, "hits") if row.hits],
        }
        return Page("overview.html", values)

    def _first(self, asked: Asked, sort: str) -> list[tuple[ActionRow, str]]:
        """The first actions in an order that the caller may see."""
        found = self._site.catalogue.actions(None, sort, _SHOWN if self._site.guard.open else _EXAMINED).rows
        rows = [row for row in found if self._site.may_read(asked, row.instance)]
        return [(row, page_of(row)) for row in rows[:_SHOWN]]


def _charts(week: Statistics) -> list[tuple[str, Chart]]:
    """Pictures of what there is: runs of the wrapper, and what the server was asked for."""
    runs = [(hour.time, *_outcomes(hour.runs)) for hour in week.hours]
    asked = [(hour.time, hour.asked.get("hit", 0), hour.asked.get("miss", 0), 0) for hour in week.hours]
    found = [
        (
            "Runs of pytrace-exec",
            chart(runs),
        ),
        ("Results asked of the server", chart(asked)),
    ]
    return [(name, drawn) for name, drawn in found if drawn.bars]


def _outcomes(counts: dict[str, int]) -> tuple[int, int, int]:
    """Hits, misses, and all else."""
    hits, misses = counts.get("hit", 0), counts.get("miss", 0)
    return hits, misses, sum(counts.values()) - hits - misses
