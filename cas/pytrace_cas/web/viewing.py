# SPDX-License-Identifier: Apache-2.0
"""Where views run: in a few threads of their own, so that no page takes one from the cache.

What lists actions waits until the catalogue is up to date, in no thread. The first time that takes minutes in a large
store: whoever asks meanwhile is told how far it is.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from pytrace_cas.blocking import in_thread_of
from pytrace_cas.catalogue import Catalogue
from pytrace_cas.services.errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.responses import Response

    from pytrace_cas.store import Store

THREADS = 4
PATIENCE = 2.0
"""Seconds to wait for a catalogue that is being made."""


class CatalogueBeingMade(Refusal):
    """So many results (`done`) of `total` are in the catalogue; ask again in a while."""

    def __init__(self, done: int, total: int) -> None:
        super().__init__(
            f"the catalogue of what is stored is being made: {done} of {total} results are read; "
            "ask again in a few seconds"
        )
        self.done = done
        self.total = total


class _Closing(Exception):
    """The server stops: what is read of the store so far is kept, and gone on with the next time."""


class Viewing:
    """The threads of one worker's views, and the catalogue that they share."""

    def __init__(self, store: Store) -> None:
        self.catalogue = Catalogue(store, self._told)
        self._views = ThreadPoolExecutor(THREADS, "web")
        self._refresher = ThreadPoolExecutor(1, "catalogue")
        self._refreshing: asyncio.Future[None] | None = None
        self._progress: tuple[int, int] | None = None
        self._closing = False

    def close(self) -> None:
        """Stop reading the store, and let go of the catalogue."""
        self._closing = True
        for executor in (self._views, self._refresher):
            executor.shutdown(cancel_futures=True)
        self.catalogue.close()

    async def run(self, view: Callable[[], Response], listed: bool) -> Response:
        """Run a view; one that needs the catalogue (`listed`) once that is up to date."""
        if listed:
            await self._up_to_date()
        return await in_thread_of(self._views, view)

    async def _up_to_date(self) -> None:
        """Wait for the catalogue, one refreshing at a time; raise `CatalogueBeingMade` if that takes long."""
        running = self._refreshing
        if running is None or running.done():
            self._progress = None
            loop = asyncio.get_running_loop()
            running = self._refreshing = loop.run_in_executor(self._refresher, self.catalogue.refresh)
            running.add_done_callback(lambda done: done.cancelled() or done.exception())  # it may have no waiter left
        while not (await asyncio.wait((running,), timeout=PATIENCE))[0]:
            if self._progress is not None:
                raise CatalogueBeingMade(*self._progress)
        running.result()

    def _told(self, done: int, total: int) -> None:
        if self._closing:
            raise _Closing
        self._progress = done, total
