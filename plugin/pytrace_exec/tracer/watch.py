# SPDX-License-Identifier: Apache-2.0
"""The loop that reads the tracer's log, pumps the command's streams and waits for its end, all at once."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import time

from pytrace_exec.tracer.child import UNHEARD_MS
from pytrace_exec.tracer.events import Call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Protocol

    from pytrace_exec.tracer.child import Relay
    from pytrace_exec.tracer.events import Event
    from pytrace_exec.tracer.native_stream import Secured

    class Parser(Protocol):
        """Turns the bytes of a log into `events`, which grow as it is fed.

        `living`: threads and processes whose end was not seen. `secured`: what the tracer keeps of what was destroyed.
        `complete`: the log says itself that nothing more comes, though its pipe may still be open. `unseen`: the tracer
        says that it failed and the command runs. `tracer`: the tracer's number if it is our child, else 0.
        """

        events: list[Event]
        living: set[int]

        @property
        def complete(self) -> bool: ...

        @property
        def unseen(self) -> bool: ...

        @property
        def tracer(self) -> int: ...

        @property
        def secured(self) -> Sequence[Secured]: ...

        def feed(self, data: bytes) -> None:
            """Read what `data` completes."""

        def finish(self) -> None:
            """Take note that nothing more comes."""

    class Reading(Protocol):
        """Reads the events of a run while it goes on; what it raises ends it."""

        def read_some(self, events: Sequence[Event]) -> bool:
            """Read on for a moment in what has come so far; return whether there is more that can be read now."""

    class Output(Protocol):
        """One output of the command on its way through us."""

        def writing_end(self) -> os.stat_result:
            """Return what the command's descriptor of it leads to."""

        def finish(self) -> None:
            """Pump what is there, then regard it as ended."""

    class Streams(Protocol):
        """What stands on the descriptors of the command: `pytrace_exec.streams.capture.Capture`."""

        def prepare(self) -> Mapping[int, int | None]:
            """Return which of our descriptors the command gets for which of its own; None closes one."""

        def started(self, pid: int) -> None:
            """Note that the command has been started."""

        def ended(self) -> None:
            """Note that the command has been waited for."""

        def polled(self) -> list[tuple[int, int]]:
            """Return descriptors and `poll` events to be told of; none when all is pumped."""

        def ready(self, descriptor: int, events: int) -> None:
            """Do what is possible on a descriptor without waiting."""

        def tick(self) -> float | None:
            """Do what needs no event; return seconds after which to be called again at the latest."""

        def held_back(self) -> bytes:
            """Take what was written before anything was pumped."""

        def kept_by_pumping(self) -> set[int]:
            """Return the descriptors that pumping on needs."""

        def stop_recording(self) -> None:
            """Give up the record and only pump from now on."""

        def sources(self) -> Sequence[Output]:
            """Return the outputs that have not ended."""

        def close(self) -> None:
            """Close everything but the record; `prepare` may follow."""


# How long the log is left alone after it was read, in seconds: a wake-up for every line would slow the tracer, whose
# write would have to wake us on the other processor. Its pipe holds far more than is written in this time.
_BATCH = 0.01
_LOG_PIPE = 1 << 20
_NEVER = float("inf")
_READ = 1 << 18
# How much is parsed before looking at the descriptors again, in bytes: some milliseconds' worth.
_SLICE = 1 << 16


class Log:
    """The pipe that a tracer writes to: read without ever waiting for the parser, parsed when nothing else is to do.

    `begun` says that the command has been executed; `refused` is the reason if it could not be. `unreadable` says how
    the parser failed, if it did: then the rest is not parsed. `reading` reads the events as they come.
    """

    __slots__ = (
        "_chunks",
        "_reader",
        "_unread",
        "_writer",
        "begun",
        "ended",
        "parser",
        "reading",
        "refused",
        "unreadable",
    )

    def __init__(self, parser: Parser) -> None:
        self._reader, self._writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        _enlarge(self._reader)
        self._chunks: list[bytes] = []
        self.parser = parser
        self.begun = False
        self.refused: str | None = None
        self.unreadable: str | None = None
        self.ended = False
        self.reading: Reading | None = None
        self._unread = False

    @property
    def path(self) -> bytes:
        """The name by which another process opens the writing end; opening either end's link gives a new one."""
        return b"/proc/%s/fd/%d" % (os.readlink(b"/proc/self"), self._reader)

    def fileno(self) -> int:
        """Return the reading end, for `poll`."""
        return self._reader

    def release(self) -> None:
        """Close our writing end, so that the tracer's end is the log's end."""
        if self._writer >= 0:
            os.close(self._writer)
            self._writer = -1

    def close(self) -> None:
        """Close both ends."""
        self.release()
        os.close(self._reader)

    def read(self) -> None:
        """Take all that the pipe holds."""
        while not self.ended:
            try:
                data = os.read(self._reader, _READ)
            except BlockingIOError:
                return
            if not data:
                self.ended = True
                return
            if self.begun:
                self._chunks.append(data)
            else:
                self._begin(data)

    def _begin(self, data: bytes) -> None:
        """Parse at once until the first call is known, which is the execution of the command."""
        self.release()
        self._parse(data)
        self.begun = self.parser.unseen
        for event in self.parser.events:
            if isinstance(event, Call):
                if event.name == "execve" and event.error is not None:
                    self.refused = f"executing it fails with {event.error}"
                self.begun = self.refused is None
                return
        if self.unreadable is not None:
            self.begun = True  # for all that is known: it must not be run a second time

    @property
    def waiting(self) -> bool:
        """Whether something can be done with what has come."""
        return bool(self._chunks) or (self._unread and self.reading is not None and self.begun)

    def work_on(self) -> None:
        """Parse a slice of what has come; if all is parsed, let a slice of the events be read."""
        if self._chunks:
            self._parse_some()
        elif self.reading is not None:
            try:
                self._unread = self.reading.read_some(self.parser.events)
            except Exception:  # whatever it is: the command runs on, and it will come again when it has ended
                self.reading = None

    def _parse_some(self) -> None:
        chunk = self._chunks.pop(0)
        self._parse(chunk[:_SLICE])
        if len(chunk) > _SLICE:
            self._chunks.insert(0, chunk[_SLICE:])

    def parse_all(self) -> None:
        """Parse everything that was read."""
        chunks, self._chunks = self._chunks, []
        for chunk in chunks:
            self._parse(chunk)

    def _parse(self, data: bytes) -> None:
        if self.unreadable is None:
            self._unread = True
            try:
                self.parser.feed(data)
                self.ended = self.ended or self.parser.complete
            except Exception as error:  # whatever it is: the command runs on
                self.unreadable = repr(error)


def _enlarge(pipe: int) -> None:
    try:
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _LOG_PIPE)
    except PermissionError:
        return  # Over the user's share of pipe memory; the default size only means more wake-ups.


class Watch:
    """Watches one command until it, everything it started, and its streams have ended, or time is up.

    `log` is None for a command that is not traced.
    """

    __slots__ = ("_log", "_log_due", "_pid", "_pidfd", "_relay", "_streams", "status", "tracer_lost")

    def __init__(self, pid: int, log: Log | None, streams: Streams, relay: Relay) -> None:
        self._pid = pid
        self._pidfd = os.pidfd_open(pid)
        self._log = log
        self._log_due = 0.0
        self._streams = streams
        self._relay = relay
        self.status: int | None = None
        self.tracer_lost = False

    def run(self, grace: float) -> bool:
        """Watch; return whether everything ended within `grace` seconds after the command itself."""
        deadline = _NEVER
        while self.status is None or not self._all_ended():
            if self.status is not None:
                deadline = min(deadline, time.monotonic() + grace)
                if time.monotonic() > deadline:
                    return False
            self._turn(deadline)
        return True

    @property
    def _pumping(self) -> bool:
        """Nothing is pumped before the log begins: until then only the tracer can have written, of its own failure."""
        return self._log is None or self._log.begun

    def _all_ended(self) -> bool:
        return (self._log is None or self._log.ended) and not (self._pumping and self._streams.polled())

    def _turn(self, deadline: float) -> None:
        """Wait for something to happen and deal with it; parse and read while nothing does."""
        now = time.monotonic()
        poll = select.poll()
        until = deadline
        if self.status is None:
            poll.register(self._pidfd, select.POLLIN)
        if self._log is not None and not self._log.ended:
            due = now >= self._log_due or self.status is not None
            # Its end is told at once in any case: a command that lost its tracer must not go on.
            poll.register(self._log, select.POLLIN if due else 0)
            if not due:
                until = min(until, self._log_due)
        if self._pumping:
            for descriptor, events in self._streams.polled():
                poll.register(descriptor, events)
            until = min(until, now + (self._streams.tick() or _NEVER))
        waiting = self._log is not None and self._log.waiting
        ready = poll.poll(0 if waiting else _milliseconds(until - now))
        for descriptor, events in ready:
            self._serve(descriptor, events)
        if self._log is not None and waiting and not ready:
            self._log.work_on()

    def _serve(self, descriptor: int, events: int) -> None:
        if descriptor == self._pidfd:
            self._reap()
        elif self._log is not None and descriptor == self._log.fileno():
            self._log.read()
            self._log_due = time.monotonic() + _BATCH
            if self._log.ended and self._log.begun and not self._has_ended():
                self.tracer_lost = True
                self._relay.detach()
                _end_untraced(self._pid)
        else:
            self._streams.ready(descriptor, events)

    def _reap(self) -> None:
        self._relay.detach()
        _, self.status = os.waitpid(self._pid, 0)
        os.close(self._pidfd)
        self._streams.ended()
        if self._log is not None:
            self._log.release()

    def _has_ended(self) -> bool:
        return self.status is not None or (
            os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        )


def _milliseconds(seconds: float) -> int:
    return UNHEARD_MS if seconds * 1000 >= UNHEARD_MS else max(0, int(seconds * 1000) + 1)


def _end_untraced(command: int) -> None:
    """End what lost its tracer, as if whoever killed the tracer had killed it.

    Every traced call of it fails with ENOSYS from now on: it would go on by wrong answers. The command itself stands
    still at once, and lives until all that it started is found.
    """
    from pytrace_exec.tracer.descendants import descendants, send

    send(command, signal.SIGSTOP)
    for pid in descendants(os.getpid()):
        send(pid, signal.SIGKILL)
