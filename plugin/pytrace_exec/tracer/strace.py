# SPDX-License-Identifier: Apache-2.0
"""strace: how it is called so that the command it runs notices nothing."""

from __future__ import annotations

import fcntl
import os

from pytrace_exec.tracer.child import spawn
from pytrace_exec.tracer.possible import TracerUnavailable
from pytrace_exec.tracer.strace_log import LogParser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

# The longest string that is printed whole: an argument of a program has at most 128 KiB.
_STRING_LIMIT = b"1048576"
# `killed by` is printed for these only; none of the four ends a process by default, and SIGCHLD is frequent.
_SIGNALS = b"signal=!SIGCHLD,SIGURG,SIGWINCH,SIGCONT"
# Calls that programs make most, of those that may be left alone. Not all that may be are named: with some 35 names and
# more, the filter of strace 6.1 is no list but a search in its table, and calls that this lacks would pass unseen. A
# program begins with `brk` or `arch_prctl`, which are traced: after the exec of a thread strace loses the first call.
_MOST_UNTRACED = 30
_FREQUENT = """
read write close mmap munmap mprotect futex rt_sigaction rt_sigprocmask rt_sigreturn lseek pread64 pwrite64 poll
ppoll select pselect6 wait4 clock_nanosleep madvise sched_yield epoll_wait epoll_pwait getpid gettid rseq
set_robust_list set_tid_address readv writev recvfrom recvmsg sendto mremap getrandom sigaltstack
"""
# Ends with 0 if it is traced (proc(5), status).
_IS_TRACED = b"""\
while read -r name value; do case $name in TracerPid:) test "$value" != 0; exit;; esac; done < /proc/self/status"""
# What the dynamic linker would do to strace as well; the command gets its own values by `-E`.
_LINKER_VARIABLES = (b"LD_PRELOAD", b"LD_LIBRARY_PATH", b"LD_AUDIT")


class Detail:
    """How much of which calls is printed; of those that `untraced` names only frequent ones are not.

    `raw` calls are printed with numbers only (their buffers are not copied), `abbreviated` ones without the
    structures they fill. Names that this strace does not know are passed over. The bytes that `moving` calls move are
    printed, and not read: strace cannot leave them out and still say which descriptor it was.
    """

    __slots__ = ("abbreviated", "moving", "raw", "untraced")

    def __init__(
        self,
        untraced: Collection[str] = (),
        raw: Collection[str] = (),
        abbreviated: Collection[str] = (),
        moving: Collection[str] = (),
    ) -> None:
        self.untraced = untraced
        self.raw = raw
        self.abbreviated = abbreviated
        self.moving = moving


def find_strace(search_path: bytes) -> bytes:
    """Return the path of strace on a `PATH`. Raises TracerUnavailable."""
    for folder in search_path.split(b":"):
        candidate = os.path.join(folder, b"strace")
        if folder.startswith(b"/") and os.access(candidate, os.X_OK) and os.path.isfile(candidate):
            return candidate
    raise TracerUnavailable("strace is not installed (apt install strace)")


def check_attaches(path: bytes) -> None:
    """Let strace trace a shell that looks whether it is traced. Raises TracerUnavailable.

    strace attaches to a process that then becomes the command. Where a sandbox forbids that, it says so and ends, and
    the command runs all the same: that must not be found out with the command itself, which would run twice.
    """
    words = [path, b"-DDD", b"-I4", b"-o", b"/dev/null", b"--", b"/bin/sh", b"-c", _IS_TRACED]
    complaints, written = (_above_2(end) for end in os.pipe())
    null = _above_2(os.open(b"/dev/null", os.O_RDWR | os.O_CLOEXEC))
    os.set_blocking(complaints, False)
    try:
        pid = spawn(path, words, {b"PATH": b"/usr/bin:/bin"}, {0: null, 1: null, 2: written})
        if os.waitpid(pid, 0)[1]:
            said = _waiting(complaints).decode("utf-8", "replace").strip().rpartition("\n")[2]
            raise TracerUnavailable(said or "strace cannot trace here: a sandbox or a security module forbids it")
    except OSError as error:
        raise TracerUnavailable(f"starting strace fails: {error.strerror}") from error
    finally:
        for descriptor in (complaints, written, null):
            os.close(descriptor)


def _waiting(pipe: int) -> bytes:
    """What waits in a pipe whose other end may stay open."""
    try:
        return os.read(pipe, 4096)
    except BlockingIOError:
        return b""


def _above_2(opened: int) -> int:
    """The same open file under a number that is no standard stream's."""
    number = fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, 3)
    os.close(opened)
    return number


class Strace:
    """strace at `path`, printing in the given detail."""

    __slots__ = ("_detail", "path")

    name = "strace"
    complains = True
    abandons = True

    def __init__(self, path: bytes, detail: Detail) -> None:
        self.path = path
        self._detail = detail

    def parser(self) -> LogParser:
        """Return what reads its log."""
        return LogParser(self._detail.moving)

    def named(self, argv: Sequence[bytes], executable: bytes) -> bytes:
        """Return by what path it executes the command: as it was called."""
        return argv[0] if b"/" in argv[0] else executable

    def command_line(
        self, log: bytes, argv: Sequence[bytes], executable: bytes, env: Mapping[bytes, bytes]
    ) -> tuple[list[bytes], dict[bytes, bytes]]:
        """Return its arguments and environment for running `executable` as `argv` with exactly `env`.

        It looks up a name without slash in its own `PATH`, which is therefore made to lead to `executable`; `-E`
        gives the command back its own, at its old position. Raises TracerUnavailable if that cannot be done, or if
        strace cannot trace here.
        """
        check_attaches(self.path)
        ours = dict(env)
        changed = {name for name in _LINKER_VARIABLES if name in env}
        if b"/" not in argv[0]:
            folder, name = os.path.split(executable)
            if name != argv[0] or b":" in folder or not folder.startswith(b"/"):
                raise TracerUnavailable("its path cannot be given to strace")
            ours[b"PATH"] = folder
            changed.add(b"PATH")
        for name in changed & set(_LINKER_VARIABLES):
            ours[name] = b""
        # A session of its own: nothing that is sent to the command's process group or terminal reaches the tracer.
        # `-I4`: what ends programs is ignored, so that closing its log does not end it, and with it the command.
        args = [self.path, b"-DDD", b"-I4", b"-f", b"-y", b"--seccomp-bpf", b"-s", _STRING_LIMIT]
        args += [b"-e", _SIGNALS, b"-e", b"quiet=attach", b"-e", b"trace=!" + self._left_alone()]
        args += [b"-e", b"abbrev=" + _names(("execve", "execveat", *self._detail.abbreviated))]
        args += [b"-e", b"raw=" + _names(self._detail.raw)] if self._detail.raw else [b"-e", b"raw=none"]
        for name in sorted(changed):
            args += [b"-E", name + b"=" + env[name] if name in env else name]
        return [*args, b"-o", log, b"--", *argv], ours

    def begun(self, started: int) -> int:
        """Return the command's process: the one that was started, which becomes it."""
        return started

    def _left_alone(self) -> bytes:
        """The calls that are not traced."""
        frequent = [name for name in _FREQUENT.split() if name in self._detail.untraced]
        return _names(frequent[:_MOST_UNTRACED])


def _names(calls: Iterable[str]) -> bytes:
    """Join names of calls; `?` lets strace pass over one that this machine does not have."""
    return b",".join(b"?" + name.encode("ascii") for name in calls) or b"none"
