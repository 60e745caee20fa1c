# SPDX-License-Identifier: Apache-2.0
"""Pages take no thread from the cache, and say so while the catalogue is made."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from starlette.responses import Response

from pytrace_cas.store import Store
from pytrace_cas.web.answers import error_page
from pytrace_cas.web.viewing import CatalogueBeingMade, Viewing
from tests.support.stored_results import store_traced


def _slowed(viewing: Viewing) -> threading.Event:
    """Let it stop after each batch until the event is set."""
    gate, told = threading.Event(), viewing.catalogue._progress
    assert told is not None

    def slowly(done: int, total: int) -> None:
        told(done, total)
        gate.wait(30)

    viewing.catalogue._progress = slowly
    return gate


@pytest.fixture
def filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store with three results, which are read one by one."""
    monkeypatch.setattr("pytrace_cas.catalogue.catching_up.BATCH", 1)
    monkeypatch.setattr("pytrace_cas.web.viewing.PATIENCE", 0.05)
    store = Store.open(str(tmp_path / "store"))
    for number in range(3):
        store_traced(store, (b"%d" % number,))
    return store


def test_a_page_says_how_far_the_catalogue_is(filled: Store) -> None:
    async def visit() -> None:
        viewing = Viewing(filled)
        gate = _slowed(viewing)
        names: set[str] = set()

        def view() -> Response:
            names.add(threading.current_thread().name.partition("_")[0])
            return Response(str(viewing.catalogue.count()))

        for _ in range(8):
            with pytest.raises(CatalogueBeingMade) as refused:
                await viewing.run(view, True)
            assert (refused.value.done, refused.value.total) == (1, 3)
        assert (await viewing.run(lambda: Response("blob"), False)).body == b"blob"
        gate.set()
        async with asyncio.timeout(60):
            while True:
                try:
                    assert (await viewing.run(view, True)).body == b"3"
                    break
                except CatalogueBeingMade:
                    continue
        assert names == {"web"}
        viewing.close()

    with filled:
        asyncio.run(visit())
    answer = error_page(CatalogueBeingMade(1, 3), here="", caller="")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert b"1 of 3 results" in answer.body


def test_a_server_that_stops_does_not_wait_for_the_catalogue(filled: Store) -> None:
    async def visit() -> int:
        viewing = Viewing(filled)
        gate = _slowed(viewing)
        with pytest.raises(CatalogueBeingMade):
            await viewing.run(Response, True)
        threading.Timer(0.2, gate.set).start()
        viewing.close()
        done = viewing._progress
        assert done is not None
        return done[0]

    with filled:
        assert asyncio.run(visit()) == 1
