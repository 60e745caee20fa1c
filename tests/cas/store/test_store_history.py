# SPDX-License-Identifier: Apache-2.0
"""What happened is kept, and bounded."""

from __future__ import annotations

import pytest

from pytrace_cas.digest import SHA256
from pytrace_cas.store import Store, events

KINDS = ("stored", "asked")


def _rows(store: Store) -> list[int]:
    with store.exclusive() as db:
        return [db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("hits", "requests")]


def test_what_is_kept_of_results_that_are_gone_is_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytrace_cas.store.history.GONE_KEPT", 3)
    actions = [SHA256.of(b"%d" % number) for number in range(9)]
    for action in actions:
        store.put_action_result(SHA256, "i", action, b"", [])
        store.record(
            [],
            [
                events.hit(SHA256, "i", action),
                *(events.request(kind, SHA256, "i", action, *["x"] * 7) for kind in KINDS),
            ],
        )
    store.reset_counters()  # the next fold is the first of an hour, which drops what is too much
    for action in actions[6:]:
        store.remove_action_result(SHA256, "i", action)
    store.count("x")
    store.fold()
    assert _rows(store) == [9, 12]  # three hits more than results may stay, six requests are too many
    store.remove_action_result(SHA256, "i", actions[5])
    store.reset_counters()
    store.count("x")
    store.fold()
    assert _rows(store) == [5, 12]
    assert store.history.requests(SHA256, "i", actions[0])
