# SPDX-License-Identifier: Apache-2.0
"""The caller's descriptors 0, 1 and 2 as facts, and what the command gets in their place."""

from __future__ import annotations

import os

from pytrace_exec.streams.capture import Capture

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_exec.observe.run import Standing

_CHUNK = 1 << 20


class StandardStreams(Capture):
    """A `Capture` that can say what each descriptor is worth as a fact, and what the command sees there.

    `begun`: the process that was started with them; 0 before.
    """

    __slots__ = ("_inherited", "_kinds", "_names", "_start", "_stdin_value", "begun")

    def __init__(self, folder: bytes, inherited: dict[int, bytes]) -> None:
        super().__init__(folder)
        self._inherited = inherited
        self._names: dict[int, bytes] = {}
        self._stdin_value: bytes | None = None
        self.begun = 0
        self._start = _offset() if self.kinds[0] == "file" else None
        self._kinds = tuple(self._describe(number) for number in (0, 1, 2))

    def hold_closed(self) -> None:
        """Open something on descriptors that are closed, lest a file of ours comes to stand where others write."""
        for kind in self.kinds:
            if kind == "closed":
                os.open(b"/dev/null", os.O_RDWR | os.O_CLOEXEC)

    def started(self, pid: int) -> None:
        """Note that the command has been started."""
        self.begun = pid
        super().started(pid)

    def prepare(self) -> dict[int, int | None]:
        """Make what the command gets, and note by which name the kernel knows it."""
        mapping = super().prepare()
        for number in (0, 1, 2):
            descriptor = mapping.get(number, number)
            if descriptor is not None:
                self._names[number] = os.readlink(b"/proc/self/fd/%d" % descriptor)
        return mapping

    def standing(self) -> dict[int, Standing]:
        """What stands on the descriptors that the command inherits; above 2 the null device is nobody's."""
        from pytrace_exec.observe.run import Standing

        found = {number: Standing(self.kinds[number], self._names.get(number)) for number in (0, 1, 2)}
        for number, name in self._inherited.items():
            if name != b"/dev/null":
                found[number] = Standing("inherited", name)
        return found

    def value(self, what: str) -> bytes:
        """Value of a stream subject: `kind N`, or `stdin`."""
        if what == "stdin":
            if self._stdin_value is None:
                self._stdin_value = self._read_stdin_value()
            return self._stdin_value
        return self._kinds[int(what.removeprefix("kind "))].encode()

    def _describe(self, number: int) -> str:
        kind = self.kinds[number]
        text = kind
        if kind == "tty":
            size = os.get_terminal_size(number)
            text += f" {size.columns}x{size.lines}"
        if number == 2 and self.merged:
            text += " as 1"
        return text

    def _read_stdin_value(self) -> bytes:
        import hashlib

        state = hashlib.sha256()
        if self.kinds[0] == "file" and self._start is not None:
            at = self._start
            while chunk := os.pread(0, _CHUNK, at):
                state.update(chunk)
                at += len(chunk)
        elif self.read_ahead is not None:
            for chunk in self.read_ahead.spool.chunks():
                state.update(chunk)
        else:
            return self.kinds[0].encode()
        # The kind counts as well: of a file, the offset is moved.
        return b"%s sha256:%s" % (self.kinds[0].encode(), state.hexdigest().encode())

    def moved_by(self) -> int | None:
        """How far a regular file on standard input was read on since this was made; None for anything else."""
        now = _offset() if self._start is not None else None
        return None if now is None or self._start is None else now - self._start

    def move_stdin(self, by: int) -> None:
        """Move a regular file on standard input as the recorded run did."""
        if self._start is not None:
            os.lseek(0, self._start + by, os.SEEK_SET)


def inherited_descriptors() -> dict[int, bytes]:
    """Descriptors above 2 that a command started now would inherit, by the names the kernel gives them.

    Those of a make job server, which `MAKEFLAGS` names, are left out: they decide when something runs, not what it
    does. Call it before anything is opened.
    """
    found = {}
    server = _job_server(os.environb.get(b"MAKEFLAGS", b""))
    for text in os.listdir("/proc/self/fd"):
        number = int(text)
        if number > 2 and number not in server:
            try:
                if os.get_inheritable(number):
                    found[number] = os.readlink(b"/proc/self/fd/%d" % number)
            except OSError:
                continue
    return found


def _job_server(flags: bytes) -> set[int]:
    words = (word for word in flags.split() if word.startswith((b"--jobserver-auth=", b"--jobserver-fds=")))
    numbers = (number for word in words for number in word.partition(b"=")[2].split(b","))
    return {int(number) for number in numbers if number.isdigit()}


def _offset() -> int | None:
    try:
        return os.lseek(0, 0, os.SEEK_CUR)
    except OSError:
        return None
