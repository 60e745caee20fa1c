# SPDX-License-Identifier: Apache-2.0
"""Running a command under strace."""

from __future__ import annotations

import os
import signal
import time

from pytrace_exec.streams import kinds
from pytrace_exec.tracer import keeper
from pytrace_exec.tracer.child import Relay, spawn
from pytrace_exec.tracer.events import Call
from pytrace_exec.tracer.log_holder import LogHolder
from pytrace_exec.tracer.strace_command import Detail, TracerUnavailable, check_possible, command_line
from pytrace_exec.tracer.watch import Log, Watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytrace_exec.tracer.events import Event
    from pytrace_exec.tracer.watch import Streams

__all__ = ["Detail", "Trace", "TracerUnavailable", "run_traced"]

GRACE = 2.0
"""How long, in seconds, what the command started may go on after the command itself and still be part of the run."""


class Trace:
    """A run as it was seen.

    `status` is the wait status of the command, `pid` its number, `started_ns` the wall clock just before it was
    executed. `left_running` are the processes that outlived it by more than the grace; they go on, traced to no
    effect. `problem` says what is missing from `events`, if `complete` is false.
    """

    __slots__ = ("complete", "events", "left_running", "pid", "problem", "started_ns", "status")

    def __init__(
        self,
        events: list[Event],
        status: int,
        left_running: list[int],
        problem: str | None,
        pid: int,
        started_ns: int,
    ) -> None:
        self.events = events
        self.status = status
        self.left_running = left_running
        self.complete = problem is None
        self.problem = problem
        self.pid = pid
        self.started_ns = started_ns


def run_traced(
    argv: Sequence[bytes],
    executable: bytes,
    env: Mapping[bytes, bytes],
    streams: Streams,
    detail: Detail,
    strace: bytes,
    grace: float = GRACE,
) -> Trace:
    """Run `argv` with exactly `env` in the working directory and return what it did.

    `executable` is the program that `argv[0]` was found to mean; `strace` is the path of the tracer. For the main
    thread. Raises TracerUnavailable if the command did not begin; then it may be run plainly with the same streams.
    """
    check_possible(executable)
    log = Log(detail.moving)
    holder = LogHolder(log.fileno()) if kinds.classify(2) in (kinds.FILE, kinds.DEVICE) else None
    try:
        args, environment = command_line(strace, log.path, argv, executable, env, detail)
        with Relay() as relay:
            started_ns = time.time_ns()
            pid = _spawn(strace, args, environment, streams)
            relay.attach(pid)
            streams.started(pid)
            watch = Watch(pid, log, streams, relay)
            ended = watch.run(grace)
        log.parse_all()
        status = watch.status
        assert status is not None
        _check_began(log, status, streams)
        left = [] if ended else _leave(log, streams)
        problem = _problem(log, watch.tracer_lost, left, argv, executable)
        return Trace(log.parser.events, status, left, problem, pid, started_ns)
    finally:
        log.close()
        if holder is not None:
            holder.end()


def _spawn(strace: bytes, args: list[bytes], env: dict[bytes, bytes], streams: Streams) -> int:
    try:
        return spawn(strace, args, env, streams.prepare())
    except OSError as error:
        # Not executable, or the arguments that strace needs in addition are too many.
        streams.close()
        raise TracerUnavailable(f"starting strace fails: {error.strerror}") from error


def _check_began(log: Log, status: int, streams: Streams) -> None:
    """Raise TracerUnavailable unless the command was executed, or was killed before it could be.

    strace ends with an exit status when it cannot trace, and by its own alarm when it cannot attach in time. Any
    other signal was meant for the command.
    """
    if log.begun:
        return
    if log.refused is not None:
        reason = f"executing it fails with {log.refused}"
    elif os.WIFSIGNALED(status) and os.WTERMSIG(status) != signal.SIGALRM:
        return
    else:
        said = streams.held_back().decode("utf-8", "replace").strip()
        reason = said or f"strace ended with status {os.waitstatus_to_exitcode(status)}"
    streams.close()
    raise TracerUnavailable(reason)


def _problem(log: Log, tracer_lost: bool, left: list[int], argv: Sequence[bytes], executable: bytes) -> str | None:
    """Say what keeps the trace from being whole, or None."""
    if left or not log.ended:
        return "processes were left running"
    if log.unreadable is not None:
        return f"the log could not be read: {log.unreadable}"
    log.parser.finish()
    if not log.begun:
        return "the command was killed before it began"
    if tracer_lost or log.parser.living:
        return "strace ended before what it traced did"
    first = log.parser.events[0]
    wanted = argv[0] if b"/" in argv[0] else executable
    if not (isinstance(first, Call) and first.name == "execve" and first.args[0] == wanted and first.result == 0):
        return "the first call is not the execution of the command"
    return None


def _leave(log: Log, streams: Streams) -> list[int]:
    """Let go of what outlives the grace and return its processes."""
    tracer = 0 if log.ended else next(filter(None, map(keeper.tracer_of, log.parser.living)), 0)
    left = keeper.traced_by(tracer) if tracer else []
    keeper.close_unheld(streams, tracer)
    if not log.ended or streams.polled():
        keeper.leave(-1 if log.ended else log.fileno(), streams, tracer)
    return left
