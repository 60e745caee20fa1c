# SPDX-License-Identifier: Apache-2.0
"""Running a command without tracing it."""

from __future__ import annotations

import errno
import os

from pytrace_exec.tracer.child import UNHEARD_MS, Relay, spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytrace_exec.tracer.watch import Streams

SHELL = b"/bin/sh"

# Long enough to pump what a command wrote just before it ended, in seconds.
_GRACE = 0.1


def run_plain(
    argv: Sequence[bytes],
    executable: bytes,
    env: Mapping[bytes, bytes],
    streams: Streams | None = None,
    pid_namespace: bool = False,
) -> int:
    """Run `argv` with exactly `env` and return its wait status.

    `executable` is the program that `argv[0]` was found to mean. Without `streams` the command has our descriptors,
    as a bypass should; with them it is pumped as a traced one is (needed when stdin has been read ahead). For the
    main thread. Raises OSError when the program cannot be executed, NamespaceUnavailable when it is to have a PID
    namespace and cannot.
    """
    start = _start_in_namespace if pid_namespace else spawn
    program = argv[0] if b"/" in argv[0] else executable
    with Relay() as relay:
        descriptors = streams.prepare() if streams is not None else None
        try:
            pid = start(program, argv, env, descriptors)
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            # A script without an interpreter is the shell's, as for execvp(3).
            pid = start(SHELL, [SHELL, program, *argv[1:]], env, descriptors)
        relay.attach(pid)
        if streams is None:
            _await_end(pid)
            relay.detach()
            return os.waitpid(pid, 0)[1]
        return _pump(pid, streams, relay)


def _await_end(pid: int) -> None:
    """Wait until a command can be waited for, and let Python's handlers run meanwhile, as `Watch` does."""
    import select

    try:
        pidfd = os.pidfd_open(pid)
    except OSError:  # too many are open: then signals are heard unless they come just before the wait
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        return
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    while not poll.poll(UNHEARD_MS):
        pass
    os.close(pidfd)


def _start_in_namespace(
    program: bytes,
    argv: Sequence[bytes],
    env: Mapping[bytes, bytes],
    descriptors: Mapping[int, int | None] | None = None,
) -> int:
    """Start a program as `spawn` does, in a PID namespace."""
    from pytrace_exec.tracer.namespace import Launch, command_line

    launch = Launch()
    line = command_line(launch, program, argv)
    try:
        started = spawn(line[0], line, env, descriptors)
    except OSError:
        launch.close()
        raise
    pid = launch.command_of(started, traced=False)
    if launch.refused:
        os.waitpid(pid, 0)
        raise OSError(launch.refused, os.strerror(launch.refused))
    return pid


def _pump(pid: int, streams: Streams, relay: Relay) -> int:
    from pytrace_exec.tracer import keeper
    from pytrace_exec.tracer.watch import Watch

    streams.started(pid)
    watch = Watch(pid, None, streams, relay)
    if not watch.run(_GRACE):
        keeper.leave(-1, streams, 0)
    streams.close()
    assert watch.status is not None
    return watch.status
