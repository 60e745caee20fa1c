# SPDX-License-Identifier: Apache-2.0
"""Pages say the same whichever way their rows are looked for: few or many of them, used or not."""

from __future__ import annotations

import random

import pytest

from pytrace_cas.catalogue import Catalogue, Query, pages
from pytrace_cas.digest import BLAKE3, Digest
from pytrace_cas.store import Store, events
from tests.support.stored_results import store_traced


def read_all(catalogue: Catalogue, query: Query, sort: str, limit: int) -> list[Digest]:
    """Every row of a query, a page after the other, none of which may be empty."""
    found: list[Digest] = []
    cursor = None
    while True:
        page = catalogue.actions(query, sort, limit, cursor)
        assert page.rows or cursor is None
        found += [row.digest for row in page.rows]
        cursor = page.cursor
        if cursor is None:
            return found


@pytest.mark.parametrize("spare", [-3, 0, 50])
@pytest.mark.parametrize("limit", [3, 7, 100])
def test_the_most_used_come_first_however_many_were_used(
    store: Store, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, spare: int, limit: int
) -> None:
    monkeypatch.setattr(pages, "_SPARE", spare)
    chance = random.Random(limit)
    made = [store_traced(store, (b"tool", b"%d" % n), exit_code=n % 2) for n in range(30)]
    hits = [chance.choice((0, 0, 1, 1, 2, 5, n)) for n in range(30)]
    store.record([], [events.hit(BLAKE3, "", made[n], hits[n]) for n in range(30) if hits[n]])
    for query, wanted in ((Query(), range(30)), (Query(outcome="failed"), range(1, 30, 2))):
        order = sorted(wanted, key=lambda n: (hits[n], n), reverse=True)
        assert read_all(catalogue, query, "hits", limit) == [made[n] for n in order]


@pytest.mark.parametrize("common", [1, 4, 1000])
def test_what_requests_said_is_found_whether_few_or_many_said_it(
    store: Store, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, common: int
) -> None:
    monkeypatch.setattr("pytrace_cas.catalogue.catalogue.COMMON", common)
    made = [store_traced(store, (b"tool", b"%d" % n), labels={"target": "//held:x"}) for n in range(6)]
    for number, digest in enumerate(made[:4]):
        said = ("bazel", "7", f"inv-{number % 2}", "", "Javac", f"//said:{number}", "")
        store.record([], [events.request(kind, BLAKE3, "", digest, *said) for kind in ("stored", "asked")])
    for text, wanted in (
        ("tool=bazel", [3, 2, 1, 0]),
        ("invocation=inv-1", [3, 1]),
        ("target=//said:2", [2]),
        ("target=//*", [5, 4, 3, 2, 1, 0]),
        ("mnemonic~avac outcome=ok", [3, 2, 1, 0]),
        ("said", [3, 2, 1, 0]),
        ("tool=make", []),
    ):
        assert read_all(catalogue, Query.parse(text), "time", 3) == [made[n] for n in wanted], text


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_only_the_instance_in_which_outputs_differed_is_nondeterministic(
    store: Store, catalogue: Catalogue, limit: int
) -> None:
    def stored(number: int, content: bytes, instance: str = "main") -> Digest:
        return store_traced(store, (b"%d" % number,), {}, {b"/work/root/o": content}, instance=instance)

    made = [stored(number, b"1") for number in range(5)]
    for number in (1, 2, 4):
        stored(number, b"2")
        stored(number, b"3" if number != 2 else b"1")
        stored(number, b"1", "other")
    query = Query(nondeterministic=True)
    assert read_all(catalogue, query, "time", limit) == [made[4], made[2], made[1]]
    found = catalogue.actions(Query.parse("nondeterministic instance=other"), limit=limit)
    assert found.rows == ()
