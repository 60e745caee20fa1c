# SPDX-License-Identifier: Apache-2.0
"""The native tracer's stream, decoded into events as it arrives: little-endian records, one after the other.

`docs/architecture.md` states the format. Nothing raises and nothing is passed over in silence: what is odd becomes
`Unparsed`, and after a record whose end cannot be trusted nothing more is read.
"""

from __future__ import annotations

import signal
import struct

from pytrace_exec.calls.numbers import foreign_call
from pytrace_exec.tracer.events import Again, Call, Exited, Fd, Foreign, Killed, Superseded, Unparsed
from pytrace_exec.tracer.native_arguments import DELETED_LINK, LINK, TOO_LONG, UNREADABLE, Plans
from pytrace_exec.tracer.native_values import UndecodableError
from pytrace_exec.tracer.native_words import ERRORS, RESTARTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pytrace_exec.tracer.events import Event
    from pytrace_exec.tracer.native_arguments import Plan

MAGIC = b"PTRSTRM\1"

_BEGIN = struct.Struct("<8sI")
_HEADER = struct.Struct("<III")
_CALL = struct.Struct("<IIq6Q")
_ATTACHMENT = struct.Struct("<H2xI")
_NUMBER = struct.Struct("<I")
_TWO_NUMBERS = struct.Struct("<II")
_END = struct.Struct("<IQ")
_SECURED = struct.Struct("<IQQqqqII")

_CALL_KIND, _END_KIND, _UNSEEN_KIND, _AGAIN_KIND = 1, 8, 9, 10
_NEVER, _LOOKED = 1, 2
_RESULT = 255

# The longest record, in bytes: the arguments of a program are at most 6 MiB.
_LONGEST = 1 << 25
_SHOWN = 200
_MOST_ERROR = 4095
_SIGRTMIN = 32
_SIGNALS = {number.value: number.name for number in signal.Signals}


class Secured:
    """Content that was there before a call destroyed it, held open by the tracer.

    `path` is where it lay, `identity` what told it apart then (device, inode, size, mtime and ctime in ns), `mode` and
    `nlink` are of its status then, and at `place` it can be read for as long as the tracer lives.
    """

    __slots__ = ("identity", "mode", "nlink", "path", "place")

    def __init__(self, tracer: int, path: bytes, fields: tuple[int, ...]) -> None:
        descriptor, *identity, self.mode, self.nlink = fields
        self.path = path
        self.identity = tuple(identity)
        self.place = b"/proc/%d/fd/%d" % (tracer, descriptor)


class StreamParser:
    """Turns the bytes of a stream into `events`, which grow as `feed` is called; `finish` ends the stream.

    `living` holds the threads and processes that were seen or made, and whose end was not seen. `tracer` is the
    tracer's number, 0 before it is known; `secured` is what it holds, in the order of the calls. `complete`: the
    stream's own end was read. `unseen`: the tracer lets the command run and tells no more. What `feed` has added to
    `events` does not change any more.
    """

    __slots__ = (
        "_chunks",
        "_count",
        "_ended",
        "_given_up",
        "_have",
        "_plans",
        "_readers",
        "_told",
        "_want",
        "complete",
        "events",
        "living",
        "secured",
        "tracer",
        "unseen",
    )

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.living: set[int] = set()
        self.secured: list[Secured] = []
        self.tracer = 0
        self._chunks: list[bytes] = []
        self._have = 0
        self._want = _BEGIN.size
        self._count = 0
        self.complete = False
        self.unseen = False
        self._given_up = False
        self._ended: set[int] = set()
        self._plans = Plans()
        self._told: dict[int, Call] = {}
        self._readers: dict[int, Callable[[int, bytes], None]] = {
            2: self._exited,
            3: self._killed,
            4: self._superseded,
            5: self._problem,
            6: self._foreign,
            7: self._secured,
            _UNSEEN_KIND: self._unseen,
            _AGAIN_KIND: self._again,
        }

    def feed(self, data: bytes) -> None:
        """Decode all records that `data` completes; an incomplete last one waits for more."""
        if self._given_up:
            return
        self._chunks.append(data)
        self._have += len(data)
        if self._have < self._want:
            return
        data = b"".join(self._chunks)
        at = self._records(data, 0 if self.tracer else self._begin(data))
        self._chunks = [data[at:]]
        self._have = len(data) - at

    def finish(self) -> None:
        """Report a stream that does not end as it should."""
        if not self._given_up and (not self.complete or self._have):
            self._give_up(b"".join(self._chunks), "the stream does not end where the tracer said so")

    def _unparsed(self, data: bytes, why: str) -> None:
        self.events.append(Unparsed(data[:_SHOWN], why, self._count))

    def _give_up(self, data: bytes, why: str) -> int:
        """Report what was found and read nothing more; returns where to go on, which is the end."""
        self._given_up = True
        self._unparsed(data, why)
        return len(data)

    def _begin(self, data: bytes) -> int:
        magic, self.tracer = _BEGIN.unpack_from(data)
        if magic != MAGIC or not self.tracer:
            return self._give_up(data, "no stream of this tracer")
        return _BEGIN.size

    def _records(self, data: bytes, at: int) -> int:
        """Decode records from `at` on; returns where the first incomplete one begins."""
        length = len(data)
        self._want = _HEADER.size
        while not self._given_up and at + _HEADER.size <= length:
            size, what, pid = _HEADER.unpack_from(data, at)
            if self.complete or not _HEADER.size <= size <= _LONGEST:
                self._give_up(data[at:], "a record of impossible size, or after the end")
                return length
            end = at + size
            if end > length:
                self._want = size
                break
            self._count += 1
            self._record(data, at, end, what, pid)
            at = end
        return at

    def _record(self, data: bytes, at: int, end: int, what: int, pid: int) -> None:
        """Decode one record; `what`: its kind, its state, and how many attachments it has."""
        body = at + _HEADER.size
        try:
            if what & 0xFF == _CALL_KIND:
                self._call(data, body, end, what, pid)
            else:
                self._other(what & 0xFF, pid, data[body:end])
        except (UndecodableError, struct.error) as problem:
            self._unparsed(data[at:end], str(problem))

    def _call(self, data: bytes, at: int, end: int, what: int, pid: int) -> None:
        state, count = what >> 8 & 0xFF, what >> 16
        if at + _CALL.size > end or state > _LOOKED:
            raise UndecodableError("no call")
        number, again, result, *registers = _CALL.unpack_from(data, at)
        plan = self._plans[number]
        args: list[Any] = registers[: plan.count]
        for position, meaning in plan.words:
            args[position] = meaning[args[position]]
        made, there, lost = _attach(plan, args, result, data, at + _CALL.size, end, count)
        if absent := plan.attached & ~there:
            for position in range(plan.count):
                if absent >> position & 1:
                    args[position] = plan.without(position, registers[position], UNREADABLE)
        error: str | None = None
        if state == _NEVER:
            result = None
        elif -_MOST_ERROR <= result < 0:
            error = ERRORS.get(-result, f"E{-result}")
            result = None if -result in RESTARTS else -1
        elif (lost or absent & plan.needed) and not plan.is_whole(registers, absent, lost):
            raise UndecodableError("an argument of a call that succeeded could not be read")
        elif plan.forks and result and result not in self._ended:
            # A child may have come and gone before its parent's call returns.
            self.living.add(result)
        call = Call(pid, plan.name, tuple(args), result, made, error, self._count, self._count)
        self.events.append(call)
        self.living.add(pid)
        if again and plan.looks and state != _NEVER:
            self._told[again] = call

    def _other(self, kind: int, pid: int, body: bytes) -> None:
        if kind == _END_KIND and not body:
            self.complete = True
        elif kind in self._readers:
            self._readers[kind](pid, body)
        else:
            raise UndecodableError("a record of unknown kind")

    def _again(self, pid: int, body: bytes) -> None:
        numbers = struct.unpack(f"<{len(body) // 4}I", body)
        try:
            calls = [self._told[number] for number in numbers]
        except KeyError:
            raise UndecodableError("something was told again that was never told") from None
        if not calls:
            raise UndecodableError("nothing was told again")
        self.events.append(Again(pid, self._count, calls))
        self.living.add(pid)
        self._count += len(calls) - 1

    def _exited(self, pid: int, body: bytes) -> None:
        code, at = _END.unpack(body)
        self._end(pid)
        self.events.append(Exited(pid, code, self._count, at))

    def _killed(self, pid: int, body: bytes) -> None:
        number, at = _END.unpack(body)
        self._end(pid)
        self.events.append(Killed(pid, signal_name(number), self._count, at))

    def _end(self, pid: int) -> None:
        self.living.discard(pid)
        self._ended.add(pid)

    def _superseded(self, pid: int, body: bytes) -> None:
        (by,) = _NUMBER.unpack(body)
        self.events.append(Superseded(pid, by, self._count))
        self.living.discard(by)
        self.living.add(pid)

    def _problem(self, pid: int, body: bytes) -> None:
        self._unparsed(body, "the tracer could not follow")

    def _unseen(self, pid: int, body: bytes) -> None:
        self.unseen = True
        self._unparsed(body, "the tracer failed before the first call")

    def _foreign(self, pid: int, body: bytes) -> None:
        self.events.append(Foreign(pid, foreign_call(*_TWO_NUMBERS.unpack(body)), self._count))
        self.living.add(pid)

    def _secured(self, pid: int, body: bytes) -> None:
        self.secured.append(Secured(self.tracer, body[_SECURED.size :], _SECURED.unpack_from(body)))


def _attach(
    plan: Plan, args: list[Any], result: int, data: bytes, at: int, end: int, count: int
) -> tuple[Fd | None, int, int]:
    """Read what is attached to a call into `args`, which hold the registers.

    Returns the descriptor that the call made, and for each argument a bit: whether something is attached, and whether
    it only says that nothing could be read.
    """
    readers = plan.readers
    made: Fd | None = None
    there = lost = 0
    for _ in range(count):
        key, length = _ATTACHMENT.unpack_from(data, at)
        at += _ATTACHMENT.size
        stop = at + length
        position = key & 0xFF
        bit = 1 << position
        if stop > end or (there & bit and position != plan.several):
            raise UndecodableError("an attachment is too long, or one too many")
        there |= bit
        if key in readers:
            read = readers[key]
            args[position] = data[at:stop] if read is None else read(args[position], data[at:stop])
        elif position == _RESULT:
            made = _made(key >> 8, result, data[at:stop])
        elif plan.attached & bit and key >> 8 in (UNREADABLE, TOO_LONG):
            lost |= bit
            args[position] = plan.without(position, args[position], key >> 8)
        else:
            raise UndecodableError("something is attached that does not belong there")
        at = stop
    if at != end:
        raise UndecodableError("something follows a call")
    return made, there, lost


def _made(type_of: int, result: int, path: bytes) -> Fd | None:
    """The descriptor that a call made; None if it was closed at once, or its path is too long."""
    if type_of == UNREADABLE:
        return None
    if type_of not in (LINK, DELETED_LINK):
        raise UndecodableError("a result that leads to something else than a path")
    return Fd(result, path, type_of == DELETED_LINK)


def signal_name(number: int) -> str:
    """Name a signal as strace does: `SIGSEGV`, `SIGRT_3`."""
    if number >= _SIGRTMIN:
        return f"SIGRT_{number - _SIGRTMIN}"
    return _SIGNALS.get(number, f"SIG_{number}")
