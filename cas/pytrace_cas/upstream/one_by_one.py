# SPDX-License-Identifier: Apache-2.0
"""Looking for many blobs where the protocol has a question for one: several at a time, and not for ever."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytrace_cas.digest import Digest

AT_A_TIME = 16


class Looker:
    """A pool of threads that ask. Any thread may call."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._pool = ThreadPoolExecutor(AT_A_TIME, thread_name_prefix="upstream-look")

    def missing(self, digests: Sequence[Digest], has: Callable[[Digest], bool]) -> list[Digest]:
        """Those that are not there, or were not answered for in time; raise what the first that failed raised."""
        if len(digests) == 1:
            return [digest for digest in digests if not has(digest)]
        asked = {self._pool.submit(has, digest): digest for digest in digests}
        try:
            done, _ = wait(asked, self._seconds)
            there = {asked[answer] for answer in done if answer.result()}
        finally:
            for answer in asked:
                answer.cancel()
        return [digest for digest in digests if digest not in there]

    def close(self) -> None:
        """Let go of the threads; those that still wait for an answer end with it."""
        self._pool.shutdown(wait=False, cancel_futures=True)
