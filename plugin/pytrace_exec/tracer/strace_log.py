# SPDX-License-Identifier: Apache-2.0
"""The log of strace 6.1 (`-f -y -o`), parsed into events as it arrives.

Nothing raises and nothing is passed over in silence: what is not understood becomes `Unparsed`.
"""

from __future__ import annotations

import os
import re
import time
from functools import partial

from pytrace_exec.tracer.events import Call, Exited, Foreign, Killed, Superseded, Unparsed
from pytrace_exec.tracer.strace_flat import Atoms, Kept, flat_descriptor
from pytrace_exec.tracer.strace_values import NUMBER, Reader, UnreadableError, descriptor, number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from pytrace_exec.tracer.events import Event, Fd, Value

# A whole call with a plain result. What may follow the last `) = ` holds neither quotes nor angle brackets but those
# of the result's own path, so that the same characters inside an argument are never taken for the end of the call.
_PLAIN = re.compile(
    rb"(\d+) +(\w+)\((.*)\) += "
    rb"(?:(" + NUMBER + rb")|(\d+<[^<>\\]*>)|\?)(?: (E[A-Z0-9_]+))?(?: \([\w ,/'.|-]*\))?"
)
_LINE = re.compile(rb"(\d+) +(.*)", re.DOTALL)
_BEGUN = re.compile(rb"(\w+|\?\?\?)\(")
_SUSPENSION = re.compile(rb"<(?:unfinished|detached|pid changed to \d+) \.\.\.>")
_RESUMED = re.compile(rb"<\.\.\. (\w+|\?\?\?) resumed>(.*)", re.DOTALL)
_RESULT = re.compile(
    rb" *= (?:(" + NUMBER + rb")|\?)"
    rb"(?:<((?:[^<>\\]|\\[^<>])*|[A-Z][\w-]*:\[.*\])(?:<(?:char|block) [^<>]*>)?>(\(deleted\))?)?"
    rb"(?: (E[A-Z0-9_]+))?(?: \(.*\)| <unavailable>)?",
    re.DOTALL,
)
_ENDED = re.compile(
    rb"\+\+\+ (?:exited with (\d+)|killed by (\w+)(?: \(core dumped\))?|superseded by execve in pid (\d+)) \+\+\+"
)
_MODE = re.compile(rb"\[ Process PID=\d+ runs in ([\w ]+) mode\. \]")
_CUT = re.compile(rb"[, ]*<unfinished \.\.\.>$")
# A string, whatever its escapes and however much of it is printed; or a path in brackets, where a quote begins none.
_STRING_OR_PATH = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"(?:\.\.\.)?|(<[^<>]*>)')

# After an exec from a thread, strace with `--seccomp-bpf` takes the entry of the new program's first call for the
# end of the execve: the call is lost, and its number is printed as the result. These, of x86-64 and of arm64, change
# nothing that is observed: brk, mmap (a file that it maps was opened before), and arch_prctl.
_HARMLESS_IF_LOST = frozenset({12, 9, 158} if os.uname().machine == "x86_64" else {214, 222})


_OWN_MODE = b"64 bit"
_UNTOLD = "???"
"""The name of a call at whose entry the thread was killed, by its process's end mostly, before strace could ask for it:
the kernel does not make such a call."""
_FORKS = frozenset({"fork", "vfork", "clone", "clone3"})


class LogParser:
    """Turns the bytes of a log into `events`, which grow as `feed` is called; `finish` ends the log.

    `living` holds the threads and processes that were seen or made, and whose end was not seen. `moving` names calls
    that move bytes nobody asks for, or tell nothing: their strings are taken for empty ones.
    """

    __slots__ = (
        "_atoms",
        "_begun",
        "_ended",
        "_fds",
        "_line",
        "_moved",
        "_moving",
        "_names",
        "_numbers",
        "_tail",
        "events",
        "living",
    )

    complete = False
    """Only the end of its pipe tells that nothing more comes."""
    unseen = False
    """strace does not tell of its own failure."""
    tracer = 0
    """strace leaves its parents before it traces."""
    secured = ()
    """strace tells after the fact: what was destroyed is gone."""

    def __init__(self, moving: Collection[str] = ()) -> None:
        self.events: list[Event] = []
        self._moving = frozenset(name.encode("ascii") for name in moving)
        self._atoms = Atoms()
        self._names: dict[bytes, str] = Kept(partial(str, encoding="ascii"))
        self._numbers: dict[bytes, int] = Kept(number)
        self._fds: dict[bytes, Fd] = Kept(flat_descriptor)
        self._begun: dict[int, tuple[bytes, int]] = {}
        self._line = 0
        self._moved: set[int] = set()
        self._tail: list[bytes] = []
        self.living: set[int] = set()
        self._ended: set[int] = set()

    def feed(self, data: bytes) -> None:
        """Parse all lines that `data` completes; an incomplete last one waits for more."""
        end = data.rfind(b"\n")
        if end < 0:
            self._tail.append(data)
            return
        lines = b"".join((*self._tail, data[:end])).split(b"\n")
        self._tail = [data[end + 1 :]]
        for line in lines:
            self._line += 1
            self._parse(line)

    def finish(self) -> None:
        """Report what the end of the log leaves incomplete: its last line, and calls begun and never ended."""
        rest = b"".join(self._tail)
        self._tail = []
        if rest:
            self._line += 1
            self._unparsed(rest, "the log ends within a line")
        for pid, (text, line) in self._begun.items():
            self.events.append(Unparsed(b"%d %s" % (pid, text), "the log ends before the call does", line))
        self._begun.clear()

    def _unparsed(self, text: bytes, why: str) -> None:
        self.events.append(Unparsed(text, why, self._line))

    def _parse(self, line: bytes) -> None:
        plain = _PLAIN.fullmatch(line)
        if plain is not None:
            number_of, name, text, result, place, error = plain.groups()
            pid = int(number_of)
            args = self._atoms.arguments(_without_data(text) if name in self._moving else text)
            if args is not None and pid not in self._begun:
                fd = None if place is None else self._fds[place]
                self._add_call(
                    pid,
                    self._names[name],
                    args,
                    self._numbers[result] if result is not None else None if fd is None else fd.number,
                    fd,
                    None if error is None else self._names[error],
                    self._line,
                )
                return
        self._parse_any(line)

    def _parse_any(self, line: bytes) -> None:
        match = _LINE.fullmatch(line)
        if match is None:
            self._unparsed(line, "no line of a log")
            return
        pid, rest = int(match[1]), match[2]
        if rest.startswith(b"--- ") and rest.endswith(b" ---"):
            return
        if mode := _MODE.fullmatch(rest):
            if mode[1] != _OWN_MODE:
                self.events.append(Foreign(pid, mode[1].decode("ascii"), self._line))
        elif rest.startswith(b"+++ "):
            self._end(pid, rest, line)
        elif rest.startswith(b"<... "):
            self._resume(pid, rest, line)
        else:
            self._begin(pid, rest, line)

    def _end(self, pid: int, rest: bytes, line: bytes) -> None:
        match = _ENDED.fullmatch(rest)
        if match is None:
            self._unparsed(line, "an end of unknown kind")
            return
        code, signal, by = match.groups()
        self._abandon(pid)
        if by is not None:
            self.events.append(Superseded(pid, int(by), self._line))
            # The thread's execve goes on under the number of the process.
            self.living.discard(int(by))
            self.living.add(pid)
            if int(by) in self._begun:
                self._begun[pid] = self._begun.pop(int(by))
                self._moved.add(pid)
            return
        self.living.discard(pid)
        self._ended.add(pid)
        if signal is not None:
            self.events.append(Killed(pid, signal.decode("ascii"), self._line, time.time_ns()))
        else:
            self.events.append(Exited(pid, int(code), self._line, time.time_ns()))

    def _abandon(self, pid: int) -> None:
        """End the call in which `pid` ended, as one that never returned."""
        if begun := self._begun.pop(pid, None):
            text, started = begun
            self._call(pid, text + b" <unfinished ...>) = ?", started, text)

    def _begin(self, pid: int, rest: bytes, line: bytes) -> None:
        if pid in self._begun:
            self._unparsed(line, "a call inside another call")
            return
        if (head := _suspended(rest)) is not None:
            self._begun[pid] = (head, self._line)
        else:
            self._call(pid, rest, self._line, line)

    def _resume(self, pid: int, rest: bytes, line: bytes) -> None:
        match = _RESUMED.fullmatch(rest)
        begun = self._begun.pop(pid, None)
        if match is None or begun is None or not begun[0].startswith(match[1] + b"("):
            if begun is not None:
                self._begun[pid] = begun
            self._unparsed(line, "resumes a call that was not begun")
            return
        text, started = begun
        if (head := _suspended(match[2])) is not None:
            self._begun[pid] = (text + head, started)
        else:
            self._call(pid, text + match[2], started, line)

    def _call(self, pid: int, text: bytes, started: int, line: bytes) -> None:
        """Read `name(arguments) = result` with the general parser."""
        try:
            name, args, result, result_fd, error = _read_call(text, self._moving)
        except UnreadableError as problem:
            self._unparsed(line, problem.why)
            return
        if name == _UNTOLD:
            if result is not None:
                self._unparsed(line, "a call without a name")
            return
        if pid in self._moved:
            self._moved.discard(pid)
            if result not in _HARMLESS_IF_LOST:
                self._unparsed(line, "a call after an exec from a thread was lost")
            result = 0
        self._add_call(pid, name, args, result, result_fd, error, started)

    def _add_call(
        self,
        pid: int,
        name: str,
        args: tuple[Value, ...],
        result: int | None,
        result_fd: Fd | None,
        error: str | None,
        started: int,
    ) -> None:
        self.events.append(Call(pid, name, args, result, result_fd, error, self._line, started))
        self.living.add(pid)
        # A child may have come and gone before its parent's call returns.
        if name in _FORKS and result and error is None and result not in self._ended:
            self.living.add(result)


def _suspended(text: bytes) -> bytes | None:
    """Return what is printed of a call up to where its line breaks off, or None if it does not."""
    at = text.rfind(b"<")
    return text[:at].removesuffix(b" ") if at >= 0 and _SUSPENSION.fullmatch(text, at) else None


def _without_data(text: bytes) -> bytes:
    """Empty the strings; the paths of descriptors stay."""
    return _STRING_OR_PATH.sub(lambda found: found[1] or b'""', text)


def _read_call(
    text: bytes, moving: frozenset[bytes]
) -> tuple[str, tuple[Value, ...], int | None, Fd | None, str | None]:
    """Split a complete call into name, arguments, result, result's descriptor and error."""
    begun = _BEGUN.match(text)
    if begun is None:
        raise UnreadableError("no call")
    if begun[1] in moving:
        text = _without_data(text)
    reader = Reader(text, begun.end())
    args, end = _read_arguments(reader)
    match = _RESULT.fullmatch(text, end)
    if match is None:
        raise UnreadableError("no result")
    result, place, deleted, error = match.groups()
    return (
        begun[1].decode("ascii"),
        args,
        None if result is None else number(result),
        None if place is None or result is None else descriptor(result, place, deleted is not None),
        None if error is None else error.decode("ascii"),
    )


def _read_arguments(reader: Reader) -> tuple[tuple[Value, ...], int]:
    """Read up to the closing parenthesis; a call that never returned may lack its last arguments."""
    text = reader.text
    if text.endswith(b"= ?") and (cut := _CUT.search(text, 0, text.rfind(b")"))):
        head = Reader(text[: cut.start()], reader.at)
        return head.arguments(b""), text.rfind(b")") + 1
    return reader.arguments(b")"), reader.at


def parse_log(data: bytes) -> list[Event]:
    """Parse a whole log."""
    parser = LogParser()
    parser.feed(data)
    parser.finish()
    return parser.events
