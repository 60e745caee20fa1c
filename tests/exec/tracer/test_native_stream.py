# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytrace_exec.calls.table import TABLE
from pytrace_exec.tracer.events import (
    Again,
    Call,
    Exited,
    Expr,
    Fd,
    Flags,
    Foreign,
    Killed,
    Superseded,
    Unparsed,
    written_out,
)
from pytrace_exec.tracer.native_stream import StreamParser
from pytrace_exec.tracer.native_words import open_flags
from tests.exec.tracer.stream_records import (
    AT_FDCWD,
    BEGIN,
    END,
    NUMBERS,
    RESULT,
    TOO_LONG,
    UNREADABLE,
    Attachment,
    again,
    call,
    end,
    link,
    number,
    record,
    string,
    structure,
    vector,
)

if TYPE_CHECKING:
    from pytrace_exec.tracer.events import Event

O_CLOEXEC = 0o2000000
CWD = link(0, b"/w")


def parse(stream: bytes) -> list[Event]:
    """Parse a whole stream; every call stands by itself."""
    parser = StreamParser()
    parser.feed(stream)
    parser.finish()
    return list(written_out(parser.events))


def one(*records: bytes) -> Call:
    """The only event of some records, which is a call."""
    (event,) = parse(BEGIN + b"".join(records) + END)
    assert isinstance(event, Call)
    return event


def flagged(*names: str, rest: int = 0) -> Flags:
    return Flags(frozenset(names), rest)


def test_a_call_with_paths_and_a_descriptor_as_result() -> None:
    opened = call(
        7, "openat", (AT_FDCWD, 0x7000, O_CLOEXEC, 0), 3, CWD, string(1, b"a\nb"), link(RESULT, b"/w/a\nb", True)
    )
    assert one(opened) == Call(
        7,
        "openat",
        (Fd(-100, b"/w"), b"a\nb", flagged("O_RDONLY", "O_CLOEXEC"), 0),
        3,
        Fd(3, b"/w/a\nb", True),
        None,
        1,
        1,
    )


def test_a_failed_call_and_one_that_never_returned() -> None:
    failed = call(7, "openat", (5, 1, 0o101, 0o644), -2, link(0, b"/d"), string(1, b"x"), state=2)
    event = one(failed)
    assert (event.result, event.error, event.result_fd) == (-1, "ENOENT", None)
    assert event.args == (Fd(5, b"/d"), b"x", flagged("O_WRONLY", "O_CREAT"), 0o644)
    event = one(call(7, "exit_group", (3,), 0, state=1))
    assert (event.result, event.error) == (None, None)
    event = one(call(7, "openat", (5, 1, 0, 0), -512, link(0, b"/d"), string(1, b"x")))
    assert (event.result, event.error) == (None, "ERESTARTSYS")


@pytest.mark.parametrize(
    ("code", "name"), [(11, "EAGAIN"), (35, "EDEADLK"), (38, "ENOSYS"), (95, "EOPNOTSUPP"), (4000, "E4000")]
)
def test_errors_are_named_as_strace_names_them(code: int, name: str) -> None:
    assert one(call(7, "fchdir", (3,), -code, link(0, b"/d"))).error == name


def test_descriptors() -> None:
    assert one(call(7, "fstat", (3, 0x7000), 0, link(0, b"pipe:[5]"))).args == (Fd(3, b"pipe:[5]"),)
    assert one(call(7, "fstat", (0xFFFFFFFF, 0), -9)).args == (Fd(-1, None),)
    assert one(call(7, "fstat", (9, 0), -9, (0, UNREADABLE, b""))).args == (Fd(9, None),)
    # A working directory may lie deeper than a path can say.
    assert one(call(7, "newfstatat", (AT_FDCWD, 1, 2, 0x100), 0, (0, UNREADABLE, b""), string(1, b"f"))).args == (
        Fd(-100, None),
        b"f",
        2,
        flagged("AT_SYMLINK_NOFOLLOW"),
    )
    assert one(call(7, "newfstatat", (3, 1, 2, 0), 0, string(1, b"/f"))).args == (Fd(3, None), b"/f", 2, 0)


def open_how(*words: int) -> Attachment:
    return structure(2, struct.pack(f"<{len(words)}Q", *words))


def times(at: int, *numbers: int) -> Attachment:
    return structure(at, struct.pack(f"<{len(numbers)}q", *numbers))


NOW, OMIT = 0x3FFFFFFF, 0x3FFFFFFE
PATH = string(1, b"p")
INET6 = struct.pack("<H", 10) + struct.pack(">HI", 80, 0) + bytes(15) + b"\1" + bytes(4)


def value(name: str, position: int, registers: tuple[int, ...], *attached: Attachment, result: int = 0) -> object:
    """The value of one argument."""
    return one(call(7, name, registers, result, *attached)).args[position]


@pytest.mark.parametrize(
    ("name", "position", "registers", "attached", "expected"),
    [
        ("openat2", 2, (AT_FDCWD, 1, 2, 24), (CWD, PATH, open_how(0o101, 0o600, 0x10)),
         {"flags": flagged("O_WRONLY", "O_CREAT"), "mode": 0o600, "resolve": flagged("RESOLVE_IN_ROOT")}),
        ("clone", 0, (0x1200011,), (), flagged("CLONE_CHILD_CLEARTID", "CLONE_CHILD_SETTID", "SIGCHLD")),
        ("clone3", 0, (1, 88), (structure(0, struct.pack("<Q", 0x10010200) + bytes(80)),),
         {"flags": flagged("CLONE_FS", "CLONE_THREAD", "CLONE_NEWUSER")}),
        ("unshare", 0, (0x200,), (), flagged("CLONE_FS")),
        ("execve", 1, (1, 2, 3), (string(0, b"/bin/x"), vector(1, b"x", b"", b"a b")), (b"x", b"", b"a b")),
        ("execve", 1, (1, 2, 3), (string(0, b"/bin/x"), vector(1)), ()),
        ("execve", 1, (1, 0, 3), (string(0, b"/bin/x"),), None),
        ("execve", 5, (1, 0, 3), (string(0, b"/bin/x"), structure(5, b"#!/bin/sh\n")), b"#!/bin/sh\n"),
        ("execve", 5, (1, 0, 3), (string(0, b"/bin/x"),), None),
        ("faccessat", 2, (AT_FDCWD, 1, 0), (CWD, PATH), flagged("F_OK")),
        ("faccessat", 2, (AT_FDCWD, 1, 5), (CWD, PATH), flagged("R_OK", "X_OK")),
        ("mknodat", 2, (AT_FDCWD, 1, 0o100644), (CWD, PATH), flagged("S_IFREG", rest=0o644)),
        ("mknodat", 2, (AT_FDCWD, 1, 0o140600), (CWD, PATH), flagged("S_IFSOCK", rest=0o600)),
        ("mknodat", 2, (AT_FDCWD, 1, 0o644), (CWD, PATH), 0o644),
        ("fchownat", 3, (AT_FDCWD, 1, 5, 0xFFFFFFFF, 0), (CWD, PATH), -1),
        ("setresuid", 2, (1, 1, 0xFFFFFFFF), (), -1),
        ("utimensat", 2, (AT_FDCWD, 1, 0, 0), (CWD, PATH), None),
        ("utimensat", 1, (3, 0, 0, 0), (link(0, b"/f"),), None),
        ("utimensat", 2, (AT_FDCWD, 1, 2, 0), (CWD, PATH, times(2, 5, 6, -7, 8)),
         ({"tv_sec": 5, "tv_nsec": 6}, {"tv_sec": -7, "tv_nsec": 8})),
        ("utimensat", 2, (AT_FDCWD, 1, 2, 0), (CWD, PATH, times(2, 0, NOW, 0, OMIT)),
         (flagged("UTIME_NOW"), flagged("UTIME_OMIT"))),
        ("ioctl", 1, (1, 0x5401, 0), (link(0, b"/f"),), flagged("TCGETS")),
        ("ioctl", 1, (1, 0xFFFFFFFF80045430, 0), (link(0, b"/f"),), flagged("TIOCGPTN")),
        ("ioctl", 1, (1, 0x12345678, 0), (link(0, b"/f"),), 0x12345678),
        ("prlimit64", 1, (0, 7, 0, 1), (), flagged("RLIMIT_NOFILE")),
        ("prlimit64", 2, (0, 7, 0, 1), (), None),
        ("prlimit64", 2, (0, 7, 9, 1), (), 9),
        ("renameat2", 4, (AT_FDCWD, 1, AT_FDCWD, 2, 1), (PATH, string(3, b"q")), flagged("RENAME_NOREPLACE")),
        ("unlinkat", 2, (AT_FDCWD, 1, 0x200), (PATH,), flagged("AT_REMOVEDIR")),
        ("linkat", 4, (AT_FDCWD, 1, AT_FDCWD, 2, 0x400), (PATH, string(3, b"q")), flagged("AT_SYMLINK_FOLLOW")),
        ("seccomp", 1, (1, 8, 5), (), flagged("SECCOMP_FILTER_FLAG_NEW_LISTENER")),
        ("shmget", 0, (0, 1, 1), (), flagged("IPC_PRIVATE")),
        ("fsetxattr", 1, (3, 1, 2, 28, 0), (link(0, b"/f"), string(1, b"user.a")), b"user.a"),
        ("fsetxattr", 3, (3, 1, 2, 28, 0), (link(0, b"/f"), string(1, b"user.a")), 28),
        ("connect", 1, (3, 1, 110), (structure(1, b"\1\0/run/x\0" + bytes(9)),),
         {"sa_family": flagged("AF_UNIX"), "sun_path": b"/run/x"}),
        ("connect", 1, (3, 1, 5), (structure(1, b"\1\0\0ab"),),
         {"sa_family": flagged("AF_UNIX"), "sun_path": Expr("@", (b"ab",))}),
        ("connect", 1, (3, 1, 2), (structure(1, b"\1\0"),), {"sa_family": flagged("AF_UNIX")}),
        ("connect", 1, (3, 1, 16), (structure(1, b"\2\0\0\65\x7f\0\0\1" + bytes(8)),),
         {"sa_family": flagged("AF_INET"), "sin_port": Expr("htons", (53,)),
          "sin_addr": Expr("inet_addr", (b"127.0.0.1",))}),
        ("connect", 1, (3, 1, 28), (structure(1, INET6),),
         {"sa_family": flagged("AF_INET6"), "sin6_port": Expr("htons", (80,)),
          "sin6_addr": Expr("inet_pton", (flagged("AF_INET6"), b"::1"))}),
        ("connect", 1, (3, 1, 12), (structure(1, b"\x10" + bytes(11)),), {"sa_family": flagged("AF_NETLINK")}),
        ("connect", 1, (3, 1, 4), (structure(1, b"\xff\xff\0\0"),), {"sa_family": 0xFFFF}),
        ("sendto", 4, (3, 1, 2, 0, 0, 0), (link(0, b"socket:[1]"),), None),
        ("sendmsg", 1, (3, 1, 0), (link(0, b"socket:[1]"), structure(1, b"")), {"msg_name": None}),
        ("sendmsg", 1, (3, 1, 0), (link(0, b"socket:[1]"), structure(1, b"\1\0/s")),
         {"msg_name": {"sa_family": flagged("AF_UNIX"), "sun_path": b"/s"}}),
        ("sendmmsg", 1, (3, 1, 2), (link(0, b"socket:[1]"), structure(1, b""), structure(1, b"\1\0/s")),
         ({"msg_hdr": {"msg_name": None}},
          {"msg_hdr": {"msg_name": {"sa_family": flagged("AF_UNIX"), "sun_path": b"/s"}}})),
    ],
)  # fmt: skip
def test_one_value(
    name: str, position: int, registers: tuple[int, ...], attached: tuple[Attachment, ...], expected: object
) -> None:
    assert value(name, position, registers, *attached) == expected


def test_flags_that_differ_between_machines() -> None:
    assert open_flags("x86_64")[0o20200002] == flagged("O_RDWR", "O_TMPFILE")
    assert open_flags("aarch64")[0o20040002] == flagged("O_RDWR", "O_TMPFILE")
    assert open_flags("x86_64")[0o600000] == flagged("O_RDONLY", "O_DIRECTORY", "O_NOFOLLOW")
    assert open_flags("aarch64")[0o140000] == flagged("O_RDONLY", "O_DIRECTORY", "O_NOFOLLOW")
    assert open_flags("x86_64")[0o4010001] == flagged("O_WRONLY", "O_SYNC")
    assert open_flags("x86_64")[0o10001] == flagged("O_WRONLY", "O_DSYNC")


def entry(name: bytes, kind: int) -> bytes:
    size = (19 + len(name) + 1 + 7) // 8 * 8
    return struct.pack("<QqHB", 5, 6, size, kind) + name.ljust(size - 19, b"\0")


def test_entries_of_a_directory() -> None:
    data = entry(b"a\xff", 8) + entry(b"..", 4) + entry(b"l" * 255, 10)
    listed = value("getdents64", 1, (3, 1, 999), link(0, b"/d"), structure(1, data), result=len(data))
    assert listed == (
        {"d_type": flagged("DT_REG"), "d_name": b"a\xff"},
        {"d_type": flagged("DT_DIR"), "d_name": b".."},
        {"d_type": flagged("DT_LNK"), "d_name": b"l" * 255},
    )
    assert value("getdents64", 1, (3, 1, 999), link(0, b"/d"), structure(1, b"")) == ()
    failed = one(call(7, "getdents64", (3, 1, 9), -20, link(0, b"/f")))
    assert failed.args == (Fd(3, b"/f"), 1)


@pytest.mark.skipif("getdents" not in NUMBERS, reason="calls of x86-64")
def test_old_calls() -> None:
    data = struct.pack("<QqH", 5, 6, 24) + b"abc\0\0\10"
    assert value("getdents", 1, (3, 1, 999), link(0, b"/d"), structure(1, data), result=24) == (
        {"d_type": flagged("DT_REG"), "d_name": b"abc"},
    )
    assert value("utime", 1, (1, 2), string(0, b"f"), times(1, 5, 6)) == {"actime": 5, "modtime": 6}
    assert value("utimes", 1, (1, 2), string(0, b"f"), times(1, 5, 6, 7, 8)) == (
        {"tv_sec": 5, "tv_usec": 6},
        {"tv_sec": 7, "tv_usec": 8},
    )
    assert value("getsockname", 1, (3, 1, 2), structure(1, b"\1\0")) == {"sa_family": flagged("AF_UNIX")}
    assert value("open", 0, (1, 0, 0), string(0, b"f"), result=4) == b"f"


def test_unknown_calls_appear() -> None:
    event = one(call(7, 1000, (1, 2, 3), -38))
    assert (event.name, event.args, event.error) == ("syscall_0x3e8", (1, 2, 3, 0, 0, 0), "ENOSYS")


def test_processes_and_what_is_held() -> None:
    parser = StreamParser()
    records = [
        call(7, "clone", (0x100,), 8),
        end(2, 9, 0),  # came and went before its parent's call returned
        call(7, "clone", (0x100,), 9),
        number(4, 7, 8),
        call(7, "execve", (1, 2, 3), 0, string(0, b"/bin/x"), vector(1, b"x")),
        record(6, 10, struct.pack("<II", 0x40000003, 11)),
        record(7, 7, struct.pack("<IQQqqqII", 12, 1, 2, 3, 4, -5, 0o100644, 1) + b"/w/f"),
        end(3, 10, 11),
        end(3, 11, 34),
    ]
    parser.feed(BEGIN + b"".join(records))
    assert parser.living == {7}
    parser.feed(end(2, 7, 5) + END)
    parser.finish()
    assert parser.living == set()
    assert parser.tracer == 77
    kinds = (Exited, Superseded, Foreign, Killed)
    assert [event for event in parser.events if isinstance(event, kinds)] == [
        Exited(9, 0, 2),
        Superseded(7, 8, 4),
        Foreign(10, "execve (i386)", 6),
        Killed(10, "SIGSEGV", 8),
        Killed(11, "SIGRT_2", 9),
        Exited(7, 5, 10),
    ]
    (held,) = parser.secured
    assert (held.path, held.place, held.mode, held.nlink) == (b"/w/f", b"/proc/77/fd/12", 0o100644, 1)
    assert held.identity == (1, 2, 3, 4, -5)


def test_a_look_that_was_told_is_known_again() -> None:
    first = call(7, "openat", (AT_FDCWD, 1, 0, 0), 3, CWD, PATH, link(RESULT, b"/w/p"), again=5)
    other = call(7, "stat", (1, 1), -2, string(0, b"x"), again=3)
    parser = StreamParser()
    parser.feed(BEGIN + first + other + again(7, 5, 3) + again(8, 3))
    parser.feed(end(2, 8, 0) + again(7, 5) + END)
    told, looked, *events = parser.events
    assert isinstance(told, Call)
    assert isinstance(looked, Call)
    assert events == [
        Again(7, 3, [told, looked]),
        Again(8, 5, [looked]),
        Exited(8, 0, 6),
        Again(7, 7, [told]),
    ]
    calls = [event for event in written_out(events) if isinstance(event, Call)]
    assert [(event.pid, event.line, event.name) for event in calls] == [
        (7, 3, "openat"),
        (7, 4, "stat"),
        (8, 5, "stat"),
        (7, 7, "openat"),
    ]


@pytest.mark.parametrize("odd", [again(7, 4), again(7, 3, 4), again(7), record(10, 7, b"abc")])
def test_only_what_was_told_can_be_told_again(odd: bytes) -> None:
    parser = StreamParser()
    parser.feed(BEGIN + call(7, "stat", (1, 1), -2, string(0, b"x"), again=3) + odd + again(7, 3) + END)
    assert [type(event) for event in parser.events] == [Call, Unparsed, Again]
    assert parser.complete


@pytest.mark.parametrize("name", ["mkdir", "unlink", "chdir"])
def test_only_looks_can_be_told_again(name: str) -> None:
    parser = StreamParser()
    parser.feed(BEGIN + call(7, name, (1, 0o777), 0, string(0, b"x"), again=1) + again(7, 1) + END)
    assert isinstance(parser.events[-1], Unparsed)


def test_a_problem_is_told() -> None:
    (event,) = parse(BEGIN + record(5, 7, b"no room") + END)
    assert isinstance(event, Unparsed)
    assert event.text == b"no room"


def test_a_tracer_that_failed_before_the_first_call_says_so() -> None:
    parser = StreamParser()
    parser.feed(BEGIN + record(9, 0))
    assert parser.unseen
    assert not parser.complete
    assert [type(event) for event in parser.events] == [Unparsed]


GOOD = call(7, "openat", (AT_FDCWD, 1, 0, 0), 3, CWD, PATH, link(RESULT, b"/w/p"))


@pytest.mark.parametrize(
    "odd",
    [
        record(1, 7, b"short"),
        record(10, 7),
        record(2, 7, b"\0"),
        record(6, 7, b"\0\0\0\0"),
        record(7, 7, bytes(50)),
        GOOD[:5] + b"\3" + GOOD[6:],  # a state that there is not
        GOOD[:6] + b"\2\0" + GOOD[8:],  # fewer attachments than follow
        GOOD[:6] + b"\7\0" + GOOD[8:],  # more
        call(7, "openat", (AT_FDCWD, 1, 0, 0), 3, CWD, (6, 1, b"p")),  # no such argument
        call(7, "openat", (AT_FDCWD, 1, 0, 0), 3, CWD, PATH, PATH),
        call(7, "openat", (AT_FDCWD, 1, 0, 0), 3, CWD, structure(1, b"p")),
        call(7, "openat", (AT_FDCWD, 1, 0, 0), 3, string(0, b"/w"), PATH),
        # A call that succeeded had them all.
        call(7, "openat", (AT_FDCWD, 1, 0, 0), 3, CWD),
        call(7, "openat", (AT_FDCWD, 1, 0, 0), 3, CWD, (1, UNREADABLE, b"")),
        call(7, "openat", (AT_FDCWD, 1, 0, 0), 3, CWD, (1, TOO_LONG, b"p")),
        call(7, "openat", (5, 1, 0, 0), 3, (0, UNREADABLE, b""), PATH),
        call(7, "fstat", (3, 1), 0),
        call(7, "fstat", (3, 1), 0, (0, UNREADABLE, b"")),
        call(7, "execve", (1, 2, 3), 0, string(0, b"/x"), (1, 7, b"x")),
        call(7, "execve", (1, 2, 3), 0, string(0, b"/x"), (1, TOO_LONG, b"")),
        call(7, "openat2", (AT_FDCWD, 1, 2, 24), 3, CWD, PATH, structure(2, bytes(23))),
        call(7, "getdents64", (3, 1, 99), 24, link(0, b"/d"), structure(1, struct.pack("<QqHB", 1, 1, 0, 8) + b"a\0")),
        call(7, "getdents64", (3, 1, 99), 24, link(0, b"/d"), structure(1, struct.pack("<QqHB", 1, 1, 99, 8) + b"a\0")),
        call(7, "utimensat", (3, 0, 1, 0), 0, link(0, b"/f"), structure(2, bytes(31))),
        call(7, "sendmmsg", (3, 1, 1), 1, link(0, b"socket:[1]"), (1, UNREADABLE, b"")),
    ],
)  # fmt: skip
def test_what_is_odd_is_reported_and_the_rest_is_read(odd: bytes) -> None:
    events = parse(BEGIN + GOOD + odd + GOOD + END)
    assert [type(event) for event in events] == [Call, Unparsed, Call]


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        BEGIN[:11],
        b"PTRSTRM\2" + BEGIN[8:] + END,
        BEGIN[:8] + bytes(4) + END,
        BEGIN,
        BEGIN + GOOD,
        BEGIN + GOOD[:-1],
        BEGIN + END + END,
        BEGIN + END + b"x",
        BEGIN + record(8, 77, b"x"),
        BEGIN + b"\x0b\0\0\0" + GOOD[4:] + END,
        BEGIN + b"\xff\xff\xff\xff" + GOOD[4:] + END,
    ],
)
def test_a_stream_that_cannot_be_trusted_is_reported(stream: bytes) -> None:
    assert isinstance(parse(stream)[-1], Unparsed)


REGISTERS = st.one_of(st.integers(0, 16), st.just(AT_FDCWD), st.integers(0, (1 << 64) - 1))
BLOBS = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b"/w", b"a\0b\0", struct.pack("<3Q", 0o101, 0o600, 0), entry(b"a", 8), INET6, bytes(32)]),
)
ATTACHED = st.tuples(st.one_of(st.integers(0, 7), st.just(RESULT)), st.integers(0, 8), BLOBS)
CALLS = st.builds(
    lambda pid, name, registers, result, attached, state: call(pid, name, registers, result, *attached, state=state),
    st.integers(1, 3),
    st.one_of(st.sampled_from(sorted(TABLE.keys() & NUMBERS.keys())), st.integers(0, 600)),
    st.tuples(*[REGISTERS] * 6),
    st.one_of(st.integers(-600, 40), st.integers(-(1 << 63), (1 << 63) - 1)),
    st.lists(ATTACHED, max_size=5),
    st.integers(0, 3),
)
OTHERS = st.builds(record, st.integers(0, 12), st.integers(1, 3), BLOBS)
ANY = st.one_of(CALLS, OTHERS, st.just(GOOD), st.binary(max_size=20))
STREAMS = st.lists(ANY, max_size=8).map(b"".join).map(lambda records: BEGIN + records)


@settings(deadline=None, max_examples=300)
@given(st.one_of(STREAMS, st.binary(max_size=200)), st.integers(1, 60))
def test_any_bytes_in_any_pieces_give_the_same_events(stream: bytes, size: int) -> None:
    whole = parse(stream)
    parser = StreamParser()
    for start in range(0, len(stream), size):
        parser.feed(stream[start : start + size])
    parser.finish()
    assert [event for event in written_out(parser.events) if not isinstance(event, Unparsed)] == [
        event for event in whole if not isinstance(event, Unparsed)
    ]
    assert [event.why for event in parser.events if isinstance(event, Unparsed)] == [
        event.why for event in whole if isinstance(event, Unparsed)
    ]


@settings(deadline=None, max_examples=300)
@given(st.lists(st.one_of(CALLS, OTHERS), max_size=6))
def test_every_record_of_a_call_leaves_an_event(records: list[bytes]) -> None:
    ends = [position for position, made in enumerate(records) if made[4] == 8]
    seen = records[: ends[0] + 1] if ends else records
    events = parse(BEGIN + b"".join(records))
    told = {event.line for event in events}
    assert {line for line, made in enumerate(seen, 1) if made[4] == 1} <= told
