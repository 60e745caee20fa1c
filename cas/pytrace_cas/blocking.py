# SPDX-License-Identifier: Apache-2.0
"""Keeping what blocks off the event loop; both servers go through here."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

P = ParamSpec("P")
T = TypeVar("T")

# Hashing and writing so many bytes takes less than a switch to a thread and back.
SMALL = 64 << 10


async def in_thread(function: Callable[P, T], *arguments: P.args, **keywords: P.kwargs) -> T:
    """Run what blocks in a thread; when cancelled, wait for it, since what it uses is about to be closed."""
    return await in_thread_of(None, lambda: function(*arguments, **keywords))


async def in_thread_of(executor: Executor | None, function: Callable[[], T]) -> T:
    """As `in_thread`, in a thread of that executor."""
    future = asyncio.get_running_loop().run_in_executor(executor, function)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        # Some frameworks cancel again and again until they are heard; the thread's end comes first.
        while not future.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait((future,))
        with suppress(Exception):
            future.result()
        raise
    finally:
        # An error's traceback has this frame, and the future has the error: with all that the call held, they would
        # wait for the garbage collector, which counts objects and not bytes.
        del future


class Closing(Protocol):
    """What has to be closed."""

    def close(self) -> None: ...


C = TypeVar("C", bound=Closing)


async def open_in_thread(function: Callable[P, C], *arguments: P.args, **keywords: P.kwargs) -> C:
    """As `in_thread`, for what returns something to close: it is closed when nobody waits for it any more."""
    opened: list[C] = []
    try:
        await in_thread(lambda: opened.append(function(*arguments, **keywords)))
    except asyncio.CancelledError:
        for one in opened:
            one.close()
        raise
    return opened[0]
