# SPDX-License-Identifier: Apache-2.0
"""How strace is called so that the command it runs notices nothing, and when it cannot be called at all."""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

# The longest string that is printed whole: an argument of a program has at most 128 KiB.
_STRING_LIMIT = b"1048576"
# `killed by` is printed for these only; none of the four ends a process by default, and SIGCHLD is frequent.
_SIGNALS = b"signal=!SIGCHLD,SIGURG,SIGWINCH,SIGCONT"
# What the dynamic linker would do to strace as well; the command gets its own values by `-E`.
_LINKER_VARIABLES = (b"LD_PRELOAD", b"LD_LIBRARY_PATH", b"LD_AUDIT")

_CAP_SYS_PTRACE = 19


class TracerUnavailable(Exception):
    """Tracing could not begin, and the command has not run: it may be run plainly. `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"strace cannot trace this command: {reason}")
        self.reason = reason


class Detail:
    """How much of which calls is printed; all are traced that `untraced` does not name.

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


def check_possible(executable: bytes) -> None:
    """Refuse what is known to fail, before strace would complain on the command's own stderr.

    Raises TracerUnavailable.
    """
    try:
        fields = _own_status()
        os.close(os.pidfd_open(os.getpid()))
    except OSError as error:
        raise TracerUnavailable(f"it needs /proc and Linux 5.3: {error.strerror}") from error
    if int(fields[b"TracerPid"]):
        raise TracerUnavailable("this process is itself being traced")
    scope = _yama_scope()
    if scope == 3 or (scope == 2 and not int(fields[b"CapEff"], 16) >> _CAP_SYS_PTRACE & 1):
        raise TracerUnavailable("the kernel forbids tracing (kernel.yama.ptrace_scope)")
    try:
        _check_program(executable)
    except OSError as error:
        raise TracerUnavailable(f"its program cannot be looked at: {error.strerror}") from error


def _own_status() -> dict[bytes, bytes]:
    with open("/proc/self/status", "rb", buffering=0) as status:
        lines = status.read(1 << 16).splitlines()
    return {name: value for name, _, value in (line.partition(b":") for line in lines)}


def _yama_scope() -> int:
    try:
        with open("/proc/sys/kernel/yama/ptrace_scope", "rb", buffering=0) as scope:
            return int(scope.read(16))
    except OSError:
        return 0  # A kernel without Yama.


def _check_program(executable: bytes) -> None:
    """Refuse what would run with less privilege below a tracer, and what the kernel itself does not execute."""
    status = os.stat(executable)
    if not stat.S_ISREG(status.st_mode) or not os.access(executable, os.X_OK):
        raise TracerUnavailable("it is not an executable file")
    if _gains_privilege(executable, status):
        raise TracerUnavailable("its program gains privileges, which a traced one would not")
    try:
        with open(executable, "rb", buffering=0) as program:
            head = program.read(256)
    except PermissionError:
        return  # Executable yet unreadable; what it is shows when it is executed.
    if head.startswith(b"#!"):
        words = head[2:].split(b"\n", 1)[0].split()
        if not words or not os.access(words[0], os.X_OK):
            raise TracerUnavailable("the interpreter in its first line cannot be executed")
    elif not head.startswith(b"\x7fELF"):
        raise TracerUnavailable("it is neither an ELF program nor a script with an interpreter")


def _gains_privilege(executable: bytes, status: os.stat_result) -> bool:
    if status.st_mode & stat.S_ISUID and status.st_uid != os.geteuid():
        return True
    if status.st_mode & stat.S_ISGID and status.st_gid != os.getegid():
        return True
    try:
        return os.geteuid() != 0 and bool(os.getxattr(executable, b"security.capability"))
    except OSError:
        return False  # None, or a file system without attributes.


def command_line(
    strace: bytes,
    log: bytes,
    argv: Sequence[bytes],
    executable: bytes,
    env: Mapping[bytes, bytes],
    detail: Detail,
) -> tuple[list[bytes], dict[bytes, bytes]]:
    """Return strace's arguments and environment for running `executable` as `argv` with exactly `env`.

    strace looks up a name without slash in its own `PATH`, which is therefore made to lead to `executable`; `-E`
    gives the command back its own, at its old position. Raises TracerUnavailable if that cannot be done.
    """
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
    args = [strace, b"-DDD", b"-I4", b"-f", b"-y", b"--seccomp-bpf", b"-s", _STRING_LIMIT]
    args += [b"-e", _SIGNALS, b"-e", b"quiet=attach", b"-e", b"trace=!" + _names(detail.untraced)]
    args += [b"-e", b"abbrev=" + _names(("execve", "execveat", *detail.abbreviated))]
    args += [b"-e", b"raw=" + _names(detail.raw)] if detail.raw else [b"-e", b"raw=none"]
    for name in sorted(changed):
        args += [b"-E", name + b"=" + env[name] if name in env else name]
    return [*args, b"-o", log, b"--", *argv], ours


def _names(calls: Iterable[str]) -> bytes:
    """Join names of calls; `?` lets strace pass over one that this machine does not have."""
    return b",".join(b"?" + name.encode("ascii") for name in calls) or b"none"
