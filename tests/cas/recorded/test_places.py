# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytrace_cas.recorded.places import MalformedText, Places, escape, unescape

NAMES = st.one_of(
    st.sampled_from(
        [b"a", b"ab", b"%R", b"%", b"%41", b" ", b"\n", b"\xff", "ä".encode(), b"\xc2\x85", b"=", b":", b"'"]
    ),
    st.binary(min_size=1, max_size=6).map(lambda raw: raw.replace(b"/", b"_").replace(b"\0", b"_")),
).filter(lambda name: name not in (b".", b".."))
PATHS = st.lists(NAMES, max_size=4).map(lambda names: b"/" + b"/".join(names))
LAYOUTS = st.one_of(
    st.builds(Places, PATHS, st.one_of(st.none(), PATHS), st.one_of(st.none(), PATHS)),
    st.sampled_from(
        [
            Places(b"/home/u/repo", b"/home/u", b"/home/u/repo/tmp"),
            Places(b"/home/u", b"/home/u", b"/home/u"),
            Places(b"/", b"/home/u", b"/tmp"),
            Places(b"/srv/x", None, None),
        ]
    ),
)


@given(st.binary())
def test_escape_is_undone_and_printable(raw: bytes) -> None:
    text = escape(raw)
    assert unescape(text) == raw
    assert b" " not in text
    assert not any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 for char in text.decode("utf-8"))


@given(st.binary())
def test_unescape_takes_only_what_escape_writes(text: bytes) -> None:
    try:
        raw = unescape(text)
    except MalformedText:
        return
    assert escape(raw) == text


@pytest.mark.parametrize("text", [b"%", b"%4", b"%41", b"%2f", b"%R", b"%ff", b"a b", b"\xff", b"%C3%A4", b"\n"])
def test_unescape_refuses(text: bytes) -> None:
    with pytest.raises(MalformedText):
        unescape(text)


def test_the_escaping_rule_by_example() -> None:
    assert escape("a ä%\n\x7f".encode() + b"\xff\xc2\x9b") == "a%20ä%25%0A%7F%FF%C2%9B".encode()


@given(LAYOUTS, PATHS)
def test_paths_round_trip(places: Places, path: bytes) -> None:
    assert places.decode_path(places.encode_path(path)) == path


@given(
    LAYOUTS, st.lists(st.one_of(PATHS, NAMES, st.sampled_from([b"=", b":", b",", b'"', b"/", b"-I", b"%H"]))), st.data()
)
def test_texts_round_trip(places: Places, pieces: list[bytes], data: st.DataObject) -> None:
    known = [place for place in (places.root, places.home, places.tmp) if place is not None]
    for _ in range(data.draw(st.integers(0, 3))):
        pieces.insert(data.draw(st.integers(0, len(pieces))), data.draw(st.sampled_from(known)))
    text = b"".join(pieces)
    assert places.restore(places.substitute(text)) == text


NESTED = Places(b"/home/u/repo", b"/home/u", b"/home/u/repo/tmp")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (b"/home/u/repo", b"%R"),
        (b"/home/u/repo/a b", b"%R/a%20b"),
        (b"/home/u/repo/tmp/x", b"%T/x"),
        (b"/home/u/repo/tmpx", b"%R/tmpx"),
        (b"/home/u/repository", b"%H/repository"),
        (b"/home/u", b"%H"),
        (b"/home/user", b"/home/user"),
        (b"/%R", b"/%25R"),
        (b"/home/u/repo/../x", b"%R/../x"),
    ],
)
def test_the_longest_place_at_a_component_border(path: bytes, text: bytes) -> None:
    assert NESTED.encode_path(path) == text
    assert NESTED.decode_path(text) == path


@pytest.mark.parametrize("text", [b"", b"x", b"%X/a", b"%R%R", b"%Rx", b"/a b", b"%R/%41"])
def test_malformed_paths_are_refused(text: bytes) -> None:
    with pytest.raises(MalformedText):
        NESTED.decode_path(text)


def test_a_place_that_is_not_set_cannot_be_decoded() -> None:
    with pytest.raises(MalformedText):
        Places(b"/r").decode_path(b"%H/x")


def test_a_relative_path_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="absolute"):
        NESTED.encode_path(b"x")


@pytest.mark.parametrize("place", [b"", b"x", b"/x/", b"//x", b"/x/../y", b"/./x"])
def test_places_are_normalised(place: bytes) -> None:
    with pytest.raises(ValueError, match="normalised"):
        Places(place)


def test_root_home_and_working_directory_may_be_one() -> None:
    places = Places(b"/h", b"/h", b"/")
    assert (places.encode_path(b"/h/x"), places.encode_path(b"/tmp"), places.tmp) == (b"%R/x", b"/tmp", None)
    assert Places(b"/").encode_path(b"/") == b"%R"
    assert Places(b"/").encode_path(b"/x") == b"%R/x"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (b"/home/u/repo", b"%R"),
        (b"/home/u/repo/x.c", b"%R/x.c"),
        (b"-I/home/u/repo/x", b"-I%R/x"),
        (b"--out=/home/u/repo/x", b"--out=%R/x"),
        (b"-Wl,-rpath,/home/u/lib", b"-Wl,-rpath,%H/lib"),
        (b"/home/u/bin:/home/u/repo/tmp:/usr/bin", b"%H/bin:%T:/usr/bin"),
        (b"'/home/u'\"/home/u\"", b"'%H'\"%H\""),
        (b"x/home/u", b"x/home/u"),
        (b"-II/home/u", b"-II/home/u"),
        (b"-1/home/u", b"-1/home/u"),
        (b"/home/u/home/u", b"%H/home/u"),
        (b"/home/u2", b"/home/u2"),
        (b"100%", b"100%25"),
        (b"%H", b"%25H"),
        (b"/mnt/home/u", b"/mnt/home/u"),
        (b"", b""),
    ],
)
def test_substitution_by_example(text: bytes, written: bytes) -> None:
    assert NESTED.substitute(text) == written
    assert NESTED.restore(written) == text


def test_a_root_of_slash_is_not_substituted() -> None:
    assert Places(b"/").substitute(b"/usr/bin") == b"/usr/bin"


def test_messages_are_relative_and_unambiguous() -> None:
    assert NESTED.readable(b"/home/u/repo/a\nb\xff") == "a%0Ab%FF"
    assert NESTED.readable(b"/home/u/repo") == "."
    assert NESTED.readable(b"/home/u/x") == "/home/u/x"
