# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pytrace_exec.tracer.events import Call, Changed, Exited, Expr, Fd, Flags, Foreign, Killed, Superseded, Unparsed
from pytrace_exec.tracer.strace_log import LogParser, parse_log
from tests.exec.tracer.rendering import arguments, fds, render, render_fd

NAMES = st.sampled_from(["openat", "newfstatat", "syscall_0x1d4", "clone3"])


@st.composite
def results(draw: st.DrawFn) -> tuple[bytes, int | None, Fd | None, str | None]:
    """A result as text, with the three fields of `Call` that it becomes."""
    kind = draw(st.integers(0, 5))
    if kind == 0:
        fd = draw(fds)
        return render_fd(fd), fd.number, fd, None
    if kind == 1:
        return b"-1 ENOENT (No such file or directory)", -1, None, "ENOENT"
    if kind == 2:
        return b"? ERESTARTSYS (To be restarted if SA_RESTART is set)", None, None, "ERESTARTSYS"
    if kind == 3:
        return b"0x8002 (flags O_RDWR|O_LARGEFILE)", 0x8002, None, None
    if kind == 4:
        fd = draw(fds)
        return b"1 ([{fd=" + render_fd(fd) + b", revents=POLLIN}])", 1, None, None
    return b"0 (Timeout)", 0, None, None


@st.composite
def traces(draw: st.DrawFn) -> tuple[bytes, list[Call]]:
    """The lines of some processes, interleaved as strace interleaves them, and the calls they mean."""
    queues: list[Any] = []
    for pid in draw(st.sets(st.integers(1, 99999), min_size=1, max_size=3)):
        calls = draw(st.lists(st.tuples(NAMES, arguments, results(), st.booleans(), st.integers(0, 5)), max_size=4))
        queues.append([pid, calls, None])
    lines, expected = [], []
    while queue := draw(st.sampled_from([None, *(q for q in queues if q[1])])) or next(
        (q for q in queues if q[1]), None
    ):
        pid, calls, started = queue
        name, args, (text, result, fd, error), split, cut = calls[0]
        before, after = _halves(name, args, cut)
        if split and started is None:
            lines.append(b"%-5d %s <unfinished ...>" % (pid, before))
            queue[2] = len(lines)
            continue
        prefix = before if started is None else b"<... %s resumed>" % name.encode()
        lines.append(b"%-5d %s%s)  = %s" % (pid, prefix, after, text))
        expected.append(Call(pid, name, args, result, fd, error, len(lines), started or len(lines)))
        queue[1], queue[2] = calls[1:], None
    return b"".join(line + b"\n" for line in lines), expected


def _halves(name: str, args: tuple[object, ...], cut: int) -> tuple[bytes, bytes]:
    head, tail = b", ".join(map(render, args[:cut])), b", ".join(map(render, args[cut:]))
    return name.encode() + b"(" + head + (b", " if head and tail else b""), tail


@settings(max_examples=40, deadline=None)
@given(traces(), st.integers(1, 50))
def test_interleaved_calls_are_joined(trace: tuple[bytes, list[Call]], size: int) -> None:
    log, expected = trace
    assert parse_log(log) == expected
    parser = LogParser()
    for start in range(0, len(log), size):
        parser.feed(log[start : start + size])
    parser.finish()
    assert parser.events == expected


@settings(max_examples=60, deadline=None)
@given(traces())
def test_only_the_strings_of_calls_that_move_bytes_are_emptied(trace: tuple[bytes, list[Call]]) -> None:
    log, calls = trace
    moving = {"openat", "clone3"}
    parser = LogParser(moving)
    parser.feed(log)
    assert parser.events == [
        Call(c.pid, c.name, emptied(c.args), c.result, c.result_fd, c.error, c.line, c.started)
        if c.name in moving
        else c
        for c in calls
    ]


def test_bytes_that_were_cut_are_not_missed() -> None:
    """strace prints no more than a limit of what one call read."""
    parser = LogParser({"read"})
    parser.feed(b'1 read(3</a>, "ab\\"c"..., 2000000) = 2000000\n')
    assert parser.events == [Call(1, "read", (Fd(3, b"/a"), b"", 2000000), 2000000, None, None, 1, 1)]


def emptied(value: Any) -> Any:
    """The value with empty strings in it; paths of descriptors stay."""
    match value:
        case bytes():
            return b""
        case tuple():
            return tuple(map(emptied, value))
        case dict():
            return {key: emptied(inner) for key, inner in value.items()}
        case Expr(name=name, args=args):
            return Expr(name, emptied(args))
        case Changed(before=before, after=after):
            return Changed(emptied(before), emptied(after))
    return value


marks = [
    b'"',
    b"\\\\",
    b'\\"',
    b"\\n",
    b"<",
    b">",
    b", ",
    b"{",
    b"}",
    b"a=",
    b"...",
    b"1",
    b"(",
    b")",
    b"[",
    b"]",
    b" ",
    b" = ",
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(marks), max_size=10).map(b"".join))
@example(b'"abc"...')
@example(b'"abc\\"')
def test_what_cannot_be_parsed_cannot_be_parsed_without_its_strings(text: bytes) -> None:
    line = b"7 read(3</a>, %s, 9) = 9\n" % text
    (whole,) = parse_log(line)
    parser = LogParser({"read"})
    parser.feed(line)
    parser.finish()
    (emptier,) = parser.events
    # Bytes that were cut are the one thing that is needed otherwise.
    assert isinstance(whole, Call) or isinstance(emptier, Unparsed) or b'"...' in text
    if isinstance(whole, Call) and isinstance(emptier, Call):
        assert emptier.args[0] == whole.args[0]
        assert emptier.result == whole.result


@settings(deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=20),
            st.sampled_from(
                [
                    b"12 ",
                    b"open(",
                    b'"',
                    b") = 3",
                    b" <unfinished ...>",
                    b"<... open resumed>",
                    b"+++ exited with 0 +++",
                    b"--- SIGHUP {} ---",
                    b"\n",
                ]
            ),
        ),
        max_size=12,
    ).map(b"".join)
)
def test_no_line_raises_and_none_is_lost(log: bytes) -> None:
    events = parse_log(log)
    lines = log.split(b"\n")
    kept = {event.line for event in events} | {event.started for event in events if isinstance(event, Call)}
    for number, line in enumerate(lines, 1):
        if number not in kept and (line or number < len(lines)):
            # What is left are signals, and the first half of what an `Unparsed` or a later line completes.
            assert line.endswith(b" ---") or b"...>" in line


def flagged(*names: str) -> Flags:
    return Flags(frozenset(names))


def test_ends_of_processes() -> None:
    log = (
        b"7 exit_group(3)                           = ?\n"
        b"7 +++ exited with 3 +++\n"
        b"8 read(0<pipe:[5]>,  <unfinished ...>\n"
        b"9 exit_group(0 <unfinished ...>\n"
        b"9 <... exit_group resumed>)               = ?\n"
        b"8 +++ killed by SIGSEGV (core dumped) +++\n"
        b"10 exit(0 <unfinished ...>) = ?\n"
        b"10 +++ killed by SIGKILL +++\n"
    )
    assert parse_log(log) == [
        Call(7, "exit_group", (3,), None, None, None, 1, 1),
        Exited(7, 3, 2),
        Call(9, "exit_group", (0,), None, None, None, 5, 4),
        Call(8, "read", (Fd(0, b"pipe:[5]"),), None, None, None, 6, 3),
        Killed(8, "SIGSEGV", 6),
        Call(10, "exit", (0,), None, None, None, 7, 7),
        Killed(10, "SIGKILL", 8),
    ]


@pytest.mark.parametrize(
    "began", [b"7 ???( <unfinished ...>\n", b"7 ???( <unfinished ...>\n7 <... ??? resumed>) = ?\n"]
)
def test_a_thread_that_was_killed_at_the_entry_of_a_call_did_not_make_it(began: bytes) -> None:
    (ended,) = parse_log(began + b"7 +++ exited with 0 +++\n")
    assert isinstance(ended, Exited)


def test_a_call_without_a_name_that_was_made_is_not_passed_over() -> None:
    assert any(
        isinstance(event, Unparsed) for event in parse_log(b"7 ???( <unfinished ...>\n7 <... ??? resumed>) = 0\n")
    )
    assert any(isinstance(event, Unparsed) for event in parse_log(b"7 ???() = 3\n"))


def test_exec_from_a_thread_goes_on_under_the_number_of_the_process() -> None:
    log = (
        b"5 wait4(-1,  <unfinished ...>\n"
        b'6 execve("/bin/true", ["true"], 0x7ff /* 3 vars */ <pid changed to 5 ...>\n'
        b"5 +++ superseded by execve in pid 6 +++\n"
        b"5 <... execve resumed>)                   = %d\n"
    )
    first, mmap = 0, {"x86_64": 9, "aarch64": 222}[os.uname().machine]
    assert any(isinstance(event, Unparsed) for event in parse_log(log % first))
    assert parse_log(log % mmap) == [
        Call(5, "wait4", (-1,), None, None, None, 3, 1),
        Superseded(5, 6, 3),
        Call(5, "execve", (b"/bin/true", (b"true",), 0x7FF), 0, None, None, 4, 2),
    ]


def test_what_does_not_fit_is_reported() -> None:
    for log in (
        b"7 open(\n",
        b"strace: Process 7 attached\n",
        b"7 <... open resumed>) = 3\n",
        b"7 open(1 <unfinished ...>\n",
        b"7 open(1) = 3",
        b"7 open(1 <unfinished ...>\n7 close(1) = 0\n",
        b'7 read(3, "abc"..., 9) = 9\n',
        b"7 +++ vanished +++\n",
        b"\n",
    ):
        assert any(isinstance(event, Unparsed) for event in parse_log(log)), log


def test_calls_of_another_abi_are_told() -> None:
    log = b"7 [ Process PID=7 runs in 32 bit mode. ]\n7 [ Process PID=7 runs in 64 bit mode. ]\n"
    assert parse_log(log) == [Foreign(7, "32 bit", 1)]
    assert parse_log(b"7 [ Process PID=7 runs in x32 mode. ]\n") == [Foreign(7, "x32", 1)]


def test_a_name_that_looks_like_the_end_of_a_call() -> None:
    log = b"7 poll([{fd=3</a) = 1>, events=POLLIN}], 1, 0) = 1 ([{fd=3</a) = 1>, revents=POLLIN}])\n"
    (call,) = parse_log(log)
    assert isinstance(call, Call)
    fd = Fd(3, b"/a) = 1")
    assert call.args == (({"fd": fd, "events": flagged("POLLIN")},), 1, 0)
    assert call.result == 1


def test_a_path_with_an_escape_that_strace_does_not_write_is_not_read() -> None:
    (event,) = parse_log(b'12 openat(AT_FDCWD</a>, "x", O_RDONLY) = 3</a\\Tb>\n')
    assert isinstance(event, Unparsed)
