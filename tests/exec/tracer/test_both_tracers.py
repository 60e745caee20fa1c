# SPDX-License-Identifier: Apache-2.0
"""The native tracer and strace tell the same of the same command, in the same values."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pytrace_exec.calls.table import TABLE, untraced
from pytrace_exec.observe.processes import clone_flags
from pytrace_exec.tracer.events import Call, Fd, Flags, Raw, Unparsed, written_out
from pytrace_exec.tracer.native import PROGRAM
from pytrace_exec.tracer.native_stream import StreamParser
from pytrace_exec.tracer.strace import Detail, Strace
from pytrace_exec.tracer.strace_log import parse_log
from tests.exec.tracer.driving import STRACE

pytestmark = [pytest.mark.strace, pytest.mark.native]

SHELL = """
    mkdir d; echo one > d/a; cat d/a | sort; touch -d @5 d/a; mv d/a d/b; ln -s b d/c; ln d/b d/e; readlink d/c
    chmod 600 d/b; chown "$(id -u)" d/b; ls -la d; find d -type f; cat missing; cp d/b x; rm -r d
"""
CALLS = """
import contextlib, ctypes, os, socket, threading
syscall = ctypes.CDLL(None, use_errno=True).syscall
os.mkdir("deep"); folder = os.open("deep", os.O_RDONLY | os.O_DIRECTORY)
inside = os.open("a\\nb\\xff", os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o640, dir_fd=folder)
os.write(inside, b"0123456789"); os.ftruncate(inside, 3); os.fchmod(inside, 0o600)
os.utime("deep/a\\nb\\xff", ns=(1, 2)); os.utime(inside); os.truncate("deep/a\\nb\\xff", 1)
os.rename("deep/a\\nb\\xff", "moved"); os.link("moved", "deep/linked"); os.symlink("moved", "link")
os.stat("link"); os.lstat("link"); os.access("moved", os.R_OK | os.X_OK); os.readlink("link"); os.listdir("deep")
os.mkfifo("fifo", 0o644); os.umask(0o27); os.unlink("moved"); os.fstat(inside); os.rmdir
how = (ctypes.c_uint64 * 3)(os.O_RDONLY, 0, 8)
syscall(437, -100, b"link", ctypes.byref(how), 24); syscall(437, -100, b"deep/linked", ctypes.byref(how), 24)
syscall(1000, 1, 2, 3); syscall(316 if os.uname().machine == "x86_64" else 276,
        -100, b"link", -100, b"other", 1)
for wrong in (b"", b"/" + b"x" * 300, b"fifo/x", b"no\\tsuch"):
    with contextlib.suppress(OSError):
        os.stat(wrong)
    with contextlib.suppress(OSError):
        os.open(wrong, os.O_RDONLY)
with contextlib.suppress(OSError):
    os.getxattr("other", "user.none")
with contextlib.suppress(OSError):
    os.setxattr("fifo", "user.none", b"1")
with contextlib.suppress(OSError):
    os.fstat(99)
inet = (socket.AF_INET, ("127.0.0.1", 9))
for family, address in ((socket.AF_UNIX, "no/socket"), (socket.AF_UNIX, "\\0abstract-none"), inet):
    with contextlib.suppress(OSError):
        socket.socket(family, socket.SOCK_STREAM).connect(address)
with contextlib.suppress(OSError):
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", 9))
one, other = socket.socketpair(); one.sendmsg([b"x"])
threading.Thread(target=lambda: os.open("other", os.O_RDONLY)).start()
os.chdir("deep"); os.fchdir(folder); os.chdir(b".."); os.sched_getaffinity(0)
if os.fork() == 0:
    os.execv("/bin/cat", ["cat", "/dev/null", "-", "", "a b"])
os.wait()
"""


def native(command: list[str], folder: Path) -> list[object]:
    """What the native tracer tells."""
    parser = StreamParser()
    reader, writer = os.pipe2(os.O_CLOEXEC)
    log = f"/proc/{os.getpid()}/fd/{writer}"
    run = subprocess.Popen(
        [PROGRAM, log, command[0], *command], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    while not parser.complete and (data := os.read(reader, 1 << 16)):
        parser.feed(data)
    os.close(reader)
    os.close(writer)
    run.wait(60)
    parser.finish()
    return list(written_out(parser.events))


def strace(command: list[str], folder: Path, log: Path) -> list[object]:
    """What strace tells."""
    detail = Detail(untraced(False, False), abbreviated=("newfstatat", "stat", "lstat", "fstat", "statx", "uname"))
    words = [os.fsencode(word) for word in command]
    assert STRACE is not None
    tracer = Strace(STRACE.encode(), detail)
    args, environment = tracer.command_line(os.fsencode(log), words, words[0], dict(os.environb))
    # Waits for strace as well, which is not the command's parent.
    args.remove(b"-DDD")
    subprocess.run(args, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False)
    return list(parse_log(log.read_bytes()))


MADE_UP = re.compile(rb"(/proc/)\d+|(pipe|socket|anon_inode):\[.*\]")


def plain(value: object) -> object:
    """A value without what differs between two runs or is told by one tracer alone."""
    match value:
        case Fd():
            path = None if value.number == -100 or value.path is None else MADE_UP.sub(rb"\1\2", value.path)
            return "descriptor", value.number, path, value.deleted
        case Flags():
            return tuple(sorted(value.names - {"AT_STATX_SYNC_AS_STAT"})), value.rest
        case tuple():
            return tuple(map(plain, value))
        case dict():
            kept = sorted(value.keys() - {"d_ino", "d_off", "d_reclen", "msg_namelen", "msg_iov", "msg_iovlen"})
            return tuple((key, plain(value[key])) for key in kept if key not in UNTOLD)
        case Raw():
            return value.text
    return value


UNTOLD = frozenset({"msg_controllen", "msg_flags", "sin_port", "mode"})
"""Fields of structures that one tracer alone tells, or that differ between two runs."""


def told(event: object) -> object:
    """An event without numbers of processes, places in memory, and what only strace tells."""
    if not isinstance(event, Call):
        return type(event).__name__, getattr(event, "code", getattr(event, "signal", None))
    row = TABLE.get(event.name)
    if row is None:
        return event.name, event.error
    if row.effect == "fork":
        return "fork", tuple(sorted(clone_flags(event.args) & {"CLONE_FS", "CLONE_THREAD", "CLONE_VM"})), event.error
    keys = {key: position for key, position in row.places.items() if key not in POINTERS}
    args = {key: event.args[position] for key, position in keys.items() if position < len(event.args)}
    if event.name == "ioctl":
        args.pop("request")  # strace tells all the names that a number has
    args.pop("head", None)  # only the native tracer looks into programs
    if row.effect == "open" and not _creates(args.get("flags")):
        args.pop("mode", None)
    if isinstance(closed := args.get("dir"), int):
        args["dir"] = Fd(closed, None)  # strace says of a closed one no more than its number
    return event.name, tuple((key, plain(value)) for key, value in sorted(args.items())), event.error


POINTERS = frozenset({"new"})
"""Keys of arguments that are places in memory."""


def _creates(flags: object) -> bool:
    return isinstance(flags, Flags) and "O_CREAT" in flags.names


@pytest.mark.parametrize(
    "command", [["/bin/sh", "-c", SHELL], [sys.executable, "-S", "-c", CALLS]], ids=["sh", "calls"]
)
def test_both_tell_the_same(command: list[str], tmp_path: Path) -> None:
    folders = [tmp_path / "one" / "w", tmp_path / "two" / "w"]
    for folder in folders:
        folder.mkdir(parents=True)
    ours, theirs = native(command, folders[0]), strace(command, folders[1], tmp_path / "log")
    for events in (ours, theirs):
        assert not [event for event in events if isinstance(event, Unparsed)]
    # strace tells some calls that matter to nobody, and a repeated look each time.
    needless = untraced(False, False) | {"exit", "exit_group"}
    expected = {
        repr(told(event)).replace("/two/w", "/one/w")
        for event in theirs
        if getattr(event, "name", None) not in needless
    }
    assert {repr(told(event)) for event in ours} ^ expected == set()
