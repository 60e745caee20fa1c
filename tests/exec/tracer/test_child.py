# SPDX-License-Identifier: Apache-2.0
"""A command's stops are followed whenever they come."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.exec.tracer.driving import ROOT

# The command stops itself, and only then is the relay told which process it is: as on a machine that is busy.
FOLLOWING = """
import os, sys, time
from pytrace_exec.tracer.child import Relay, spawn

with Relay() as relay:
    pid = spawn(b"/bin/sh", [b"sh", b"-c", sys.argv[1].encode()], os.environb)
    while open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0] != "T":
        time.sleep(0.01)
    relay.attach(pid)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGTTIN])
def test_a_stop_before_anybody_asked_is_followed(number: signal.Signals) -> None:
    script = f"kill -{number:d} $$; echo on; exit 3"
    with subprocess.Popen(
        [sys.executable, "-c", FOLLOWING, script], stdout=subprocess.PIPE, cwd=ROOT, process_group=0
    ) as process:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        assert os.WSTOPSIG(status) == number
        os.kill(process.pid, signal.SIGCONT)
        said, _ = process.communicate(timeout=60)
    assert (process.returncode, said) == (3, b"on\n")
