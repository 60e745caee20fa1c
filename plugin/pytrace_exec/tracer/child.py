# SPDX-License-Identifier: Apache-2.0
"""A command as our child: started as a shell would start it, its signals and stops shared, its end passed on."""

from __future__ import annotations

import os
import resource
import signal

from pytrace_exec.tracer.descendants import send

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import FrameType, TracebackType

# Python ignores these from its start on; a program expects their default.
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)
# From a keyboard these reach the whole foreground group, the command included; from `kill` only us.
_FROM_KEYBOARD = (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP)
_PASSED_ON = (*_FROM_KEYBOARD, signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)

UNHEARD_MS = 1000
"""The longest wait at a time, in milliseconds: a signal that comes just before a wait begins is heard after it."""


def spawn(
    program: bytes,
    argv: Sequence[bytes],
    env: Mapping[bytes, bytes],
    descriptors: Mapping[int, int | None] | None = None,
) -> int:
    """Start `program` and return its pid.

    `descriptors` says for some of the child's numbers which of our descriptors stands there; None closes it. Ours
    must be above 2. All else is inherited. Raises OSError when the program cannot be executed.
    """
    actions: list[tuple[int, int] | tuple[int, int, int]] = []
    for number, ours in (descriptors or {}).items():
        if ours is None:
            actions.append((os.POSIX_SPAWN_CLOSE, number))
        else:
            actions.append((os.POSIX_SPAWN_DUP2, ours, number))
    return os.posix_spawn(program, list(argv), env, file_actions=actions, setsigdef=_IGNORED_BY_PYTHON)


class Relay:
    """While entered, signals meant for the command reach it, and we stop when it stops.

    A signal that arrives before `attach` is kept for it. For use in the main thread, where Python runs handlers.
    """

    __slots__ = ("_early", "_former", "_pid")

    def __init__(self) -> None:
        self._pid: int | None = None
        self._early: list[int] = []
        self._former: dict[int, object] = {}

    def __enter__(self) -> Relay:
        for number in _PASSED_ON:
            # What our caller ignores stays ignored, for us and by inheritance for the command.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._former[number] = signal.signal(number, self._pass_on)
        self._former[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: self._follow_stop())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, former in self._former.items():
            signal.signal(number, former)  # type: ignore[arg-type]
        self._former.clear()

    def attach(self, pid: int) -> None:
        """Name the command; what arrived before is sent to it now, and if it has stopped by now we do."""
        self._pid = pid
        for number in self._early:
            send(pid, number)
        self._early.clear()
        self._follow_stop()

    def detach(self) -> None:
        """Say that the command was waited for: its number may soon be another's."""
        self._pid = None

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        if number in _FROM_KEYBOARD and _in_foreground():
            return
        if self._pid is None:
            self._early.append(number)
        else:
            send(self._pid, number)

    def _follow_stop(self) -> None:
        """Stop when the command stopped, so that our shell sees it, and continue it when we are continued."""
        if self._pid is None:
            return
        try:
            stopped = os.waitid(os.P_PID, self._pid, os.WSTOPPED | os.WNOHANG)
        except ChildProcessError:
            return
        if stopped is not None:
            _stop_by(stopped.si_status)
            send(self._pid, signal.SIGCONT)


def _stop_by(number: int) -> None:
    """Stop this process by the signal that stopped the command, and return when it is continued."""
    if number not in (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU):
        os.kill(os.getpid(), signal.SIGSTOP)
        return
    former = signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    signal.signal(number, former)


def _in_foreground() -> bool:
    """Whether a terminal's keyboard can have signalled us, and with us the command."""
    try:
        terminal = os.open(b"/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def end_like(status: int) -> int:
    """Return the exit code of a wait status, or end this process by the signal that ended the command.

    No second core file is left.
    """
    if not os.WIFSIGNALED(status):
        return os.waitstatus_to_exitcode(status)
    number = os.WTERMSIG(status)
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os.kill(os.getpid(), number)
    # Reached only if the signal does not end us (as init of a container): then the shell's convention.
    return 128 + number
