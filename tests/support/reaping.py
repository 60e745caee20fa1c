# SPDX-License-Identifier: Apache-2.0
"""Run a command and wait for every orphan that it leaves, as a process 1 does that is an init.

In many containers process 1 waits for nothing: thousands of tests would fill its table of processes, which some limit,
and each look through /proc would take longer and longer. Usage: python -m tests.support.reaping COMMAND [ARGUMENT...]
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys

_PR_SET_CHILD_SUBREAPER = 36
_FOR_ALL = (signal.SIGINT, signal.SIGQUIT)  # a terminal sends them to the command as well
_PASSED_ON = (signal.SIGTERM, signal.SIGHUP)


def run(command: list[str]) -> int:
    """Run it to its end; return its exit status as a shell would."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with subprocess.Popen(command) as started:
        for number in _FOR_ALL:
            signal.signal(number, lambda *_: None)
        for number in _PASSED_ON:
            signal.signal(number, lambda passed, _: started.send_signal(passed))
        while True:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
            assert ended is not None
            if ended.si_pid == started.pid:
                break
            os.waitpid(ended.si_pid, 0)
        status = started.wait()
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
