# SPDX-License-Identifier: Apache-2.0
"""How the C library keeps freed memory: a server that moves large messages needs it again at once, or not soon."""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # mallopt(3)
# Above the largest message that gRPC takes.
_LARGEST = 8 << 20
_KEPT = 64 << 20
# Each thread would have an arena of its own, up to eight a core, and each would keep as much.
_ARENAS = 2
# A server at rest for so many seconds needs no memory at once.
REST = 10.0


def keep_freed_memory() -> None:
    """Let messages come from memory that was freed before, of which so much is kept.

    Else each is mapped anew, and the kernel clears its pages one fault at a time: half of what a stream costs. Where
    the C library has no such choice, nothing happens.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, _ARENAS)
        mallopt(_M_MMAP_THRESHOLD, _LARGEST)
        mallopt(_M_TRIM_THRESHOLD, _KEPT)


def give_back_freed_memory() -> None:
    """Let the kernel have every whole page of freed memory, what is kept by `keep_freed_memory` included."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)
