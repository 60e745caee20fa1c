# SPDX-License-Identifier: Apache-2.0
"""Why runs were not answered, worked out when somebody looks.

A run notes its reasons only where it was asked for them (`--explain`, `--stats-log`): finding them takes time. But it
notes what it stored, and that says what it found: so it can be held against the results that were there before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from pytrace_cas.catalogue import Match, Query
from pytrace_cas.web.action_list import address_of_row
from pytrace_cas.web.explaining import between_results, described, key_of
from pytrace_cas.web.reasons import reasons_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytrace_cas.catalogue import ActionRow
    from pytrace_cas.recorded.keys import StoredKey
    from pytrace_cas.store.history import Run
    from pytrace_cas.web.site import Site

MOST_RUNS = 5
"""Runs whose reasons are worked out for one page."""
MOST_EARLIER = 4
"""Results that each is held against."""
_ROWS = 20
NO_EARLIER = {"code": "never_seen", "message": "no earlier result of it is stored"}


@attrs.frozen
class Past:
    """A run of the command that no stored result answered."""

    run: Run
    reasons: list[dict[str, Any]]


def explained(site: Site, row: ActionRow, runs: Sequence[Run]) -> list[Past]:
    """Runs of the command of a row with their reasons, as far as these are known or can be worked out."""
    known = [Past(run, reasons_of(run)) for run in runs]
    if all(past.reasons for past in known):
        return known
    misses = _Misses(site, row)
    left = MOST_RUNS
    for at, past in enumerate(known):
        if not past.reasons and past.run.outcome == "miss" and left:
            known[at] = Past(past.run, misses.reasons(past.run.action))
            left -= 1
    return known


class _Misses:
    """Results of one command, each held against those that were stored before it."""

    def __init__(self, site: Site, row: ActionRow) -> None:
        self._store = site.backing
        query = Query(command=Match(row.command), instance=Match(row.instance), kind=Match(row.kind))
        rows = site.catalogue.actions(query, limit=_ROWS).rows
        self._rows = [one for one in rows if one.function is row.function]
        self._keys: dict[int, StoredKey | None] = {}

    def reasons(self, action: str) -> list[dict[str, Any]]:
        """Why the nearest of the results before it did not answer; none where it is not here any more."""
        own = next((row for row in self._rows if str(row.digest) == action), None)
        now = None if own is None else self._key(own)
        if own is None or now is None:
            return []
        found: list[list[dict[str, object]]] = []
        for row in [row for row in self._rows if row.id < own.id][:MOST_EARLIER]:
            before = self._key(row)
            if before is not None:
                found.append(between_results(self._store, address_of_row(row), before, now))
        nearest = min(found, key=len) if found else None
        return [NO_EARLIER] if nearest is None else described(nearest)

    def _key(self, row: ActionRow) -> StoredKey | None:
        if row.id not in self._keys:
            self._keys[row.id] = key_of(self._store, address_of_row(row))
        return self._keys[row.id]
