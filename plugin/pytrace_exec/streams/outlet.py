# SPDX-License-Identifier: Apache-2.0
"""The way of an output through us: from what the command writes to, into the record, to the caller's descriptor."""

from __future__ import annotations

import errno
import os
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_READ = 1 << 16
# As much as a pipe holds: then the command waits for a slow reader as it would without us.
_BACKLOG = 1 << 16
# A blocking descriptor takes this much after `poll` called it writable.
_SAFE_WRITE = select.PIPE_BUF
_GONE = select.POLLERR | select.POLLHUP | select.POLLNVAL


class Sink:
    """The caller's descriptor, written to without waiting and without changing it for those who share it.

    A pipe or terminal is opened once more, so that not to block is a property of our own description of it. Where
    that is not possible (sockets, another user's pipe) little is written at a time, after `poll` allowed it.
    """

    __slots__ = ("_backlog", "blocking", "broken", "descriptor")

    def __init__(self, descriptor: int) -> None:
        self._backlog = bytearray()
        self.broken = False
        self.blocking = False
        try:
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            self.descriptor = os.open(b"/proc/self/fd/%d" % descriptor, flags)
        except OSError:
            self.descriptor = os.dup(descriptor)
            self.blocking = True

    @property
    def full(self) -> bool:
        """Whether nothing more should be put in for now."""
        return len(self._backlog) >= _BACKLOG

    @property
    def pending(self) -> int:
        """How many bytes were put in and not written yet."""
        return len(self._backlog)

    def put(self, data: bytes) -> None:
        """Take bytes; they are written when `write` is called, and dropped when nobody reads them any more."""
        if not self.broken:
            self._backlog += data

    def write(self) -> None:
        """Write as much as is taken now; `broken` is set when nobody will ever read it."""
        try:
            while self._backlog:
                most = _SAFE_WRITE if self.blocking else _BACKLOG
                del self._backlog[: os.write(self.descriptor, self._backlog[:most])]
                if self.blocking:
                    return
        except BlockingIOError:
            return
        except OSError:
            # EPIPE mostly, EIO of a terminal, ECONNRESET of a socket: whichever, no byte will arrive any more.
            self.abandon()

    def abandon(self) -> None:
        """Give up what was not written: nobody reads it any more."""
        self.broken = True
        self._backlog.clear()

    def close(self) -> None:
        """Close our description of it."""
        os.close(self.descriptor)


class Outlet:
    """Pumps one output: reads the end that belongs to us, records, writes to the caller.

    When the caller's reader has gone, our reading end is closed, so that the command meets the same SIGPIPE or EIO
    as it would have.
    """

    __slots__ = ("_place", "_record", "closed", "sink", "source")

    def __init__(self, source: int, place: os.stat_result, sink: Sink, record: Callable[[bytes], None]) -> None:
        self.source = source
        self.sink = sink
        self._place = place
        self._record = record
        self.closed = False

    def polled(self) -> list[tuple[int, int]]:
        """Return what to ask `poll` for; nothing when the output has ended and is written."""
        asked = []
        if not self.closed and not self.sink.full:
            asked.append((self.source, select.POLLIN))
        if self.sink.pending:
            asked.append((self.sink.descriptor, select.POLLOUT))
        elif not self.closed:
            asked.append((self.sink.descriptor, 0))
        return asked

    def descriptors(self) -> set[int]:
        """Return the descriptors that are open here."""
        return {self.sink.descriptor} if self.closed else {self.sink.descriptor, self.source}

    def ready(self, descriptor: int, events: int) -> None:
        """Move what can be moved."""
        if descriptor == self.source:
            self._read()
            # The caller's reader often waits: what was read is passed on in the same turn.
            if not self.sink.blocking:
                self.sink.write()
        elif events & select.POLLOUT:
            self.sink.write()
        elif events & _GONE:
            self.sink.abandon()
        if self.sink.broken:
            self.close_source()

    def _read(self) -> bool:
        """Read once; return whether there was anything."""
        try:
            data = os.read(self.source, _READ)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno != errno.EIO:  # The end of a pseudo-terminal.
                raise
            data = b""
        if data:
            self._record(data)
            self.sink.put(data)
        else:
            self.close_source()
        return bool(data)

    def writing_end(self) -> os.stat_result:
        """Return what the command's descriptor leads to: the same pipe, or the other side of the terminal."""
        return self._place

    def finish(self) -> None:
        """Pump what is there, then regard the output as ended."""
        while not self.closed and self._read():
            pass
        self.close_source()

    def drain(self) -> bytes:
        """Take what was written so far without recording it or passing it on."""
        try:
            return os.read(self.source, _READ)
        except OSError:
            return b""

    def close_source(self) -> None:
        """Close the end that the command's output arrives at."""
        if not self.closed:
            self.closed = True
            os.close(self.source)

    def close(self) -> None:
        """Close both sides."""
        self.close_source()
        self.sink.close()
