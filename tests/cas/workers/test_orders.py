# SPDX-License-Identifier: Apache-2.0
"""Signals to a serving process: what is to be read again is, whatever becomes of the rest."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

from pytrace_cas.workers.orders import Orders
from pytrace_cas.workers.worker import Worker

if TYPE_CHECKING:
    import pytest


async def test_a_hang_up_reloads_all_even_if_one_fails(caplog: pytest.LogCaptureFixture) -> None:
    reloaded: list[str] = []
    both = asyncio.Event()

    def fail() -> None:
        reloaded.append("first")
        raise ValueError("not that file")

    def succeed() -> None:
        reloaded.append("second")
        both.set()

    orders = Orders(Worker())
    orders.on_reload(fail)
    orders.on_reload(succeed)
    os.kill(os.getpid(), signal.SIGHUP)
    await asyncio.wait_for(both.wait(), 30)
    assert reloaded == ["first", "second"]
    assert "not that file" in caplog.text
    assert not orders.stop.is_set()


async def test_the_second_signal_means_at_once() -> None:
    orders = Orders(Worker())
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(orders.stop.wait(), 30)
    assert not orders.at_once.is_set()
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.wait_for(orders.at_once.wait(), 30)


async def test_under_a_supervisor_only_the_board_makes_it_at_once() -> None:
    before = signal.getsignal(signal.SIGINT)
    worker = Worker(supervised=True)
    orders = Orders(worker)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(orders.stop.wait(), 30)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(0.05)
    assert not orders.at_once.is_set()
    worker.board.stop_at_once = True
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(orders.at_once.wait(), 30)
    assert signal.getsignal(signal.SIGINT) is before
