# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from pytrace_exec.tracer.native_stream import StreamParser
from pytrace_exec.tracer.watch import Log
from tests.exec.tracer.stream_records import BEGIN, call, end, string, vector

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytrace_exec.tracer.events import Event

EXECUTED = call(7, "execve", (1, 2, 3), 0, string(0, b"/bin/x"), vector(1, b"x"))


class Reading:
    """Notes how many events there were each time; fails when there are too many."""

    def __init__(self, most: int) -> None:
        self.told: list[int] = []
        self._most = most

    def read_some(self, events: Sequence[Event]) -> bool:
        self.told.append(len(events))
        if len(events) > self._most:
            raise ValueError("too many")
        return len(self.told) % 2 == 1


def come(log: Log, data: bytes) -> None:
    """Let something come and work on it until there is nothing more to do."""
    with open(log.path, "wb", buffering=0) as pipe:
        pipe.write(data)
        log.read()
    while log.waiting:
        log.work_on()


def test_events_are_read_as_they_come_until_reading_fails() -> None:
    reading = Reading(most=2)
    with closing(Log(StreamParser())) as log:
        log.reading = reading
        come(log, BEGIN + EXECUTED)
        assert reading.told == [1, 1]
        come(log, EXECUTED)
        assert reading.told == [1, 1, 2, 2]
        come(log, EXECUTED)
        come(log, end(2, 7, 0))
        assert reading.told == [1, 1, 2, 2, 3]
        assert len(log.parser.events) == 4
        assert log.unreadable is None
