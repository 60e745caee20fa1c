# SPDX-License-Identifier: Apache-2.0
"""Descriptors 0, 1 and 2 of one run: what the command gets, what is recorded, what the caller receives."""

from __future__ import annotations

import os

from pytrace_exec.streams import kinds
from pytrace_exec.streams.spool import Spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytrace_exec.streams.left_file import LeftFile
    from pytrace_exec.streams.outlet import Outlet
    from pytrace_exec.streams.spool import Source
    from pytrace_exec.streams.stdin import ReadAhead
    from pytrace_exec.streams.terminal import Resizing, Terminal

STDOUT, STDERR = 1, 2

READER_GONE = "reader_gone"
"""The caller stopped reading an output before it ended."""
FOREIGN_WRITES = "foreign_writes"
"""A file on an output did not gain exactly what the command wrote, or its writes are not known."""
HELD = "held"
"""Something that was left running still holds an output."""
UNRECORDED = "unrecorded"
"""There was more than a record may hold, or no room for it."""

_RECORD_LIMIT = 1 << 30

# How often settings of a pseudo-terminal are looked at, in seconds: their change is no event.
_TERMINAL_TICK = 0.05


class Recorded:
    """What came out of a run.

    `segments` are `(stream, length)` in order; if `merged`, 1 and 2 are one place and all pumped bytes count as
    stream 1. An output of kind null, device or closed has no bytes here, whatever was written to it.
    """

    __slots__ = ("kinds", "merged", "problems", "segments", "stderr", "stdout")

    def __init__(
        self,
        segments: list[tuple[int, int]],
        stdout: Source,
        stderr: Source,
        found: tuple[str, str, str],
        merged: bool,
        problems: list[str],
    ) -> None:
        self.segments = segments
        self.stdout = stdout
        self.stderr = stderr
        self.kinds = found
        self.merged = merged
        self.problems = problems

    def close(self) -> None:
        """Give up the bytes."""
        self.stdout.close()
        self.stderr.close()


class Capture:
    """Looks at 0, 1 and 2 when made; `prepare`, spawn, `started`, then the loop calls the rest; `finish` at the end.

    `folder` is where long records go, which hold at most `limit` bytes. For one run, in the main thread.
    """

    __slots__ = (
        "_files",
        "_folder",
        "_given",
        "_limit",
        "_outlets",
        "_problems",
        "_recorded",
        "_resizing",
        "_segments",
        "_spools",
        "_terminals",
        "kinds",
        "merged",
        "read_ahead",
    )

    def __init__(self, folder: bytes, limit: int = _RECORD_LIMIT) -> None:
        self._folder = folder
        self._limit = limit
        self._recorded = 0
        self.kinds = (kinds.classify(0), kinds.classify(1), kinds.classify(2))
        self.merged = kinds.CLOSED not in self.kinds[1:] and kinds.same_place(1, 2)
        self.read_ahead: ReadAhead | None = None
        self._spools = {STDOUT: Spool(folder), STDERR: Spool(folder)}
        self._segments: list[tuple[int, int]] = []
        self._problems: set[str] = set()
        self._outlets: list[Outlet] = []
        self._files: dict[int, LeftFile] = {}
        self._given: list[int] = []
        self._terminals: list[tuple[Outlet, Terminal]] = []
        self._resizing: Resizing | None = None

    def read_stdin(self) -> Source | None:
        """Read a pipe on descriptor 0 to its end and return its bytes; None if something else is there."""
        if self.kinds[0] != kinds.PIPE:
            return None
        from pytrace_exec.streams.stdin import ReadAhead

        self.read_ahead = ReadAhead(self._folder)
        self.read_ahead.read_all()
        return self.read_ahead.spool

    def prepare(self) -> dict[int, int | None]:
        """Make what the command gets in place of 0, 1 and 2; return our descriptor for each that is replaced.

        A descriptor that was closed is named with None: nothing that we opened may stand there.
        """
        mapping: dict[int, int | None] = {n: None for n, kind in enumerate(self.kinds) if kind == kinds.CLOSED}
        if self.read_ahead is not None:
            self.read_ahead.open()
            mapping[0] = self.read_ahead.command_end
        for number in (STDOUT, STDERR):
            kind = self.kinds[number]
            if kind == kinds.FILE:
                from pytrace_exec.streams.left_file import LeftFile

                self._files[number] = LeftFile(number)
            elif kind in kinds.PUMPED:
                shared = number == STDERR and self.merged
                mapping[number] = self._given[0] if shared else self._replace(number)
        return mapping

    def _replace(self, number: int) -> int:
        from pytrace_exec.streams.outlet import Outlet, Sink

        terminal = None
        if self.kinds[number] == kinds.TTY:
            from pytrace_exec.streams.terminal import Terminal

            terminal = Terminal(number)
            ours, given = terminal.our_end, terminal.command_end
        else:
            ours, given = map(kinds.above_standard, os.pipe2(os.O_CLOEXEC))
            os.set_blocking(ours, False)
        self._given.append(given)
        self._outlets.append(Outlet(ours, os.fstat(given), Sink(number), self._recorder(number)))
        if terminal is not None:
            self._terminals.append((self._outlets[-1], terminal))
        return given

    def _recorder(self, stream: int) -> Callable[[bytes], None]:
        def record(data: bytes) -> None:
            if UNRECORDED in self._problems:
                return
            _extend(self._segments, stream, len(data))
            self._recorded += len(data)
            try:
                self._spools[stream].append(data)
            except OSError:
                self.stop_recording()
            if self._recorded > self._limit:
                self.stop_recording()

        return record

    def started(self, pid: int) -> None:
        """Close our copies of what the command was given, and pass changes of the window's size on to it."""
        for descriptor in self._given:
            os.close(descriptor)
        self._given.clear()
        if self.read_ahead is not None:
            self.read_ahead.hand_over()
        if self._terminals:
            from pytrace_exec.streams.terminal import Resizing

            self._resizing = Resizing(self._terminals, pid)

    def ended(self) -> None:
        """Say that the command has been waited for: its number may soon be another's."""
        if self._resizing is not None:
            self._resizing.end()
            self._resizing = None

    def polled(self) -> list[tuple[int, int]]:
        """Return descriptors and `poll` events to be told of; none when all is pumped."""
        asked = []
        for outlet in self._outlets[:]:
            if pairs := outlet.polled():
                asked += pairs
            else:
                # The caller's reader waits for the end of it.
                outlet.close()
                self._outlets.remove(outlet)
        if self.read_ahead is not None:
            asked += self.read_ahead.polled()
        return asked

    def ready(self, descriptor: int, events: int) -> None:
        """Move what can be moved on a descriptor."""
        self.tick()  # What was set before an output ended must not be missed.
        for outlet in self._outlets:
            if descriptor in (outlet.source, outlet.sink.descriptor):
                outlet.ready(descriptor, events)
                if outlet.sink.broken:
                    self._problems.add(READER_GONE)
                return
        if self.read_ahead is not None:
            self.read_ahead.ready(descriptor, events)

    def tick(self) -> float | None:
        """Follow changed settings of a terminal; return seconds until that is due again."""
        live = [terminal for outlet, terminal in self._terminals if not outlet.closed]
        for terminal in live:
            terminal.mirror()
        return _TERMINAL_TICK if live else None

    def held_back(self) -> bytes:
        """Take what was written before anything was pumped: what a tracer that failed to start had to say."""
        return b"".join(outlet.drain() for outlet in self._outlets)

    def kept_by_pumping(self) -> set[int]:
        """Return the descriptors that pumping on needs."""
        kept = {descriptor for descriptor, _ in self.polled()}
        for outlet in self._outlets:
            kept |= outlet.descriptors()
        return kept

    def sources(self) -> list[Outlet]:
        """Return the outputs that have not ended."""
        return [outlet for outlet in self._outlets if not outlet.closed]

    def stop_recording(self) -> None:
        """Give up the record and only pump from now on: the command's output matters more, and so does its disk."""
        self._problems.add(UNRECORDED)
        self._segments.clear()
        for stream, spool in self._spools.items():
            spool.close()
            self._spools[stream] = Spool(self._folder)

    def finish(self, writes: Sequence[tuple[int, int]] | None = ()) -> Recorded:
        """Return the record.

        `writes` are the sizes of the traced writes, `(stream, size)` in order, on outputs of kind file; None says
        that they are not known (a write at a position, a mapping, a truncation).
        """
        if self.sources():
            self._problems.add(HELD)
        sources: dict[int, Source] = dict(self._spools)
        segments: list[tuple[int, int]] = []
        if self._files:
            from pytrace_exec.streams.left_file import read_back

            together = self.merged and len(self._files) == 2
            found = None if writes is None else read_back(self._files, writes, together)
            if found is None:
                self._problems.add(FOREIGN_WRITES)
            else:
                sources |= found
                for stream, size in writes or ():
                    _extend(segments, stream, size)
        segments += self._segments
        self.close()
        problems = sorted(self._problems)
        return Recorded(segments, sources[STDOUT], sources[STDERR], self.kinds, self.merged, problems)

    def close(self) -> None:
        """Close everything but the record."""
        for outlet in self._outlets:
            outlet.close()
        self._outlets.clear()
        for descriptor in self._given:
            os.close(descriptor)
        self._given.clear()
        if self.read_ahead is not None:
            self.read_ahead.hand_over()
            self.read_ahead.close_writer()
        self._terminals.clear()


def _extend(segments: list[tuple[int, int]], stream: int, length: int) -> None:
    """Append a segment, or lengthen the last if it is of the same stream."""
    if segments and segments[-1][0] == stream:
        segments[-1] = (stream, segments[-1][1] + length)
    elif length:
        segments.append((stream, length))
