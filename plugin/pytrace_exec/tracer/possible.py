# SPDX-License-Identifier: Apache-2.0
"""When a command cannot be traced at all."""

from __future__ import annotations

import os
import stat

from pytrace_exec.pid_namespace import TRACED, first_process

_CAP_SYS_PTRACE = 19


class TracerUnavailable(Exception):
    """Tracing could not begin, and the command has not run: it may be run plainly. `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"this command cannot be traced: {reason}")
        self.reason = reason


def check_possible(executable: bytes) -> None:
    """Refuse what is known to fail, before a tracer would complain on the command's own stderr.

    Raises TracerUnavailable.
    """
    try:
        fields, first = _own_status(), first_process()
        os.close(os.pidfd_open(os.getpid()))
    except OSError as error:
        raise TracerUnavailable(f"it needs /proc and Linux 5.3: {error.strerror}") from error
    # In a PID namespace the tracer's number is 0: it is outside.
    if int(fields[b"TracerPid"]) or first == TRACED:
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
