# SPDX-License-Identifier: Apache-2.0
"""Programs that ask for facts of the machine, the clock and chance, and that do what no tracer here can follow."""

from __future__ import annotations

import ctypes
import os

from tests.corpus.case import Case, calling, python, shell

IO_URING_SETUP = 425


def no_io_uring() -> str | None:
    """Say whether the kernel refuses io_uring, which then is a failure like any other."""
    fd = ctypes.CDLL(None).syscall(IO_URING_SETUP, 1, ctypes.create_string_buffer(120))
    if fd < 0:
        return "io_uring_setup is refused here"
    os.close(fd)
    return None


CASES = (
    Case(
        "the machine's name and system",
        python("print(os.uname().sysname)"),
        facts="",
        also="fact/uname : ...",
        covers="A67",
    ),
    Case(
        "the number of processors",
        python("print(len(os.sched_getaffinity(0)))"),
        facts="",
        also="fact/cpus : ...",
        misses=({"outer": 'exec taskset -c 0 "$@"'},) if len(os.sched_getaffinity(0)) > 1 else (),
        covers="A68",
    ),
    Case(
        "a limit",
        python("import resource; print(resource.getrlimit(resource.RLIMIT_NOFILE))"),
        facts="",
        also="fact/limit%20RLIMIT_NOFILE : ...",
        misses=({"outer": 'ulimit -n 512; exec "$@"'},),
        covers="A61",
    ),
    Case(
        "how nice it is",
        ("nice",),
        facts=None,
        also="fact/nice : ...",
        misses=({"outer": 'exec nice -n 5 "$@"'},),
    ),
    Case(
        "the limit of the stack, asked for by the user",
        shell("ulimit -s"),
        facts=None,
        also="fact/limit%20RLIMIT_STACK : ...",
        misses=({"outer": 'ulimit -s 1024; exec "$@"'},),
    ),
    Case("all limits", shell("ulimit -a"), facts=None, also="fact/limit%20RLIMIT_LOCKS : ..."),
    Case("the state of memory", python("os.open('/proc/meminfo', 0)"), reasons=("machine",), covers="A13"),
    Case("the load", python("os.open('/proc/loadavg', 0)"), reasons=("machine",), covers="A13"),
    Case("its own addresses", python("os.open('/proc/self/maps', 0)"), reasons=("machine",), covers="A13"),
    Case(
        "its own addresses, as the C library looks for its stack",
        calling(
            "libc.pthread_self.restype = ctypes.c_ulong; room = ctypes.create_string_buffer(256)\n"
            "print(libc.pthread_getattr_np(ctypes.c_ulong(libc.pthread_self()), room))"
        ),
        facts="",
    ),
    Case(
        "its control group",
        python("os.open('/proc/self/cgroup', 0)"),
        facts="",
    ),
    Case("its own state", python("os.open('/proc/self/stat', 0)"), reasons=("machine",), covers="A13"),
    Case("the processor", python("os.open('/proc/cpuinfo', 0)"), reasons=("machine",), covers="A68"),
    Case("the clock", ("date",), outer='exec "$@" >/dev/null', reasons=("clock",), covers="A64"),
    Case(
        "the clock, allowed",
        ("date", "+%Y"),
        around={"options": ("--allow-clock",)},
        reasons=("clock",),
        covers="A64",
    ),
    Case(
        "chance",
        python("print(len(os.urandom(8)), len(os.read(os.open('/dev/urandom', 0), 8)))"),
        facts="",
        hits=("true",),
        covers="A65",
    ),
    Case(
        "a call that no kernel has",
        calling("print(call(999), ctypes.get_errno())"),
        facts="",
        hits=("true",),
    ),
    Case(
        "input and output that is not seen",
        calling("print(call(425, 1, ctypes.create_string_buffer(120)) > 0)"),
        reasons=("io_uring",),
        lacking=no_io_uring(),
        covers="A53",
    ),
    Case(
        "another root",
        python("os.chroot('d'); os.read(os.open('/f', 0), 9)"),
        given="mkdir d; echo one > d/f",
        reasons=("input_changed", "namespace"),
        root_only=True,
        covers="A57",
    ),
    Case(
        "another process's memory",
        calling("libc.process_vm_readv(os.getpid(), None, 0, None, 0, 0)"),
        reasons=("nested_tracer",),
        covers="A56",
    ),
    Case(
        "memory shared by a key",
        calling("libc.shmctl(libc.shmget(0x70797465, 4096, 0o1600), 0, None)"),
        reasons=("ipc",),
    ),
    Case(
        "memory shared with children only",
        calling("libc.shmctl(libc.shmget(0, 4096, 0o1600), 0, None)"),
        facts="",
    ),
    Case(
        "a peer on the network",
        python("import socket; socket.socket(type=socket.SOCK_DGRAM).connect(('127.0.0.1', 9))"),
        reasons=("network",),
        covers="A42",
    ),
    Case(
        "a peer on the network that is the run itself",
        python(
            "import socket\n"
            "ear = socket.socket(); ear.bind(('127.0.0.1', 0)); ear.listen()\n"
            "socket.create_connection(ear.getsockname()).sendall(b'x'); print(ear.accept()[0].recv(1))"
        ),
        facts="",
    ),
    Case(
        "a socket's file that is not there",
        python(
            "import socket\ntry: socket.socket(socket.AF_UNIX).connect('none')\nexcept OSError as error: print(error)"
        ),
        facts="error none : ENOENT",
        misses=("touch none",),
        covers="A42",
    ),
    Case(
        "a socket's file left behind",
        python("import socket; socket.socket(socket.AF_UNIX).bind('s')"),
        reasons=("special_file",),
        covers="A91",
    ),
    Case(
        "the privileges that it has",
        python("os.setuid(os.getuid()); os.setgid(os.getgid())"),
        facts="",
    ),
    Case("fewer privileges", python("os.setuid(12)"), reasons=("privilege",), root_only=True, covers="A99"),
)
