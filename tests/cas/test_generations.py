# SPDX-License-Identifier: Apache-2.0
"""The ledger of invalidations: uniting, its canonical form, its key, its rows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytrace_cas.digest import BLAKE3, SHA256
from pytrace_cas.generations import (
    LONGEST_LINE,
    WHOLE_STORE,
    Ledger,
    MalformedLedger,
    entry_key,
    ledgers,
    of_instance,
    of_remote,
    rows,
)
from pytrace_cas.reapi import Action, ActionResult

KEYS = st.text("0123456789abcdef", min_size=1, max_size=3)
TEXTS = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), max_size=5).filter(str.isprintable)
LEDGERS = st.dictionaries(KEYS, TEXTS, max_size=8).map(Ledger)


@given(LEDGERS, LEDGERS, LEDGERS)
def test_uniting_is_commutative_associative_and_idempotent(a: Ledger, b: Ledger, c: Ledger) -> None:
    assert a.united(b) == b.united(a)
    assert a.united(b).united(c) == a.united(b.united(c))
    assert a.united(a) == a
    assert a.united(b).united(b) == a.united(b)


@given(LEDGERS, LEDGERS)
def test_what_is_united_holds_both(a: Ledger, b: Ledger) -> None:
    assert a.united(b).holds(a)
    assert a.united(b).holds(b)
    assert a.holds(b) == all(key in a.lines for key in b.lines)


@given(LEDGERS)
def test_the_canonical_form_round_trips(ledger: Ledger) -> None:
    assert Ledger.decode(ledger.encode()) == ledger
    assert Ledger.decode(ActionResult.decode(ledger.result().encode()).stdout_raw) == ledger


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"pytrace generations 1",
        b"pytrace generations 2\n",
        b"pytrace generations 1\nab",
        b"pytrace generations 1\nab\n",
        b"pytrace generations 1\nX/ text\n",
        b"pytrace generations 1\n text\n",
        b"pytrace generations 1\nab \xff\n",
        b"pytrace generations 1\nab \x07\n",
        b"pytrace generations 1\nab " + b"x" * LONGEST_LINE + b"\n",
        b"pytrace generations 1\n" + b"a" * 65 + b" x\n",
    ],
    ids=range(11),
)
def test_what_is_no_ledger_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedLedger):
        Ledger.decode(data)


def test_the_keys_of_an_entry_do_not_change() -> None:
    """Other versions, and other programs, look for the same entry."""
    digest, blobs = entry_key(SHA256)
    assert Action.decode(blobs[digest]).command_digest in blobs
    assert str(digest) == "e88e4730c8ffc6b0276296b8cf014cfce469211ca5d4999242bc5ad5fcb2797f/138"
    assert str(entry_key(SHA256, 1)[0]) == "cfa050bbe90272b7ee1245e42f6752da7e74a3f2b5aef00cd6036b958015c81a/138"
    assert entry_key(BLAKE3)[0] != digest


@given(LEDGERS, LEDGERS, LEDGERS)
def test_rows_of_a_store_keep_places_apart(a: Ledger, b: Ledger, c: Ledger) -> None:
    places = {WHOLE_STORE: a, of_instance("x/y"): b, of_remote("grpc://h:1/i"): c}
    together = {scope: text for place, ledger in places.items() for scope, text in rows(place, ledger).items()}
    together["remote-read grpc://h:1/i"] = "1.5"
    assert ledgers(together) == {place: ledger for place, ledger in places.items() if ledger}
