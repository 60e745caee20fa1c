# SPDX-License-Identifier: Apache-2.0
"""Programs that use descriptors: those that the caller gave, and those that they make."""

from __future__ import annotations

from tests.corpus.case import Case, python

CASES = (
    Case(
        "a descriptor of the caller's that is read",
        python("print(os.read(3, 9))"),
        outer='exec 3<in; exec "$@"',
        reasons=("inherited_descriptor",),
        covers="A15",
    ),
    Case(
        "a descriptor of the caller's that is written",
        python("os.write(5, b'x')"),
        outer='exec 5>>log; exec "$@"',
        reasons=("inherited_descriptor",),
        covers="A74",
    ),
    Case(
        "a descriptor of the caller's that is asked about",
        python("print(os.fstat(3).st_size)"),
        outer='exec 3<in; exec "$@"',
        reasons=("inherited_descriptor",),
        covers="A15",
    ),
    Case(
        "a descriptor of the caller's that is left alone",
        python("print(1)"),
        outer='exec 3<in; exec "$@"',
        facts="",
        hits=("echo two > in",),
        covers="A15",
    ),
    Case(
        "the numbers that are open",
        python("print(os.listdir('/proc/self/fd'))"),
        reasons=("machine",),
        covers="A74",
    ),
    Case(
        "one descriptor put over another",
        python("fd = os.open('a', 0); os.dup2(os.open('b', 0), fd); print(os.read(fd, 9))"),
        given="echo one > a; echo two > b",
        facts="""
            content a : =a
            content b : =b
        """,
        misses=("echo x > b",),
    ),
    Case(
        "a descriptor that a child was handed",
        python(
            "import socket\n"
            "here, there = socket.socketpair()\n"
            "if os.fork() == 0: socket.send_fds(there, [b'x'], [os.open('in', 0)]); os._exit(0)\n"
            "os.wait(); print(os.read(socket.recv_fds(here, 1, 1)[1][0], 9))"
        ),
        facts="content in : =in",
        misses=("echo two > in",),
    ),
    Case(
        "a pipe between parent and child",
        python(
            "end, start = os.pipe()\n"
            "if os.fork() == 0: os.write(start, os.read(os.open('in', 0), 9)); os._exit(0)\n"
            "print(os.read(end, 9))"
        ),
        facts="content in : =in",
        misses=("echo two > in",),
    ),
    Case(
        "a FIFO that a child writes, removed at the end",
        python(
            "os.mkfifo('f')\n"
            "if os.fork() == 0: os.write(os.open('f', os.O_WRONLY), os.read(os.open('in', 0), 9)); os._exit(0)\n"
            "print(os.read(os.open('f', os.O_RDONLY), 9)); os.unlink('f')"
        ),
        facts="""
            content in : =in
            change/l f : ENOENT
        """,
        misses=("echo two > in",),
        covers="A41",
    ),
    Case("a FIFO left behind", python("os.mkfifo('f')"), reasons=("special_file",), covers="A91"),
    Case(
        "a lock file left behind",
        python("import fcntl; fcntl.flock(os.open('lock', os.O_RDWR | os.O_CREAT, 0o644), fcntl.LOCK_EX)"),
        facts="change/l lock : ENOENT",
        outputs="file lock 0644",
        misses=("echo x > lock",),
        covers="A37",
    ),
    Case(
        "a watch that sees nothing",
        python("import ctypes\nlibc = ctypes.CDLL(None)\nlibc.inotify_add_watch(libc.inotify_init1(0), b'd', 0x100)"),
        given="mkdir d",
        facts="status d : dir 0755",
        misses=("rmdir d",),
        hits=("touch d/x",),
        covers="A40",
    ),
)
