# SPDX-License-Identifier: Apache-2.0
"""Cancelling a call that runs in a thread waits for the thread, however often it is cancelled."""

from __future__ import annotations

import asyncio
import threading

import pytest

from pytrace_cas.blocking import in_thread


async def test_results_and_errors_come_back() -> None:
    assert await in_thread(max, 1, 2) == 2
    with pytest.raises(ZeroDivisionError):
        await in_thread(divmod, 1, 0)


@pytest.mark.parametrize("fails", [False, True])
async def test_cancelling_waits_for_the_thread(fails: bool) -> None:
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go_on.wait(30)
        ended.set()
        if fails:
            raise OSError("nobody is waiting for this any more")

    task = asyncio.create_task(in_thread(work))
    while not begun.is_set():
        await asyncio.sleep(0.001)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0.01)
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
