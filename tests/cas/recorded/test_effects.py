# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytrace_cas.digest import SHA256, Digest
from pytrace_cas.reapi import ActionResult, OutputFile, OutputSymlink
from pytrace_cas.recorded.effect_entries import (
    ABSENT,
    DIRECTORY,
    NOW,
    PLAIN,
    Dir,
    File,
    Hardlink,
    LinkTo,
    Mode,
    Move,
    Remove,
    State,
    Symlink,
    Times,
)
from pytrace_cas.recorded.effects import Effects, InvalidEffects, MalformedEffects
from pytrace_cas.recorded.names import UnstorablePath, check_name, link_target, link_text, name_of, path_of
from pytrace_cas.recorded.places import Places, escape
from pytrace_exec.replay.results import InconsistentResult, check_result, output_files, output_symlinks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypedDict, Unpack

    class Fields(TypedDict, total=False):
        """What a result says, by field."""

        output_files: list[OutputFile]
        output_symlinks: list[OutputSymlink]
        exit_code: int
        stdout_digest: Digest | None
        stderr_raw: bytes


PLACES = Places(b"/home/u/repo", b"/home/u", b"/home/u/repo/tmp")
X = SHA256.of(b"x")

COMPONENTS = st.binary(min_size=1, max_size=5).filter(
    lambda name: name not in (b".", b"..") and b"/" not in name and b"\0" not in name and not name.startswith(b".pyt")
)
NAMES = st.builds(
    lambda prefix, parts: prefix + escape(b"/".join(parts)),
    st.sampled_from([b"", b"%H/", b"%T/", b"/"]),
    st.lists(COMPONENTS, min_size=1, max_size=3),
)
MODES = st.integers(0, 0o7777)
TIMES = st.one_of(st.none(), st.just(NOW), st.integers(-(1 << 40), 1 << 62))
DIGESTS = st.binary().map(SHA256.of)


@st.composite
def effects(draw: st.DrawFn) -> Effects:
    names = draw(st.lists(NAMES, unique=True, max_size=12))
    tops = [name for name in names if not any(other != name and name.startswith(other + b"/") for other in names)]
    files = [File(name, draw(MODES), draw(DIGESTS), draw(st.booleans())) for name in tops[0::5]]
    entries: list[object] = [*files, *(Dir(name, draw(MODES)) for name in tops[1::5])]
    entries += [Symlink(name, escape(draw(COMPONENTS))) for name in tops[2::5]]
    entries += [Remove(name, draw(st.sampled_from(["file", "dir", "symlink"]))) for name in tops[3::5]]
    entries += [Times(file.path, draw(TIMES), draw(TIMES)) for file in files if draw(st.booleans())]
    for name in tops[4::5]:
        other = name + b"~"
        kinds = [Mode(name, draw(MODES)), Move(name, other), LinkTo(name, other)]
        kinds += [Hardlink(name, file.path) for file in files]
        entries.append(draw(st.sampled_from(kinds)))
    states = st.sampled_from([ABSENT, PLAIN, DIRECTORY, State.file(0o644), State.symlink(b"%H/x")])
    order = draw(st.permutations([file.path for file in files]))
    return Effects(
        entries,  # type: ignore[arg-type]
        [[name] for name in order[:1]] + ([order[1:]] if order[1:] else []),
        {file.path: draw(states) for file in files},
        draw(st.lists(st.tuples(st.sampled_from([1, 2]), st.integers(0, 99)))),
        draw(st.one_of(st.none(), st.integers(0, 1 << 60))),
        draw(st.integers(0, 255)),
    )


@given(effects())
def test_the_canonical_text_round_trips(value: Effects) -> None:
    text = value.encode()
    assert Effects.decode(text) == value
    assert Effects.decode(text).encode() == text


@given(effects(), st.data())
def test_no_other_text_has_the_meaning(value: Effects, data: st.DataObject) -> None:
    text = value.encode()
    lines = text.split(b"\n")
    at = data.draw(st.integers(0, len(lines) - 1))
    change = data.draw(st.sampled_from(["swap", "double", "drop", "space", "cut"]))
    if change == "swap":
        lines[0], lines[at] = lines[at], lines[0]
    elif change == "double":
        lines.insert(at, lines[at])
    elif change == "drop":
        del lines[at]
    elif change == "space":
        lines[at] += b" "
    changed = text[:-1] if change == "cut" else b"\n".join(lines)
    try:
        assert Effects.decode(changed).encode() == changed
    except MalformedEffects:
        return


@given(st.binary())
def test_garbage_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedEffects):
        Effects.decode(data)
    with pytest.raises(MalformedEffects):
        Effects.decode(b"pytrace-effects 1\n" + data + b"\x01\nexit 0\n")


def test_the_text_by_example() -> None:
    value = Effects(
        [
            File(b"a%20b", 0o644, X, in_place=True),
            File(b"%H/.cache/x", 0o4755, X),
            Dir(b"d", 0o755),
            Symlink(b"d/l", b"%R/a"),
            Hardlink(b"d/h", b"a%20b"),
            Move(b"old", b"d/new"),
            LinkTo(b"d/more", b"kept"),
            Remove(b"gone", "file"),
            Mode(b"kept", 0o600),
            Times(b"kept", None, NOW),
        ],
        order=[[b"d/l"], [b"a%20b", b"."]],
        targets={b"a%20b": PLAIN, b"d": ABSENT, b"%H/.cache/x": State.file(0o600)},
        streams=[(1, 3), (1, 4), (2, 0), (2, 1)],
        stdin_offset=7,
        exit_code=3,
    )
    digest = str(X).encode()
    assert value.encode().splitlines() == [
        b"pytrace-effects 1",
        b"dir d 0755",
        b"file %H/.cache/x 4755 " + digest,
        b"file a%20b 0644 " + digest + b" in-place",
        b"hardlink d/h a%20b",
        b"linkto d/more kept",
        b"mode kept 0600",
        b"move old d/new",
        b"remove gone file",
        b"symlink d/l %R/a",
        b"times kept - now",
        b"target %H/.cache/x file 0600",
        b"target a%20b plain",
        b"order d/l",
        b"order . a%20b",
        b"stream 1 7",
        b"stream 2 1",
        b"stdin-offset 7",
        b"exit 3",
    ]


FORMS = [
    b"file a 644 " + str(X).encode(),
    b"file a 0o644 " + str(X).encode(),
    b"file a 10000 " + str(X).encode(),
    b"file a 0644 " + str(X).encode().replace(b"/", b"-"),
    b"file a 0644 " + str(X).encode() + b" in_place",
    b"file ../a 0644 " + str(X).encode(),
    b"file a//b 0644 " + str(X).encode(),
    b"file %R/a 0644 " + str(X).encode(),
    b"file %41 0644 " + str(X).encode(),
    b"file %00 0644 " + str(X).encode(),
    b"file a%2Fb 0644 " + str(X).encode(),
    b"file .pytrace/x 0644 " + str(X).encode(),
    b"file d/.pytrace-0/x 0644 " + str(X).encode(),
    b"file /a/../b 0644 " + str(X).encode(),
    b"file %H 0644 " + str(X).encode(),
    b"dir . 0755",
    b"dir \xff 0755",
    b"symlink a",
    b"symlink a ",
    b"symlink a %00",
    b"symlink a %zz",
    b"remove a socket",
    b"times a 01 -",
    b"times a 1_0 -",
    b"owner a 0 0",
    b"move a a",
    b"target a plain",
    b"order a a",
    b"order ",
    b"stream 3 1",
    b"stream 1 0",
    b"stream 1 -1",
    b"stdin-offset -1",
    b"exit 256",
    b"",
]


@pytest.mark.parametrize("line", FORMS)
def test_malformed_lines_are_refused(line: bytes) -> None:
    end = b"" if line.startswith(b"exit") else b"exit 0\n"
    with pytest.raises(MalformedEffects):
        Effects.decode(b"pytrace-effects 1\n" + line + b"\n" + end)


@pytest.mark.parametrize(
    "entries",
    [
        [File(b"a", 0o644, X), Dir(b"a", 0o755)],
        [File(b"a", 0o644, X), File(b"a", 0o600, X)],
        [File(b"a", 0o644, X), File(b"a/b", 0o644, X)],
        [Symlink(b"a", b"x"), Dir(b"a/b/c", 0o755)],
        [Remove(b"a", "file"), File(b"a", 0o644, X)],
        [Remove(b"a", "file"), Move(b"a", b"b")],
        [Move(b"a", b"c"), Move(b"b", b"c")],
        [Hardlink(b"a", b"b")],
        [Hardlink(b"a", b"b"), Dir(b"b", 0o755)],
        [LinkTo(b"a", b"b"), File(b"b", 0o644, X)],
        [File(b"a", 0o644, X), Mode(b"a", 0o600)],
        [Mode(b"a", 0o600), Mode(b"a", 0o644)],
        [File(b"a", 0o644, X), Hardlink(b"b", b"a"), Times(b"b", None, NOW)],
    ],
)
def test_contradictions_are_refused(entries: list[object]) -> None:
    with pytest.raises(InvalidEffects):
        Effects(entries)  # type: ignore[arg-type]


def test_states_concern_made_names() -> None:
    with pytest.raises(InvalidEffects):
        Effects([], targets={b"a": PLAIN})
    with pytest.raises(InvalidEffects):
        Effects([Dir(b"a", 0o755)], targets={b"a": PLAIN})


@pytest.mark.parametrize("name", [b"a/" * 200 + b"a", b"x" * 256, b"%H", b"%T/..", b"/", b"", b"a b", b".."])
def test_names_have_limits(name: bytes) -> None:
    with pytest.raises(UnstorablePath):
        check_name(name)


def test_names_say_the_root_first() -> None:
    for path, name in (
        (b"/home/u/repo/a b", b"a%20b"),
        (b"/home/u/repo/tmp/x", b"tmp/x"),
        (b"/home/u/.cache/x", b"%H/.cache/x"),
        (b"/etc/x", b"/etc/x"),
    ):
        assert name_of(PLACES, path) == name
        assert path_of(PLACES, name) == path
    with pytest.raises(UnstorablePath):
        name_of(PLACES, PLACES.root)


@given(st.one_of(st.binary(min_size=1), st.sampled_from([b"/home/u/x", b"/home/u/repo/../x", b"%H", b"../%R/a"])))
def test_link_targets_round_trip(target: bytes) -> None:
    assert link_target(PLACES, link_text(PLACES, target)) == target


def result_of(value: Effects, **changes: Unpack[Fields]) -> ActionResult:
    sizes = {number: sum(length for fd, length in value.streams if fd == number) for number in (1, 2)}
    fields: Fields = {
        "output_files": [*output_files(value), OutputFile(path=".pytrace/effects", digest=SHA256.of(value.encode()))],
        "output_symlinks": output_symlinks(value),
        "exit_code": value.exit_code,
        "stdout_digest": Digest("a" * 64, sizes[1]) if sizes[1] else None,
        "stderr_raw": b"e" * sizes[2],
    }
    fields.update(changes)
    return ActionResult(**fields)


@given(effects())
def test_a_result_agrees_with_its_effects_over_the_wire(value: Effects) -> None:
    result = ActionResult.decode(result_of(value).encode())
    check_result(value, result)
    assert len({file.path for file in result.output_files}) == len(result.output_files)


def test_a_result_that_says_something_else_is_refused() -> None:
    value = Effects([File(b"%H/x", 0o755, X), Symlink(b"l", b"%R/a")], streams=[(1, 3), (2, 4)], exit_code=1)
    lie = OutputFile(path=".pytrace/outside/%H/x", digest=SHA256.of(b"other"), is_executable=True)
    lies: list[Fields] = [
        {"output_files": []},
        {"output_files": [lie]},
        {"output_symlinks": []},
        {"exit_code": 0},
        {"stdout_digest": None},
        {"stderr_raw": b"four+"},
    ]
    for changes in lies:
        with pytest.raises(InconsistentResult):
            check_result(value, result_of(value, **changes))
