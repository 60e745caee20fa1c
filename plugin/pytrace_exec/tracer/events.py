# SPDX-License-Identifier: Apache-2.0
"""What a trace consists of: events in the order in which they were completed, and the values of arguments.

The tracer's parser makes them and `pytrace_exec.observe` reads them; `docs/architecture.md` has the table of how
each printed form becomes a value. All of them are plain, immutable by convention, and compare by content.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import TypeAlias

AT_FDCWD = -100
"""The number of an `Fd` that stands for the working directory."""

TRUNCATED = "..."
"""The key of a structure under which it is recorded that fields were left out."""


class _Record:
    """Equality, hash and representation by slots, for classes that are made by the hundred thousand.

    What is in `_ASIDE` is told by the way: records are equal without it.
    """

    __slots__: tuple[str, ...] = ()
    _ASIDE: frozenset[str] = frozenset()

    def _fields(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in self.__slots__ if name not in self._ASIDE)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash((type(self), self._fields()))

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"{type(self).__name__}({inside})"


class Fd(_Record):
    """A descriptor with what it leads to: `path` is None when the tracer did not know it.

    A path that does not start with `/` is the kernel's name of something else: `pipe:[5]`, `anon_inode:[eventpoll]`.
    """

    __slots__ = ("deleted", "number", "path")

    def __init__(self, number: int, path: bytes | None, deleted: bool = False) -> None:
        self.number = number
        self.path = path
        self.deleted = deleted


class Flags(_Record):
    """Names joined by `|`; `rest` is the sum of the parts that were printed as numbers."""

    __slots__ = ("names", "rest")

    def __init__(self, names: frozenset[str], rest: int = 0) -> None:
        self.names = names
        self.rest = rest


class Expr(_Record):
    """Text in the form of a call inside an argument: `makedev(0xfe, 0)`."""

    __slots__ = ("args", "name")

    def __init__(self, name: str, args: tuple[Value, ...]) -> None:
        self.name = name
        self.args = args


class Changed(_Record):
    """A value that the call changed: `before => after`."""

    __slots__ = ("after", "before")

    def __init__(self, before: Value, after: Value) -> None:
        self.before = before
        self.after = after


class Raw(_Record):
    """An argument whose end was found but whose form is none of the others."""

    __slots__ = ("text",)

    def __init__(self, text: bytes) -> None:
        self.text = text


if TYPE_CHECKING:
    Value: TypeAlias = int | bytes | Fd | Flags | Expr | Changed | Raw | tuple["Value", ...] | dict[str, "Value"] | None


class Call(_Record):
    """A system call that ended.

    `result` is None if it never returned (the process exited in it, was killed, or its result is `?`);
    `error` is a name such as `"ENOENT"`; `result_fd` is the descriptor made, when the result is decorated.
    `line` and `started` are the numbers (from 1) of the log lines where it ended and began; of a stream's records both
    are the record's.
    """

    __slots__ = ("args", "error", "line", "name", "pid", "result", "result_fd", "started")

    def __init__(
        self,
        pid: int,
        name: str,
        args: tuple[Value, ...],
        result: int | None,
        result_fd: Fd | None,
        error: str | None,
        line: int,
        started: int,
    ) -> None:
        self.pid = pid
        self.name = name
        self.args = args
        self.result = result
        self.result_fd = result_fd
        self.error = error
        self.line = line
        self.started = started


class Again(_Record):
    """A thread looked again, told in the words of earlier calls but for the thread: `calls`, in this order.

    Each counts as a record of the stream, one after the other, the first of number `line`.
    """

    __slots__ = ("calls", "line", "pid")

    def __init__(self, pid: int, line: int, calls: list[Call]) -> None:
        self.pid = pid
        self.line = line
        self.calls = calls

    def call(self, position: int) -> Call:
        """Return one of the calls as it would have been told without an earlier one."""
        of, line = self.calls[position], self.line + position
        return Call(self.pid, of.name, of.args, of.result, of.result_fd, of.error, line, line)


class Exited(_Record):
    """A thread or process ended by itself; `at`: when at the latest, in ns since the epoch."""

    _ASIDE = frozenset({"at"})
    __slots__ = ("at", "code", "line", "pid")

    def __init__(self, pid: int, code: int, line: int, at: int = 0) -> None:
        self.pid = pid
        self.code = code
        self.line = line
        self.at = at


class Killed(_Record):
    """A thread or process was ended by a signal, named as in `SIGSEGV`; `at` as in `Exited`."""

    _ASIDE = frozenset({"at"})
    __slots__ = ("at", "line", "pid", "signal")

    def __init__(self, pid: int, signal: str, line: int, at: int = 0) -> None:
        self.pid = pid
        self.signal = signal
        self.line = line
        self.at = at


class Superseded(_Record):
    """Thread `pid` is no more: thread `by` of the same process executed a program and took its number.

    What follows under `pid` is the new program; nothing follows under `by`.
    """

    __slots__ = ("by", "line", "pid")

    def __init__(self, pid: int, by: int, line: int) -> None:
        self.pid = pid
        self.by = by
        self.line = line


class Foreign(_Record):
    """A thread made a call of another ABI than the machine's own, named as far as it is known: `open (i386)`."""

    __slots__ = ("line", "name", "pid")

    def __init__(self, pid: int, name: str, line: int) -> None:
        self.pid = pid
        self.name = name
        self.line = line


class Unparsed(_Record):
    """A line or record that was not understood; a run whose trace holds one is not stored."""

    __slots__ = ("line", "text", "why")

    def __init__(self, text: bytes, why: str, line: int) -> None:
        self.text = text
        self.why = why
        self.line = line


if TYPE_CHECKING:
    Event: TypeAlias = Call | Again | Exited | Killed | Superseded | Foreign | Unparsed


def written_out(events: Iterable[Event]) -> Iterator[Event]:
    """Return the events with every call by itself."""
    for event in events:
        if isinstance(event, Again):
            yield from map(event.call, range(len(event.calls)))
        else:
            yield event
