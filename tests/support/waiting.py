# SPDX-License-Identifier: Apache-2.0
"""Waiting for what another process or thread brings about, and not for ever."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = 60.0
STEP = 0.01


class NeverCame(AssertionError):
    """What was waited for did not come."""

    def __init__(self, what: str, seconds: float) -> None:
        super().__init__(f"{what}: not within {seconds:.0f} s")


def until(holds: Callable[[], object], what: str, seconds: float = SECONDS, step: float = STEP) -> None:
    """Ask again and again until something holds; raise `NeverCame`, which says `what`, after so many seconds."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise NeverCame(what, seconds)
        time.sleep(step)
