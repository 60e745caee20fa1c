# SPDX-License-Identifier: Apache-2.0
"""Runs one command under the tracer in a process of its own, whose descriptors and signals a test controls.

`python driver.py RESULT GRACE STRACE COMMAND...` writes what came out to the file RESULT, as a pickle.
"""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import sys
from types import SimpleNamespace

from pytrace_exec.calls.table import untraced
from pytrace_exec.streams.capture import Capture
from pytrace_exec.tracer.child import end_like
from pytrace_exec.tracer.plain import run_plain
from pytrace_exec.tracer.running import TracerUnavailable, run_traced
from pytrace_exec.tracer.strace import Detail, Strace

DETAIL = Detail(untraced(False, False), ("read", "write"), ("getdents64",))


def main() -> int:
    """Run the command line's command."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    capture = Capture(b"/tmp", int(os.environ.pop("RECORD_LIMIT", 1 << 30)))
    path, grace, strace, *argv = sys.argv[1:]
    command = [os.fsencode(arg) for arg in argv]
    executable = os.fsencode(shutil.which(argv[0]) or argv[0])
    environment = dict(os.environb)
    result = SimpleNamespace(
        driver=os.getpid(), unavailable=None, problem=None, complete=False, left_running=[], events=[]
    )
    result.read_ahead = None
    if environment.pop(b"READ_AHEAD", None):
        source = capture.read_stdin()
        result.read_ahead = None if source is None else b"".join(source.chunks())
    writes = pickle.loads(bytes.fromhex(environment.pop(b"WRITES", pickle.dumps(None).hex().encode()).decode()))
    try:
        trace = run_traced(command, executable, environment, capture, Strace(strace.encode(), DETAIL), float(grace))
        result.status, result.events = trace.status, trace.events
        result.problem, result.complete, result.left_running = trace.problem, trace.complete, trace.left_running
    except TracerUnavailable as unavailable:
        result.unavailable = unavailable.reason
        result.status = run_plain(command, executable, environment, capture)
    recorded = capture.finish(writes)
    result.kinds, result.merged, result.segments = recorded.kinds, recorded.merged, recorded.segments
    result.stdout, result.stderr = b"".join(recorded.stdout.chunks()), b"".join(recorded.stderr.chunks())
    result.problems = recorded.problems
    recorded.close()
    with open(path + ".part", "wb") as file:
        pickle.dump(result, file)
    os.rename(path + ".part", path)
    return end_like(result.status)


if __name__ == "__main__":
    sys.exit(main())
