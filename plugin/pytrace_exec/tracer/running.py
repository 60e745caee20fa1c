# SPDX-License-Identifier: Apache-2.0
"""Running a command under a tracer, whichever it is."""

from __future__ import annotations

import os
import signal
import time

from pytrace_exec.streams import kinds
from pytrace_exec.tracer import keeper
from pytrace_exec.tracer.child import Relay, spawn
from pytrace_exec.tracer.descendants import reap
from pytrace_exec.tracer.events import Call, Unparsed
from pytrace_exec.tracer.log_holder import LogHolder
from pytrace_exec.tracer.possible import TracerUnavailable, check_possible
from pytrace_exec.tracer.watch import Log, Watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Protocol

    from pytrace_exec.tracer.watch import Parser, Reading, Streams

    class Tracer(Protocol):
        """A way to trace a command: a program that becomes the command and writes a log of what that does.

        `complains`: it says on the command's standard error that it cannot write its log, which must be read to its
        end; others go on without. `abandons`: when it is killed, what it traced goes on, and every traced call fails.
        """

        name: str
        complains: bool
        abandons: bool

        def parser(self) -> Parser:
            """Return what turns its log into events."""

        def command_line(
            self, log: bytes, argv: Sequence[bytes], executable: bytes, env: Mapping[bytes, bytes]
        ) -> tuple[list[bytes], dict[bytes, bytes]]:
            """Return its arguments, the first its path, and its environment for running `argv` with exactly `env`.

            Raises TracerUnavailable if that cannot be done.
            """

        def begun(self, started: int) -> int:
            """Return the command's process, our child, when its program has been started as `started`."""

        def named(self, argv: Sequence[bytes], executable: bytes) -> bytes:
            """Return by what path it executes the command."""


__all__ = ["Trace", "TracerUnavailable", "run_traced"]

GRACE = 2.0
"""How long, in seconds, what the command started may go on after the command itself and still be part of the run."""

_TRACER_ENDS = 1.0  # seconds that are waited for a tracer to end that has nothing left to do


class Trace:
    """A run as it was seen.

    `status` is the wait status of the command, `pid` its number, `started_ns` the wall clock just before it was
    executed, `ended_ns` when it and what it started had ended. `left_running` are the processes that outlived it by
    more than the grace; they go on, traced to no effect. `problem` says what is missing from `events`, if `complete` is
    false. `reading` is what has read some of them already, if anything has. `secured` is what the run destroyed, as far
    as the tracer could keep it; `close` lets go of it.
    """

    __slots__ = (
        "_log", "complete", "ended_ns", "events", "left_running", "pid", "problem", "reading", "secured", "started_ns",
        "status",
    )  # fmt: skip

    def __init__(
        self,
        log: Log,
        status: int,
        left_running: list[int],
        problem: str | None,
        pid: int,
        started_ns: int,
        ended_ns: int,
    ) -> None:
        self._log = log
        self.events = log.parser.events
        self.secured = log.parser.secured
        self.reading = log.reading
        self.status = status
        self.left_running = left_running
        self.complete = problem is None
        self.problem = problem
        self.pid = pid
        self.started_ns = started_ns
        self.ended_ns = ended_ns

    def close(self) -> None:
        """Let the tracer end, and with it what it keeps."""
        _close(self._log, wait=not self.left_running)


def run_traced(
    argv: Sequence[bytes],
    executable: bytes,
    env: Mapping[bytes, bytes],
    streams: Streams,
    tracer: Tracer,
    grace: float = GRACE,
    begins: Callable[[int, int], Reading | None] = lambda pid, started_ns: None,
) -> Trace:
    """Run `argv` with exactly `env` in the working directory and return what it did.

    `executable` is the program that `argv[0]` was found to mean. `begins` is told the command's number and the moment
    before its execution; what it returns reads the events as they come. For the main thread. Raises TracerUnavailable
    if the command did not begin; then it may be run plainly with the same streams.
    """
    check_possible(executable)
    log = Log(tracer.parser())
    audible = tracer.complains and kinds.classify(2) in (kinds.FILE, kinds.DEVICE)
    holder = LogHolder(log.fileno()) if audible else None
    try:
        args, environment = tracer.command_line(log.path, argv, executable, env)
        with Relay() as relay:
            started_ns = time.time_ns()
            pid = _spawn(tracer, args, environment, streams)
            relay.attach(pid)
            streams.started(pid)
            log.reading = begins(pid, started_ns)
            watch = Watch(pid, log, streams, relay)
            ended = watch.run(grace)
            ended_ns = time.time_ns()
        log.parse_all()
        assert watch.status is not None
        _check_began(log, watch.status, streams, tracer)
        status = _earned(watch.status, pid, log, tracer)
        left = [] if ended else _leave(log, streams, tracer)
        problem = _problem(log, watch.tracer_lost, left, tracer, tracer.named(argv, executable))
        return Trace(log, status, left, problem, pid, started_ns, ended_ns)
    except BaseException:
        _close(log, wait=log.ended)
        raise
    finally:
        if holder is not None:
            holder.end()


def _close(log: Log, wait: bool) -> None:
    """Close the log, upon which the tracer ends if nothing is left to trace, and wait for it if it is our child."""
    log.close()
    if wait and log.parser.tracer:
        reap(log.parser.tracer, _TRACER_ENDS)


def _spawn(tracer: Tracer, args: list[bytes], env: dict[bytes, bytes], streams: Streams) -> int:
    try:
        started = spawn(args[0], args, env, streams.prepare())
    except OSError as error:
        # Not executable, or the arguments that the tracer needs in addition are too many.
        streams.close()
        raise TracerUnavailable(f"starting {tracer.name} fails: {error.strerror}") from error
    return tracer.begun(started)


def _check_began(log: Log, status: int, streams: Streams, tracer: Tracer) -> None:
    """Raise TracerUnavailable unless the command was executed, or was killed before it could be.

    A tracer ends with an exit status when it cannot trace, strace by its own alarm when it cannot attach in time. Any
    other signal was meant for the command.
    """
    if log.begun:
        return
    if os.WIFSIGNALED(status):
        keeper.end_trials(log.path)
    if log.refused is not None:
        reason = log.refused
    elif os.WIFSIGNALED(status) and os.WTERMSIG(status) != signal.SIGALRM:
        return
    else:
        said = streams.held_back().decode("utf-8", "replace").strip() or _first_problem(log)
        reason = said or f"{tracer.name} ended with status {os.waitstatus_to_exitcode(status)}"
    streams.close()
    raise TracerUnavailable(reason)


def _earned(status: int, pid: int, log: Log, tracer: Tracer) -> int:
    """The command's wait status; that of being killed if it ended by wrong answers before it could be killed."""
    abandoned = tracer.abandons and log.ended and log.unreadable is None and pid in log.parser.living
    return int(signal.SIGKILL) if abandoned else status


def _first_problem(log: Log) -> str:
    """What the tracer itself said, if it did."""
    texts = (event.text for event in log.parser.events if isinstance(event, Unparsed))
    return next(texts, b"").decode("utf-8", "replace")


def _problem(log: Log, tracer_lost: bool, left: list[int], tracer: Tracer, named: bytes) -> str | None:
    """Say what keeps the trace from being whole, or None."""
    if left or not log.ended:
        return "processes were left running"
    if log.unreadable is not None:
        return f"the log could not be read: {log.unreadable}"
    log.parser.finish()
    if not log.begun:
        return "the command was killed before it began"
    if tracer_lost or log.parser.living:
        return f"{tracer.name} ended before what it traced did"
    first = log.parser.events[0]
    if not (isinstance(first, Call) and first.name == "execve" and first.args[0] == named and first.result == 0):
        return "the first call is not the execution of the command"
    return None


def _leave(log: Log, streams: Streams, tracer: Tracer) -> list[int]:
    """Let go of what outlives the grace and return its processes."""
    pid = 0 if log.ended else next(filter(None, map(keeper.tracer_of, log.parser.living)), 0)
    left = keeper.traced_by(pid) if pid else []
    keeper.close_unheld(streams, pid)
    log_left = -1 if log.ended or not tracer.complains else log.fileno()
    if log_left >= 0 or streams.polled():
        keeper.leave(log_left, streams, pid)
    return left
