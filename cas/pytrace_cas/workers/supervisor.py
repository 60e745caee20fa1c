# SPDX-License-Identifier: Apache-2.0
"""The supervisor: starts workers, starts those again that die, passes signals on, and leaves none behind.

It waits for signals one after the other and handles none at once: so nothing here can be interrupted.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import time
from typing import TYPE_CHECKING

import attrs

from pytrace_cas.workers.board import Board
from pytrace_cas.workers.child import become_worker
from pytrace_cas.workers.worker import POKE, Worker, tick_seconds

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from pytrace_cas.listening import Address
    from pytrace_cas.workers.board import Slot
    from pytrace_cas.workers.service_manager import ServiceManager

    Run = Callable[[Worker], int]

WAITED_FOR = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, POKE)
FIRST_DELAY, LONGEST_DELAY = 0.1, 10.0
# A worker that ran for so long does not make the next one wait longer.
LONG_ENOUGH = 60.0
# Longer than workers take to drain.
STOP_SECONDS = 15.0

log = logging.getLogger(__name__)


@attrs.frozen
class Plan:
    """What workers are started with; `ready` is called once, when all of them listen."""

    workers: int
    inherited: dict[Address, socket.socket]
    metrics: str
    idle_timeout: float | None
    manager: ServiceManager
    ready: Callable[[], None]


@attrs.define
class _Post:
    """A place for a worker: who has it, and when the next one may."""

    slot: Slot
    pid: int = 0
    begun: float = 0.0
    delay: float = 0.0
    due: float = 0.0


class Supervisor:
    """Runs workers until it is told to stop, or nobody calls any more; `run` is what each of them does."""

    def __init__(self, plan: Plan, run: Run) -> None:
        self._plan = plan
        self._run = run
        self._board = Board(plan.workers)
        self._posts = [_Post(slot) for slot in self._board.slots]
        self._tick = tick_seconds(plan.idle_timeout, plan.manager)
        self._was_ready = False
        self._stopping = False
        self._kill_at = float("inf")
        self._status = 0

    def supervise(self) -> int:
        """Start the workers and look after them to the end; return the exit status."""
        # What the parent has is shared with the workers for as long as nobody touches it.
        gc.freeze()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, WAITED_FOR)
        try:
            while not self._stopping or any(post.pid for post in self._posts):
                self._start_due()
                if (told := signal.sigtimedwait(WAITED_FOR, self._tick)) is not None:
                    self._obey(told.si_signo)
                self._reap()
                self._look()
        finally:
            self._kill_all()
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return self._status

    def _start_due(self) -> None:
        for number, post in enumerate(self._posts):
            if not post.pid and not self._stopping and time.monotonic() >= post.due:
                self._start(number, post)

    def _start(self, number: int, post: _Post) -> None:
        post.slot.clear()
        sys.stdout.flush()
        sys.stderr.flush()
        worker = Worker(self._board, number, True, self._plan.inherited, self._plan.metrics)
        parent, post.begun = os.getpid(), time.monotonic()
        try:
            post.pid = os.fork()
        except OSError as error:
            if not self._was_ready:
                raise
            log.error("worker %d cannot start (%s); tried again in %.1f s", number, error, self._put_off(post))
            return
        if not post.pid:
            become_worker(parent, worker, self._run)

    def _obey(self, number: int) -> None:
        if number == signal.SIGHUP:
            self._plan.manager.reloading()
            self._tell(signal.SIGHUP)
            self._plan.manager.ready()
        elif number in (signal.SIGTERM, signal.SIGINT):
            self._board.stop_at_once = self._stopping
            self._stop()

    def _stop(self) -> None:
        if not self._stopping:
            self._plan.manager.stopping()
            self._stopping, self._kill_at = True, time.monotonic() + STOP_SECONDS
        self._tell(signal.SIGTERM)

    def _tell(self, number: signal.Signals) -> None:
        for post in self._posts:
            if post.pid:
                os.kill(post.pid, number)

    def _reap(self) -> None:
        for number, post in enumerate(self._posts):
            if post.pid:
                pid, status = os.waitpid(post.pid, os.WNOHANG)
                if pid:
                    self._ended(number, post, os.waitstatus_to_exitcode(status))

    def _ended(self, number: int, post: _Post, status: int) -> None:
        pid, post.pid = post.pid, 0
        post.slot.clear()
        if self._stopping:
            return
        if not self._was_ready:
            # What keeps one from starting will keep the next one, too.
            self._status = status if status > 0 else 1
            self._board.stop_at_once = True
            self._stop()
            return
        delay = self._put_off(post)
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        log.error("worker %d (process %d) %s; another one starts in %.1f s", number, pid, how, delay)

    @staticmethod
    def _put_off(post: _Post) -> float:
        """Let the next worker wait; return for how many seconds."""
        lived = time.monotonic() - post.begun
        post.delay = FIRST_DELAY if lived >= LONG_ENOUGH else min(LONGEST_DELAY, max(FIRST_DELAY, 2 * post.delay))
        post.due = time.monotonic() + post.delay
        return post.delay

    def _look(self) -> None:
        """See what has become of the workers since the last look."""
        if not self._was_ready and self._board.all_ready:
            self._was_ready = True
            self._plan.ready()
            self._plan.manager.ready()
        watchdog, idle = self._plan.manager.watchdog_seconds, self._plan.idle_timeout
        if watchdog is not None and all(post.slot.silent_seconds < watchdog for post in self._posts if post.pid):
            self._plan.manager.alive()
        if self._was_ready and not self._stopping and idle is not None and self._board.idle_seconds() >= idle:
            self._stop()
        if time.monotonic() > self._kill_at:
            log.error("workers did not stop within %d s: they are killed", STOP_SECONDS)
            self._tell(signal.SIGKILL)
            self._kill_at = float("inf")

    def _kill_all(self) -> None:
        """Leave none behind, whatever went wrong here."""
        self._tell(signal.SIGKILL)
        for post in self._posts:
            if post.pid:
                os.waitpid(post.pid, 0)
