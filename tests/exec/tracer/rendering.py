# SPDX-License-Identifier: Apache-2.0
"""Values and events written the way strace 6.1 writes them, and strategies that make them."""

from __future__ import annotations

from hypothesis import strategies as st

from pytrace_exec.tracer.events import AT_FDCWD, Changed, Expr, Fd, Flags

LETTERS = {0x0A: b"\\n", 0x09: b"\\t", 0x0D: b"\\r", 0x0B: b"\\v", 0x0C: b"\\f", 0x22: b'\\"', 0x5C: b"\\\\"}


def quote(text: bytes, also: bytes = b"") -> bytes:
    """Escape as `string_quote` does: octal of as few digits as the next character allows."""
    written = []
    for place, code in enumerate(text):
        if code in LETTERS:
            written.append(LETTERS[code])
        elif 0x20 <= code < 0x7F and code not in also:
            written.append(bytes((code,)))
        else:
            wide = text[place + 1 : place + 2] in {b"%d" % digit for digit in range(8)}
            written.append(b"\\%03o" % code if wide else b"\\%o" % code)
    return b"".join(written)


def render_fd(fd: Fd) -> bytes:
    """Write a descriptor; of a deleted working directory the mark stands inside the brackets."""
    cwd = fd.number == AT_FDCWD
    number = b"AT_FDCWD" if cwd else b"%d" % fd.number
    if fd.path is None:
        return number
    inside = b" (deleted)" if cwd and fd.deleted else b""
    outside = b"(deleted)" if fd.deleted and not cwd else b""
    return number + b"<" + quote(fd.path, b"<>") + inside + b">" + outside


def render(value: object) -> bytes:
    """Write any value."""
    match value:
        case None:
            return b"NULL"
        case int():
            return b"%d" % value if value < 4096 else b"%#x" % value
        case bytes():
            return b'"' + quote(value) + b'"'
        case Fd():
            return render_fd(value)
        case Flags(names=names, rest=rest):
            parts = [name.encode() for name in sorted(names)] + ([b"%#x" % rest] if rest else [])
            return b"|".join(parts)
        case Expr(name=name, args=args):
            return name.encode() + b"(" + b", ".join(map(render, args)) + b")"
        case Changed(before=before, after=after):
            return render(before) + b" => " + render(after)
        case tuple():
            return b"[" + b", ".join(map(render, value)) + b"]"
        case dict():
            return b"{" + b", ".join(key.encode() + b"=" + render(inner) for key, inner in value.items()) + b"}"
    raise TypeError(value)


# Names that look like parts of a log are what a parser could stumble over.
awkward = st.sampled_from(
    [
        b") = 0",
        b"a -> b",
        b"<unfinished ...>",
        b" resumed>",
        b"/* c */",
        b'", "',
        b"x) = 3</y>",
        b" (deleted)",
        b"{a=1}",
        b", ",
    ]
)
texts = st.lists(st.one_of(awkward, st.binary(max_size=6)), max_size=4).map(b"".join)
paths = st.one_of(texts.map(lambda text: b"/" + text), st.sampled_from([b"pipe:[5]", b"anon_inode:[eventpoll]"]))
words = st.from_regex(r"[A-Z][A-Z0-9_]{1,8}", fullmatch=True).filter(lambda word: word != "NULL")
keys = st.from_regex(r"[a-z][a-z0-9_]{1,8}", fullmatch=True)
numbers = st.integers(-4095, 2**63)
fds = st.builds(Fd, st.integers(0, 999), paths, st.booleans())
cwds = st.builds(Fd, st.just(AT_FDCWD), paths.filter(lambda path: not path.endswith(b" (deleted)")), st.booleans())
flag_sets = st.builds(Flags, st.frozensets(words, min_size=1, max_size=4), st.integers(0, 4096))
flat = st.one_of(numbers, texts, st.none(), fds, cwds, flag_sets)
values = st.recursive(
    flat,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(keys, inner, max_size=4),
        st.builds(Expr, keys, st.lists(inner, max_size=3).map(tuple)),
        st.builds(lambda one, other: (Changed(one, other),), inner, inner),
    ),
    max_leaves=12,
)
arguments = st.lists(values, max_size=5).map(tuple)
