# SPDX-License-Identifier: Apache-2.0
"""From timed runs of a command, plain and wrapped, to ratios and their tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from bench import timing
from bench.report import ABSENT, Table, seconds, spread
from bench.timing import Spread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.timing import Sample

BARE, STRACE, RECACHE, HIT, PYTHON = "bare", "strace", "recache", "hit", "python -c pass"
STOPS_ONLY = "stops only"

# Less than the clock that counts a process's CPU can tell.
_LEAST_CPU = 1e-4


@attrs.frozen
class Measured:
    """All rounds of one workload by variant; `troubles` says which could not be measured and why."""

    workload: str
    samples: dict[str, list[Sample]]
    troubles: list[str]

    def wall(self, variant: str) -> list[float]:
        """Seconds by the clock, one a round."""
        return [sample.wall for sample in self.samples[variant]]

    def over_bare(self, variant: str, less: float = 0.0) -> Spread | None:
        """Wall time, `less` seconds taken off, over the bare command's; None if it was not measured."""
        if variant not in self.samples:
            return None
        return timing.ratios([wall - less for wall in self.wall(variant)], self.wall(BARE))

    def cpu_over_bare(self, variant: str) -> Spread | None:
        """CPU time over the bare command's."""
        if variant not in self.samples:
            return None
        bare = [max(sample.cpu, _LEAST_CPU) for sample in self.samples[BARE]]
        return timing.ratios([sample.cpu for sample in self.samples[variant]], bare)

    def extra_seconds(self, variant: str) -> float:
        """How much longer than the bare command it takes; 0 if it was not measured."""
        if variant not in self.samples:
            return 0.0
        return Spread.of([one - bare for one, bare in zip(self.wall(variant), self.wall(BARE), strict=True)]).median

    def typical_cpu(self, variant: str) -> str:
        """Its median CPU time in words."""
        if variant not in self.samples:
            return ABSENT
        return seconds(Spread.of([sample.cpu for sample in self.samples[variant]]).median)

    def typical(self, variant: str) -> str:
        """Its median duration in words."""
        return seconds(Spread.of(self.wall(variant)).median) if variant in self.samples else ABSENT


def tables(fixed: Measured, workloads: Sequence[Measured], peers: Sequence[str]) -> list[Table]:
    """All tables; `fixed` is the measure of a command that does nothing."""
    return [_overhead(fixed, workloads, peers), _fixed_costs(fixed, peers), _hits(fixed, workloads)]


def _overhead(fixed: Measured, workloads: Sequence[Measured], peers: Sequence[str]) -> Table:
    cost = fixed.extra_seconds(RECACHE)
    columns = (
        "workload",
        "bare",
        "rounds",
        "strace",
        "recache",
        "less fixed cost",
        STOPS_ONLY,
        "strace cpu",
        "recache cpu",
        *peers,
    )
    rows = [
        (
            one.workload,
            one.typical(BARE),
            str(len(one.samples[BARE])),
            spread(one.over_bare(STRACE)),
            spread(one.over_bare(RECACHE)),
            spread(one.over_bare(RECACHE, less=cost)),
            spread(one.over_bare(STOPS_ONLY, less=fixed.extra_seconds(STOPS_ONLY))),
            spread(one.cpu_over_bare(STRACE)),
            spread(one.cpu_over_bare(RECACHE)),
            *(spread(one.over_bare(peer)) for peer in peers),
        )
        for one in workloads
    ]
    return Table(
        "Tracing and storing, over the bare command (recache: pytrace-exec into an empty store; stops only: "
        "the same with --stops-only, less its fixed cost)",
        columns,
        rows,
    )


def _fixed_costs(fixed: Measured, peers: Sequence[str]) -> Table:
    rows = [
        (
            name if name in (BARE, PYTHON) else f"{name} true",
            fixed.typical(name),
            fixed.typical_cpu(name),
            spread(fixed.over_bare(name), 1),
        )
        for name in (BARE, PYTHON, STRACE, RECACHE, HIT, *peers)
    ]
    return Table("Fixed cost, over bare `true`", ("command", "takes", "cpu", "over bare"), rows)


def _hits(fixed: Measured, workloads: Sequence[Measured]) -> Table:
    rows = [
        (
            one.workload,
            one.typical(BARE),
            one.typical(HIT),
            spread(one.over_bare(HIT), 3),
            spread(one.cpu_over_bare(HIT), 3),
        )
        for one in (*workloads, fixed)
    ]
    if PYTHON in fixed.samples and HIT in fixed.samples:
        over_python = timing.ratios(fixed.wall(HIT), fixed.wall(PYTHON))
        rows.append(
            ("true, over python -c pass", fixed.typical(PYTHON), fixed.typical(HIT), spread(over_python), ABSENT)
        )
    return Table("A hit, over running the command", ("workload", "bare", "hit", "hit over bare", "cpu"), rows)
