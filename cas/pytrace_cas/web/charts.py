# SPDX-License-Identifier: Apache-2.0
"""Hits and misses by hour as bars of an SVG picture; a template draws what is worked out here."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable

WIDTH, HEIGHT = 720, 160
_HOUR = 3600
_BASE, _TOP, _LEFT = 136, 12, 40


@attrs.frozen
class Bar:
    """One part of an hour's bar, in units of the picture."""

    kind: str
    x: float
    y: float
    width: float
    height: float


@attrs.frozen
class Chart:
    """`bars` to draw, `marks` (x and text) below them, `most` the count that the full height stands for."""

    bars: list[Bar]
    marks: list[tuple[float, str]]
    most: int
    hours: list[tuple[str, int, int, int]]


def chart(counts: Iterable[tuple[int, int, int, int]], hours: int = 48, now: float | None = None) -> Chart:
    """Draw rows of hour (Unix time), hits, misses and others, of the last so many hours."""
    end = int(time.time() if now is None else now) // _HOUR * _HOUR
    begin = end - (hours - 1) * _HOUR
    by_hour = {hour: (hits, misses, others) for hour, hits, misses, others in counts if begin <= hour <= end}
    most = max((sum(found) for found in by_hour.values()), default=0)
    step = (WIDTH - _LEFT) / hours
    bars: list[Bar] = []
    for hour, found in sorted(by_hour.items()):
        y = float(_BASE)
        for kind, count in zip(("hit", "miss", "other"), found, strict=True):
            height = (_BASE - _TOP) * count / most if most else 0.0
            y -= height
            if count:
                x = _LEFT + (hour - begin) // _HOUR * step
                bars.append(Bar(kind, round(x, 2), round(y, 2), round(step * 0.8, 2), round(height, 2)))
    marks = [
        (_LEFT + (hour - begin) // _HOUR * step, time.strftime("%H:%M", time.gmtime(hour)))
        for hour in range(begin, end + 1, _HOUR)
        if hour // _HOUR % 6 == 0
    ]
    rows = [(time.strftime("%Y-%m-%d %H:%MZ", time.gmtime(hour)), *found) for hour, found in sorted(by_hour.items())]
    return Chart(bars, marks, most, rows)
