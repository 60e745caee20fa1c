# SPDX-License-Identifier: Apache-2.0
"""What a serving process is told by signals: to stop, to stop at once, to read its files again."""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytrace_cas.workers.worker import Worker

log = logging.getLogger(__name__)


class Orders:
    """Signals as events of the running loop.

    `stop` is set by SIGTERM, `at_once` by the second one; a worker under a supervisor hears of that one on the board,
    since who signals a group of processes reaches it twice. SIGHUP runs what was given to `on_reload`.
    """

    def __init__(self, worker: Worker) -> None:
        self.stop = asyncio.Event()
        self.at_once = asyncio.Event()
        self._worker = worker
        self._reloads: list[Callable[[], None]] = []
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._terminate)
        if not worker.supervised:
            loop.add_signal_handler(signal.SIGINT, self._terminate)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        # A supervisor's worker has had them blocked from its fork on: none is lost, none kills it half made.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT, signal.SIGHUP))

    def on_reload(self, callback: Callable[[], None]) -> None:
        """Call that on every SIGHUP, on the event loop; what it raises is logged, and the others are still called."""
        self._reloads.append(callback)

    def _terminate(self) -> None:
        if self._worker.board.stop_at_once or (self.stop.is_set() and not self._worker.supervised):
            self.at_once.set()
        if not self.stop.is_set():
            self._worker.manager.stopping()
        self.stop.set()

    def _reload(self) -> None:
        self._worker.manager.reloading()
        for callback in self._reloads:
            try:
                callback()
            except Exception:
                log.exception("what was read at the start stays in force")
        self._worker.manager.ready()
