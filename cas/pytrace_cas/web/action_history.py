# SPDX-License-Identifier: Apache-2.0
"""What the store knows around an action: who asked for it, how its command went, what else gave other outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytrace_cas.catalogue import AmbiguousReference, Match, Query, UnknownReference
from pytrace_cas.nondeterminism import known_of
from pytrace_cas.web.action_list import address_of_row
from pytrace_cas.web.diff_page import address_of
from pytrace_cas.web.past_misses import explained

if TYPE_CHECKING:
    from pytrace_cas.catalogue import ActionRow
    from pytrace_cas.web.addresses import BlobAddress
    from pytrace_cas.web.past_misses import Past
    from pytrace_cas.web.site import Site

_RUNS, _OTHERS = 10, 5


def around(site: Site, address: BlobAddress) -> dict[str, Any]:
    """What a page of an action tells beside the action itself: `row` is None for one without a result here."""
    row = _row(site, address)
    requests = site.store.history.requests(address.function, address.instance, address.digest)
    return {
        "row": row,
        "requests": requests,
        "past": [] if row is None or not row.command else _past(site, row),
        "others": [] if row is None or not row.command else _others(site, row),
        "variants": None if row is None else known_of(site.store, row.function, row.instance, row.digest),
    }


def _row(site: Site, address: BlobAddress) -> ActionRow | None:
    try:
        row = site.catalogue.resolve(str(address.digest), address.instance)
    except (UnknownReference, AmbiguousReference):
        return None
    return row if (row.digest, row.function) == (address.digest, address.function) else None


def _past(site: Site, row: ActionRow) -> list[Past]:
    """The last runs of its command in its instance that were not answered."""
    runs = site.store.history.runs(row.command, limit=5 * _RUNS)
    return explained(site, row, [run for run in runs if run.instance == row.instance][:_RUNS])


def _others(site: Site, row: ActionRow) -> list[tuple[ActionRow, str]]:
    """Other results of its command, each with the page that tells how it differs."""
    query = Query(command=Match(row.command), instance=Match(row.instance))
    found = site.catalogue.actions(query, limit=_OTHERS + 1).rows
    here = address_of_row(row)
    others = [one for one in found if one.id != row.id and one.function is row.function][:_OTHERS]
    return [(one, address_of(address_of_row(one), here)) for one in others]
