# SPDX-License-Identifier: Apache-2.0
"""The canonical form of `.pytrace/effects`: what a run did, exactly enough to do it again (DESIGN 3.4, 7).

The first line names the format. Then, one a line and sorted: entries, earlier states (`target`; a name without one was
absent), the outputs in ascending order of their times (one `order` line a group of equal times), who wrote how much
(`stream`), how far a regular file on standard input was read (`stdin-offset`), and `exit`. There is one text for one
meaning: any other is refused.
"""

from __future__ import annotations

from pytrace_cas.recorded.effect_entries import (
    ABSENT,
    Dir,
    File,
    Hardlink,
    LinkTo,
    Mode,
    Move,
    Remove,
    Symlink,
    Times,
    read_entry,
    read_state,
)
from pytrace_cas.recorded.names import check_name, parent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytrace_cas.recorded.effect_entries import Entry, State

EFFECTS_PATH = ".pytrace/effects"
HEADER = b"pytrace-effects 1"
MAX_TEXT = 64 << 20
MAX_ENTRIES = 200_000


class InvalidEffects(ValueError):
    """Effects that contradict themselves: `path` is the name concerned, `why` the rule that is broken."""

    def __init__(self, path: bytes, why: str) -> None:
        super().__init__(f"contradictory effects at {path!r}: {why}")
        self.path = path
        self.why = why


class MalformedEffects(ValueError):
    """Bytes that are no effects in canonical form; `why` says what is wrong with them."""

    def __init__(self, why: str) -> None:
        super().__init__(f"not effects in canonical form: {why}")
        self.why = why


class Effects:
    """Everything a replay needs to know; immutable by convention.

    `order`: groups of final names, ascending by their times: outputs, directories whose entries changed (`.` is the
    root), and what had its time set to now. An output in no group belongs to the last one, a directory to the first.
    `targets`: earlier states of made names. `streams`: descriptor (1 or 2) and bytes, in the order they were written.
    """

    __slots__ = ("entries", "exit_code", "order", "stdin_offset", "streams", "targets")

    def __init__(
        self,
        entries: Iterable[Entry] = (),
        order: Iterable[Iterable[bytes]] = (),
        targets: Mapping[bytes, State] | None = None,
        streams: Iterable[tuple[int, int]] = (),
        stdin_offset: int | None = None,
        exit_code: int = 0,
    ) -> None:
        """Bring the parts into canonical order; raise `InvalidEffects` if they contradict each other."""
        self.entries = sorted(entries, key=lambda entry: entry.line())
        self.order = [sorted(group) for group in order]
        self.targets = {name: state for name, state in sorted((targets or {}).items()) if state != ABSENT}
        self.streams = _joined(streams)
        self.stdin_offset = stdin_offset
        self.exit_code = exit_code
        _check(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Effects) and self.encode() == other.encode()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Effects({self.encode()!r})"

    def files(self) -> list[File]:
        """Return the entries that name a blob."""
        return [entry for entry in self.entries if isinstance(entry, File)]

    def encode(self) -> bytes:
        """Return the canonical text."""
        lines = [HEADER, *(entry.line() for entry in self.entries)]
        lines += [b"target %s %s" % (name, state.line()) for name, state in self.targets.items()]
        lines += [b"order " + b" ".join(group) for group in self.order]
        lines += [b"stream %d %d" % segment for segment in self.streams]
        if self.stdin_offset is not None:
            lines.append(b"stdin-offset %d" % self.stdin_offset)
        lines.append(b"exit %d" % self.exit_code)
        return b"\n".join(lines) + b"\n"

    @classmethod
    def decode(cls, text: bytes) -> Effects:
        """Read the canonical text; raise `MalformedEffects` for any other."""
        if len(text) > MAX_TEXT or text.count(b"\n") > 4 * MAX_ENTRIES:
            raise MalformedEffects("there is too much of it")
        header, *lines = text.split(b"\n")
        if header != HEADER:
            raise MalformedEffects(f"it is of another format: {header[:40]!r}")
        try:
            effects = _read(lines[:-1])
        except ValueError as error:
            raise MalformedEffects(str(error)) from None
        if effects.encode() != text:
            raise MalformedEffects("its lines are not in canonical form or order")
        return effects


def _read(lines: list[bytes]) -> Effects:
    """Sort lines by their kind; that each stands where it should is seen when the whole is compared."""
    entries: list[Entry] = []
    targets: dict[bytes, State] = {}
    order: list[list[bytes]] = []
    streams: list[tuple[int, int]] = []
    numbers: dict[bytes, int] = {}
    for line in lines:
        kind, _, rest = line.partition(b" ")
        words = rest.split(b" ")
        if kind == b"target":
            targets[words[0]] = read_state(words[1:])
        elif kind == b"order":
            order.append(words)
        elif kind == b"stream":
            descriptor, length = words
            streams.append((int(descriptor), int(length)))
        elif kind in (b"stdin-offset", b"exit"):
            numbers[kind] = int(rest)
        else:
            entries.append(read_entry(line))
    return Effects(entries, order, targets, streams, numbers.get(b"stdin-offset"), numbers.get(b"exit", 0))


def _joined(streams: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Merge neighbouring segments of one descriptor and drop empty ones."""
    joined: list[tuple[int, int]] = []
    for descriptor, length in streams:
        if joined and joined[-1][0] == descriptor:
            joined[-1] = (descriptor, joined[-1][1] + length)
        elif length:
            joined.append((descriptor, length))
    return joined


def _check(effects: Effects) -> None:
    """Refuse effects that no run can have had."""
    if len(effects.entries) > MAX_ENTRIES:
        raise InvalidEffects(b"", "there are too many")
    if not 0 <= effects.exit_code <= 255 or (effects.stdin_offset is not None and effects.stdin_offset < 0):
        raise InvalidEffects(b"", "the exit code or the offset is out of range")
    if any(descriptor not in (1, 2) or length < 0 for descriptor, length in effects.streams):
        raise InvalidEffects(b"", "a stream segment is out of range")
    made = _check_names(effects.entries)
    _check_parents(effects.entries, made)
    _check_states(effects, made)
    _check_order(effects)


def _once(seen: dict[bytes, Entry], name: bytes, entry: Entry, what: str) -> None:
    if name in seen:
        raise InvalidEffects(name, f"it is {what} twice")
    seen[name] = entry


def _check_names(entries: Sequence[Entry]) -> dict[bytes, Entry]:
    """Return what made each final name; every name is made, left, and given a mode and times at most once."""
    made: dict[bytes, Entry] = {}
    left: dict[bytes, Entry] = {}
    modes: dict[bytes, Entry] = {}
    times: dict[bytes, Entry] = {}
    for entry in entries:
        if isinstance(entry, Mode):
            _once(modes, entry.path, entry, "given a mode")
        elif isinstance(entry, Times):
            _once(times, entry.path, entry, "given times")
        elif isinstance(entry, Remove):
            _once(left, entry.path, entry, "left")
        elif isinstance(entry, Move):
            _once(left, entry.path, entry, "left")
            _once(made, entry.to, entry, "made")
        else:
            _once(made, entry.path, entry, "made")
    for name, entry in made.items():
        if isinstance(left.get(name), Remove):
            raise InvalidEffects(name, "it is removed and made again, which its earlier state says alone")
        if isinstance(entry, Hardlink) and not isinstance(made.get(entry.other), File | Symlink):
            raise InvalidEffects(name, "it is another name of something that the run did not make")
        if isinstance(entry, LinkTo) and isinstance(made.get(entry.other), File | Symlink | Dir | Hardlink | LinkTo):
            raise InvalidEffects(name, "it is another name of something that was not there before")
        if name in modes and isinstance(entry, File | Dir | Symlink | Hardlink):
            raise InvalidEffects(name, "its mode is said twice")
        if name in times and isinstance(entry, Hardlink):
            raise InvalidEffects(name, "its times are those of its other name")
    return made


def _check_parents(entries: Sequence[Entry], made: Mapping[bytes, Entry]) -> None:
    """A made name lies in a directory: nothing else that was made can be above it."""
    for entry in entries:
        if isinstance(entry, Remove):
            continue
        name = above = entry.to if isinstance(entry, Move) else entry.path
        while above := parent(above):
            if not isinstance(made.get(above), Dir | Move | None):
                raise InvalidEffects(name, "it lies below something that is no directory")


def _check_states(effects: Effects, made: Mapping[bytes, Entry]) -> None:
    """States concern made names; what only a file can replace is not said of a directory."""
    for name, state in effects.targets.items():
        if name not in made:
            raise InvalidEffects(name, "its earlier state is said, but nothing was made there")
        if state.kind == "plain" and isinstance(made[name], Dir | Symlink):
            raise InvalidEffects(name, "only a regular file can replace what may be absent")


def _check_order(effects: Effects) -> None:
    """Ordered are outputs and directories, each once; what else a name may be is seen when it is replayed."""
    seen: set[bytes] = set()
    for group in effects.order:
        if not group:
            raise InvalidEffects(b"", "a group of equal times is empty")
        for name in group:
            if name in seen:
                raise InvalidEffects(name, "its time is ordered twice")
            seen.add(name if name == b"." else check_name(name))
