# SPDX-License-Identifier: Apache-2.0
"""The words that numbers in arguments stand for, as strace prints them: flags, modes, requests, errors.

They are the kernel's and never change. A table is a number and a word, each.
"""

from __future__ import annotations

import errno
import os

from pytrace_exec.tracer.events import Flags

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_exec.tracer.events import Value

_U32 = 0xFFFFFFFF
_MOST = 4096


def _pairs(table: str) -> list[tuple[int, str]]:
    words = table.split()
    return [(int(number, 0), word) for number, word in zip(words[::2], words[1::2], strict=True)]


class Bits(dict[int, "Value"]):
    """What the bits of a register stand for, made when first asked for; a number if no bit has a word.

    `mask` is the part of the register that the kernel looks at. Several bits that make one word together stand before
    those of their parts in `table`. `zero` is the word for none of the bits in a field: `(field, word)`.
    """

    __slots__ = ("_mask", "_words", "_zero")

    def __init__(self, table: str, zero: tuple[int, str] | None = None, mask: int = _U32) -> None:
        super().__init__()
        self._words = _pairs(table)
        self._zero = zero
        self._mask = mask

    def __missing__(self, register: int) -> Value:
        value = rest = register & self._mask
        names = set()
        for bits, word in self._words:
            if rest & bits == bits:
                names.add(word)
                rest &= ~bits
        if self._zero is not None and not value & self._zero[0]:
            names.add(self._zero[1])
        meaning = Flags(frozenset(names), rest) if names else value
        if len(self) < _MOST:
            self[register] = meaning
        return meaning


class Choice(dict[int, "Value"]):
    """What a register stands for as a whole, of which the kernel looks at the lower half; a number if at nothing."""

    __slots__ = ()

    def __init__(self, table: str) -> None:
        super().__init__((number, Flags(frozenset((word,)))) for number, word in _pairs(table))

    def __missing__(self, register: int) -> Value:
        number = register & _U32
        return number if number == register else self[number]


class Half(dict[int, "Value"]):
    """A register of which the kernel looks at the lower half; `none` is the number that stands for no user or group."""

    __slots__ = ("_none",)

    def __init__(self, none: int = -1) -> None:
        super().__init__()
        self._none = none

    def __missing__(self, register: int) -> Value:
        number = register & _U32
        return -1 if number == self._none else number


class Pointer(dict[int, "Value"]):
    """A pointer that may be NULL."""

    __slots__ = ()

    def __missing__(self, register: int) -> Value:
        return register or None


_OPEN_BY_MACHINE = {
    "x86_64": """
        0o20200000 O_TMPFILE 0o40000 O_DIRECT 0o100000 O_LARGEFILE 0o200000 O_DIRECTORY 0o400000 O_NOFOLLOW
    """,
    "aarch64": """
        0o20040000 O_TMPFILE 0o40000 O_DIRECTORY 0o100000 O_NOFOLLOW 0o200000 O_DIRECT 0o400000 O_LARGEFILE
    """,
}
_OPEN = """
    0o4010000 O_SYNC
    0o1 O_WRONLY 0o2 O_RDWR 0o100 O_CREAT 0o200 O_EXCL 0o400 O_NOCTTY 0o1000 O_TRUNC 0o2000 O_APPEND
    0o4000 O_NONBLOCK 0o10000 O_DSYNC 0o20000 FASYNC 0o1000000 O_NOATIME 0o2000000 O_CLOEXEC 0o10000000 O_PATH
"""


def open_flags(machine: str) -> Bits:
    """The flags of `open` on a machine as `uname -m` names it: four of them differ."""
    return Bits(_OPEN_BY_MACHINE[machine] + _OPEN, zero=(3, "O_RDONLY"))


OPEN = open_flags("aarch64" if os.uname().machine == "aarch64" else "x86_64")
RESOLVE = Bits("""
    0x1 RESOLVE_NO_XDEV 0x2 RESOLVE_NO_MAGICLINKS 0x4 RESOLVE_NO_SYMLINKS 0x8 RESOLVE_BENEATH 0x10 RESOLVE_IN_ROOT
    0x20 RESOLVE_CACHED
""")
AT = Bits("""
    0x100 AT_SYMLINK_NOFOLLOW 0x400 AT_SYMLINK_FOLLOW 0x800 AT_NO_AUTOMOUNT 0x1000 AT_EMPTY_PATH
    0x2000 AT_STATX_FORCE_SYNC 0x4000 AT_STATX_DONT_SYNC
""")
AT_ACCESS = Bits("0x100 AT_SYMLINK_NOFOLLOW 0x200 AT_EACCESS 0x1000 AT_EMPTY_PATH")
AT_UNLINK = Bits("0x200 AT_REMOVEDIR")
ACCESS = Bits("4 R_OK 2 W_OK 1 X_OK", zero=(_U32, "F_OK"))
RENAME = Bits("1 RENAME_NOREPLACE 2 RENAME_EXCHANGE 4 RENAME_WHITEOUT")
_CLONE = """
    0x100 CLONE_VM 0x200 CLONE_FS 0x400 CLONE_FILES 0x800 CLONE_SIGHAND 0x1000 CLONE_PIDFD 0x2000 CLONE_PTRACE
    0x4000 CLONE_VFORK 0x8000 CLONE_PARENT 0x10000 CLONE_THREAD 0x20000 CLONE_NEWNS 0x40000 CLONE_SYSVSEM
    0x80000 CLONE_SETTLS 0x100000 CLONE_PARENT_SETTID 0x200000 CLONE_CHILD_CLEARTID 0x400000 CLONE_DETACHED
    0x800000 CLONE_UNTRACED 0x1000000 CLONE_CHILD_SETTID 0x2000000 CLONE_NEWCGROUP 0x4000000 CLONE_NEWUTS
    0x8000000 CLONE_NEWIPC 0x10000000 CLONE_NEWUSER 0x20000000 CLONE_NEWPID 0x40000000 CLONE_NEWNET
    0x80000000 CLONE_IO
"""
CLONE = Bits(_CLONE + "17 SIGCHLD")
"""The lowest byte of `clone`'s flags is a signal."""
UNSHARE = Bits(_CLONE + "0x80 CLONE_NEWTIME")
CLONE3 = Bits(
    _CLONE + "0x80 CLONE_NEWTIME 0x100000000 CLONE_CLEAR_SIGHAND 0x200000000 CLONE_INTO_CGROUP", mask=(1 << 64) - 1
)
SECCOMP = Bits("""
    0x1 SECCOMP_FILTER_FLAG_TSYNC 0x2 SECCOMP_FILTER_FLAG_LOG 0x4 SECCOMP_FILTER_FLAG_SPEC_ALLOW
    0x8 SECCOMP_FILTER_FLAG_NEW_LISTENER 0x10 SECCOMP_FILTER_FLAG_TSYNC_ESRCH
    0x20 SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
""")
FILE_TYPE = Bits("0o140000 S_IFSOCK 0o100000 S_IFREG 0o60000 S_IFBLK 0o20000 S_IFCHR 0o10000 S_IFIFO")
LIMIT = Choice("""
    0 RLIMIT_CPU 1 RLIMIT_FSIZE 2 RLIMIT_DATA 3 RLIMIT_STACK 4 RLIMIT_CORE 5 RLIMIT_RSS 6 RLIMIT_NPROC
    7 RLIMIT_NOFILE 8 RLIMIT_MEMLOCK 9 RLIMIT_AS 10 RLIMIT_LOCKS 11 RLIMIT_SIGPENDING 12 RLIMIT_MSGQUEUE
    13 RLIMIT_NICE 14 RLIMIT_RTPRIO 15 RLIMIT_RTTIME
""")
IPC = Choice("0 IPC_PRIVATE")
REQUEST = Choice("""
    0x5401 TCGETS 0x5402 TCSETS 0x5403 TCSETSW 0x5404 TCSETSF 0x802c542a TCGETS2 0x5409 TCSBRK 0x540a TCXONC
    0x540b TCFLSH 0x540e TIOCSCTTY 0x540f TIOCGPGRP 0x5410 TIOCSPGRP 0x5411 TIOCOUTQ 0x5412 TIOCSTI
    0x5413 TIOCGWINSZ 0x5414 TIOCSWINSZ 0x541b FIONREAD 0x5421 FIONBIO 0x5422 TIOCNOTTY 0x5429 TIOCGSID
    0x80045430 TIOCGPTN 0x40045431 TIOCSPTLCK 0x5441 TIOCGPTPEER 0x5450 FIONCLEX 0x5451 FIOCLEX 0x5452 FIOASYNC
    0x40049409 FICLONE 0x4020940d FICLONERANGE 0xc0189436 FIDEDUPERANGE
    0x80086601 FS_IOC_GETFLAGS 0x40086602 FS_IOC_SETFLAGS 0x801c581f FS_IOC_FSGETXATTR 0x401c5820 FS_IOC_FSSETXATTR
    0xc020660b FS_IOC_FIEMAP 0x8913 SIOCGIFFLAGS 0x8912 SIOCGIFCONF
""")
FAMILY = Choice("""
    0 AF_UNSPEC 1 AF_UNIX 2 AF_INET 10 AF_INET6 16 AF_NETLINK 17 AF_PACKET 29 AF_CAN 31 AF_BLUETOOTH 38 AF_ALG
    40 AF_VSOCK 44 AF_XDP
""")
ENTRY_TYPE = Choice("0 DT_UNKNOWN 1 DT_FIFO 2 DT_CHR 4 DT_DIR 6 DT_BLK 8 DT_REG 10 DT_LNK 12 DT_SOCK 14 DT_WHT")
SET_TIME = Choice("0x3fffffff UTIME_NOW 0x3ffffffe UTIME_OMIT")

RESTARTS = {512: "ERESTARTSYS", 513: "ERESTARTNOINTR", 514: "ERESTARTNOHAND", 516: "ERESTART_RESTARTBLOCK"}
"""Errors that only a tracer sees: of calls that are about to be made again."""

ERRORS = {**errno.errorcode, errno.EDEADLK: "EDEADLK", errno.EOPNOTSUPP: "EOPNOTSUPP", **RESTARTS}

BY_EFFECT = {
    ("access", "flags"): AT_ACCESS,
    ("access", "mode"): ACCESS,
    ("attribute", "flags"): AT,
    ("chmod", "flags"): AT,
    ("chown", "flags"): AT,
    ("execute", "flags"): AT,
    ("fork", "flags"): CLONE,
    ("hardlink", "flags"): AT,
    ("ioctl", "request"): REQUEST,
    ("ipc", "key"): IPC,
    ("limit", "resource"): LIMIT,
    ("mknod", "mode"): FILE_TYPE,
    ("open", "flags"): OPEN,
    ("rename", "flags"): RENAME,
    ("seccomp", "flags"): SECCOMP,
    ("setxattr", "flags"): AT,
    ("status", "flags"): AT,
    ("unlink", "flags"): AT_UNLINK,
    ("unshare", "flags"): UNSHARE,
    ("utimes", "flags"): AT,
}
"""The words of an argument, by the effect of its call and its key in the table of calls."""

_IDENTITY = Half(none=_U32)
BY_KEY = {
    "flags": Half(),
    "group": _IDENTITY,
    "id": _IDENTITY,
    "id2": _IDENTITY,
    "id3": _IDENTITY,
    "mode": Half(),
    "new": Pointer(),
    "owner": _IDENTITY,
}
"""The words of an argument, by its key alone."""
