# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytrace_exec.tracer.events import TRUNCATED, Changed, Expr, Fd, Flags, Raw
from pytrace_exec.tracer.strace_flat import Atoms
from pytrace_exec.tracer.strace_values import Reader, UnreadableError
from tests.exec.tracer.rendering import arguments, flat, keys, render, words


@settings(deadline=None)
@given(arguments)
def test_what_strace_prints_is_read_back(args: tuple[object, ...]) -> None:
    text = b", ".join(map(render, args))
    assert Reader(text).arguments(b"") == args
    assert Reader(text + b") = 0").arguments(b")") == args


@settings(deadline=None)
@given(
    st.lists(
        st.one_of(flat, st.dictionaries(keys, st.one_of(st.integers(), words.map(lambda w: Flags(frozenset({w})))))),
        max_size=5,
    )
)
def test_both_parsers_agree_on_flat_forms(args: tuple[object, ...]) -> None:
    text = b", ".join(map(render, args))
    fast = Atoms().arguments(text)
    assert fast is None or fast == Reader(text).arguments(b"")


def test_the_fast_parser_takes_the_frequent_forms() -> None:
    for text in (
        b'AT_FDCWD</tmp>, "/etc/passwd", O_RDONLY|O_CLOEXEC',
        b"NULL, 16384, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0",
        b'3</etc/x>, "", {st_dev=makedev(0xfe, 0), st_mode=S_IFREG|0644, st_atime=5 /* 2026-11-21T09:37:13 */}, 0',
        b'AT_FDCWD</>, "/x", {st_mode=S_IFDIR|0755, st_size=4096, ...}, 0',
        b"3</x>, 0x55d0c86f62c0 /* 51 entries */, 32768",
    ):
        fast = Atoms().arguments(text)
        assert fast is not None
        assert fast == Reader(text).arguments(b"")


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                b'"',
                b"\\",
                b"<",
                b">",
                b"{",
                b"}",
                b"[",
                b"]",
                b"(",
                b")",
                b", ",
                b"=",
                b"/*",
                b"*/",
                b"1",
                b"A",
                b"|",
                b" => ",
                b"...",
                b"\\7",
            ]
        ),
        max_size=12,
    ).map(b"".join)
)
def test_any_text_is_read_or_refused(text: bytes) -> None:
    try:
        general = Reader(text).arguments(b"")
    except UnreadableError:
        return
    fast = Atoms().arguments(text)
    assert fast is None or fast == general


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"0644", 0o644),
        (b"S_IFREG|0644", Flags(frozenset({"S_IFREG"}), 0o644)),
        (b"8192*1024", 8 << 20),
        (b"0x7ffc3482cc68 /* 38 vars */", 0x7FFC3482CC68),
        (b'"\\1\\0012\\x41\\377\\"\\\\\\n"', b'\x01\x012A\xff"\\\n'),
        (b"21</memfd:foo\\76>(deleted)", Fd(21, b"/memfd:foo>", True)),
        (b"AT_FDCWD</gone (deleted)>", Fd(-100, b"/gone", True)),
        (b"3<TCP:[127.0.0.1:1->127.0.0.1:2]>", Fd(3, b"TCP:[127.0.0.1:1->127.0.0.1:2]")),
        (b"3<TCPv6:[[::1]:1->[::1]:2]>", Fd(3, b"TCPv6:[[::1]:1->[::1]:2]")),
        (b'3<UNIX-STREAM:[1->2,"/s"]>', Fd(3, b'UNIX-STREAM:[1->2,"/s"]')),
        (b'3<UNIX-STREAM:[1->2,"/s\\tx"]>', Fd(3, b'UNIX-STREAM:[1->2,"/s\tx"]')),
        (b"1</dev/null<char 1:3>>", Fd(1, b"/dev/null")),
        (b"[HUP INT]", (Flags(frozenset({"HUP"})), Flags(frozenset({"INT"})))),
        (b"~[RTMIN RT_1]", Expr("~", ((Flags(frozenset({"RTMIN"})), Flags(frozenset({"RT_1"}))),))),
        (b"[28 => 16]", (Changed(28, 16),)),
        (b"[]", ()),
        (b"{a=1, ...}", {"a": 1, TRUNCATED: None}),
        (b"{c_cc[VMIN]=1}", {"c_cc[VMIN]": 1}),
        (b'{sun_path=@"abstract"}', {"sun_path": Expr("@", (b"abstract",))}),
        (b"{a=htons(5)}", {"a": Expr("htons", (5,))}),
        (b'inet_pton("::1", &x)', Expr("inet_pton", (b"::1", Raw(b"&x")))),
        (b"[{WIFEXITED(s) && WEXITSTATUS(s) == 0}]", (Raw(b"{WIFEXITED(s) && WEXITSTATUS(s) == 0}"),)),
        (b"{B38400 opost isig ...}", Raw(b"{B38400 opost isig ...}")),
        (b"1<<CAP_CHOWN|1<<CAP_KILL", Raw(b"1<<CAP_CHOWN|1<<CAP_KILL")),
        (b"SNDCTL_TMR_TIMEBASE or TCGETS", Raw(b"SNDCTL_TMR_TIMEBASE or TCGETS")),
        (b'["a", ...]', (b"a", Raw(b"..."))),
        (b"flags=CLONE_VM|SIGCHLD", {"flags": Flags(frozenset({"CLONE_VM", "SIGCHLD"}))}),
    ],
)  # fmt: skip
def test_one_value(text: bytes, value: object) -> None:
    assert Reader(b"1, " + text + b", 2").arguments(b"") == (1, value, 2)


@pytest.mark.parametrize("text", [b'"abc"...', b'["a"..., "b"]', b'{x="a"...}', b'[{W(s) "a"...}]'])
def test_a_string_cut_short_is_refused(text: bytes) -> None:
    with pytest.raises(UnreadableError):
        Reader(text).arguments(b"")


@pytest.mark.parametrize("text", [b'"a\\S"', b'3<UNIX-STREAM:[1->2,"/s\\S"]>'])
def test_an_escape_that_strace_does_not_write_is_refused(text: bytes) -> None:
    with pytest.raises(UnreadableError):
        Reader(text).arguments(b"")
