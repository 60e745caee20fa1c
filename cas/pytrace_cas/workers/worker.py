# SPDX-License-Identifier: Apache-2.0
"""A process that serves: alone, or one of several under a supervisor."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import attrs

from pytrace_cas.listening import listen
from pytrace_cas.workers.board import Board
from pytrace_cas.workers.service_manager import ServiceManager

if TYPE_CHECKING:
    import socket

    from pytrace_cas.listening import Address
    from pytrace_cas.workers.board import Slot

# A worker pokes its supervisor with this when it listens.
POKE = signal.SIGUSR1
SLOWEST_TICK = 1.0


@attrs.frozen
class Worker:
    """What a serving process shares with the others, and whom it tells what.

    `inherited`: listening sockets by address, of those that cannot be bound twice. `metrics`: the folder in which
    the workers' metrics are, None when this process is the only one. One that is not `supervised` watches itself:
    it stops when nobody has called for `idle_timeout` seconds.
    """

    board: Board = attrs.field(factory=lambda: Board(1))
    number: int = 0
    supervised: bool = False
    inherited: dict[Address, socket.socket] = attrs.field(factory=dict)
    metrics: str | None = None
    manager: ServiceManager = attrs.field(factory=ServiceManager)
    idle_timeout: float | None = None

    @property
    def slot(self) -> Slot:
        """Its numbers on the board."""
        return self.board.slots[self.number]

    def listen(self, address: Address) -> socket.socket:
        """Open a listening socket, or take the inherited one; raise `AddressInUse`, `AddressNotAvailable`."""
        return self.inherited[address] if address in self.inherited else listen(address, shared=self.supervised)

    def say_ready(self) -> None:
        """Say that it listens."""
        self.slot.say_ready()
        if self.supervised:
            os.kill(os.getppid(), POKE)
        else:
            self.manager.ready()

    @property
    def tick_seconds(self) -> float:
        """How often `tick` is to be called."""
        return tick_seconds(self.idle_timeout, self.manager)

    def tick(self) -> bool:
        """Say that the event loop runs; tell whether it is time to stop because nobody calls."""
        self.slot.beat()
        if self.supervised:
            return False
        self.manager.alive()
        return self.idle_timeout is not None and self.board.idle_seconds() >= self.idle_timeout


def tick_seconds(idle_timeout: float | None, manager: ServiceManager) -> float:
    """How often somebody has to look who promised both."""
    given = [seconds for seconds in (idle_timeout, manager.watchdog_seconds) if seconds is not None]
    return min(SLOWEST_TICK, *(seconds / 4 for seconds in given)) if given else SLOWEST_TICK
