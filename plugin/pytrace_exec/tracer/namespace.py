# SPDX-License-Identifier: Apache-2.0
"""Starting a command in a PID namespace of its own, by a program that forks it as our child and ends.

That program is the native tracer's (`plugin/native/namespace.h` states what it tells us). The command is process 2 of
the namespace; process 1 is ours, reaps what is orphaned there, and lives for as long as anything that the command left.
"""

from __future__ import annotations

import os
import select

from pytrace_exec.pid_namespace import TRACED, UNTRACED, USER, first_process, kind
from pytrace_exec.tracer.native import PROGRAM, is_built

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_STEPS = {
    "user": "making a user namespace",
    "ids": "mapping the user in a user namespace",
    "unshare": "making a PID namespace",
    "proc": "mounting /proc",
    "init": "starting its first process",
}
_AS_USER = "allow unprivileged user namespaces (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone)"
_AS_ROOT = "allow it (docker: --cap-add SYS_ADMIN --security-opt apparmor=unconfined)"


class NamespaceUnavailable(Exception):
    """The command cannot have a PID namespace, and has not run. `advice`: what would make it possible."""

    def __init__(self, why: str, advice: str) -> None:
        super().__init__(f"--pid-namespace: {why}: {advice}, or run without that option")
        self.why = why
        self.advice = advice


class Launch:
    """One start of a command; its pipe tells how it went. Raises NamespaceUnavailable where none can be had."""

    __slots__ = ("_reader", "_told", "_writer")

    def __init__(self) -> None:
        if not is_built():
            why = "it needs the native tracer, which was not built"
            raise NamespaceUnavailable(why, "install again where a C compiler is")
        if not kind():
            raise NamespaceUnavailable("root lacks CAP_SYS_ADMIN", _AS_ROOT)
        self._reader, self._writer = os.pipe2(os.O_CLOEXEC)
        self._told: dict[str, list[str]] = {}

    def options(self) -> list[bytes]:
        """The options by which the program learns what to do."""
        path = b"--pid-namespace=/proc/%s/fd/%d" % (os.readlink(b"/proc/self"), self._reader)
        return [path, b"--as-user"] if kind() == USER else [path]

    def command_of(self, launcher: int, traced: bool = True) -> int:
        """Return the command's process, our child, when the program that was started as `launcher` has begun it.

        The launcher itself, which has ended, if it did not come to that: by a signal, or for want of a tracer. Raises
        NamespaceUnavailable.
        """
        self._read(launcher)
        if "P" in self._told:
            os.waitpid(launcher, 0)
            return int(self._told["P"][0])
        if "N" in self._told:
            os.waitpid(launcher, 0)
            step, error = self._told["N"]
            advice = _AS_USER if kind() == USER else _AS_ROOT
            raise NamespaceUnavailable(f"{_STEPS[step]} fails: {os.strerror(int(error))}", advice)
        ended = os.waitid(os.P_PID, launcher, os.WEXITED | os.WNOWAIT)
        if not traced and ended is not None and ended.si_code == os.CLD_EXITED:
            os.waitpid(launcher, 0)
            raise NamespaceUnavailable("it could not be started", "allow reading /proc")
        return launcher

    @property
    def refused(self) -> int:
        """The error with which the command could not be executed, or 0."""
        return int(self._told["E"][0]) if "E" in self._told else 0

    def close(self) -> None:
        """Give the pipe up; nobody has been started."""
        for end in (self._reader, self._writer):
            if end >= 0:
                os.close(end)
        self._reader = self._writer = -1

    def _read(self, launcher: int) -> None:
        """Read until the command is executed, or has ended; our writing end stays until the launcher has its own."""
        end = os.pidfd_open(launcher)
        poll = select.poll()
        for descriptor in (self._reader, end):
            poll.register(descriptor, select.POLLIN)
        poll.poll()
        os.close(end)
        os.close(self._writer)
        self._writer = -1
        data = b""
        while part := os.read(self._reader, 4096):
            data += part
        self.close()
        for line in data.decode("ascii").splitlines():
            letter, *words = line.split()
            self._told[letter] = words


def command_line(launch: Launch, program: bytes, argv: Sequence[bytes]) -> list[bytes]:
    """Return the command line that runs a program in a namespace, untraced."""
    return [PROGRAM, *launch.options(), b"--untraced", b"-", program, *argv]


def is_inside() -> bool:
    """Whether this process runs in such a namespace: what it starts has the same numbers each run already."""
    return first_process() in (TRACED, UNTRACED)
