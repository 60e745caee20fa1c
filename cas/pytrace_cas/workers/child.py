# SPDX-License-Identifier: Apache-2.0
"""From a fork to a worker, and to its end."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import traceback
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytrace_cas.workers.worker import Worker

_PR_SET_PDEATHSIG = 1
FAILED = 1


def become_worker(parent: int, worker: Worker, run: Callable[[Worker], int]) -> NoReturn:
    """Do a worker's work in a process that was just forked by `parent`, and end it; never return.

    It dies with its supervisor. SIGTERM and SIGHUP stay blocked until `Orders` takes them; SIGINT, which a terminal
    sends to all of us, is the supervisor's.
    """
    status = FAILED
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(FAILED)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        status = run(worker)
    except BaseException:
        traceback.print_exc()
    finally:
        # What the supervisor has to undo in the end is not this process's.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
