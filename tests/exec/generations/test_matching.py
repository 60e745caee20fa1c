# SPDX-License-Identifier: Apache-2.0
"""Which invalidations concern which runs, and what keys are made of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytrace_cas.digest import BLAKE3
from pytrace_cas.generations import Ledger
from pytrace_cas.recorded.invalidations import SCOPES, Invalidation, invalidations, undoing
from pytrace_cas.recorded.places import Places
from pytrace_cas.recorded.subjects import Subject
from pytrace_exec.generations.applying import ACTION, Generations
from pytrace_exec.generations.matching import applying, is_target
from pytrace_exec.invocation import Invocation
from pytrace_exec.keys.messages import Key
from pytrace_exec.options import parse
from pytrace_exec.standard_streams import StandardStreams

ROOT = b"/work/root"
Scope = tuple[tuple[str, bytes], ...]


def invocation(*words: str) -> Invocation:
    """What the wrapper makes of a command line; its root is `ROOT`."""
    options, command = parse(words, {})
    return Invocation(options, command, {b"PATH": b"/usr/bin:/bin"}, StandardStreams(b"/tmp", {}), Places(ROOT))


def concerned(one: Invalidation, *words: str) -> bool:
    """Whether a run is salted with an invalidation."""
    return bool(applying(one.ledger(), invocation(*words)).salted)


@pytest.mark.parametrize(
    ("scope", "words", "fits"),
    [
        ((("command", b"cat"),), ("/bin/cat", "x"), True),
        ((("command", b"/bin/cat"),), ("/bin/cat", "x"), True),
        ((("command", b"*cat x*"),), ("cat", "xy"), True),
        ((("command", b"cat y*"),), ("cat", "xy"), False),
        ((("command", b"ca"),), ("cat",), False),
        ((("label", b"a=b"),), ("--label", "a=b", "cat"), True),
        ((("label", b"a=b"), ("label", b"c=d")), ("--label", "a=b", "cat"), False),
        ((("label", b"a=b"), ("command", b"cat")), ("--label", "a=b", "cat"), True),
        ((("label", b"a=b"), ("command", b"ls")), ("--label", "a=b", "cat"), False),
        ((("mnemonic", b"Gen"),), ("--label", "mnemonic=Gen", "cat"), True),
        ((("mnemonic", b"Gen"),), ("--label", "target=Gen", "cat"), False),
        ((("target", b"//a/..."),), ("--label", "target=//a/b:c", "cat"), True),
        ((("target", b"//a/..."),), ("--label", "target=//ab:c", "cat"), False),
        ((("target", b"//a/..."),), ("cat",), False),
        ((("root", b"/work"),), ("cat",), True),
        ((("root", b"/work/ro"),), ("cat",), False),
        ((), ("cat",), True),
    ],
)
def test_all_that_is_stated_has_to_fit(scope: Scope, words: tuple[str, ...], fits: bool) -> None:
    assert concerned(Invalidation.new(scope, b"", b""), *words) is fits


@pytest.mark.parametrize(
    ("target", "wanted", "fits"),
    [
        ("//a:a", "//a", True),
        ("//a", "//a:a", True),
        ("@@//a:b", "//a:b", True),
        ("//a:b", "@//a:all", True),
        ("//a/b:c", "//a:all", False),
        ("//a:b", "//...", True),
        ("//a:b", "//a/...", True),
        ("@r//a:b", "//a:b", False),
        ("@r//a:b", "@r//...", True),
        ("//a:b", "//a:*", True),
    ],
)
def test_targets_are_named_as_bazel_names_them(target: str, wanted: str, fits: bool) -> None:
    assert is_target(target, wanted) is fits


@given(
    st.lists(st.tuples(st.sampled_from(SCOPES), st.binary(min_size=1, max_size=9)), max_size=4),
    st.binary(max_size=9),
    st.binary(max_size=9),
)
def test_an_invalidation_is_read_back(scope: list[tuple[str, bytes]], by: bytes, why: bytes) -> None:
    one = Invalidation.new(scope, by, why)
    (read,) = invalidations(Ledger.decode(one.ledger().encode()))
    assert (read.id, read.scope, read.by, read.why, read.made, read.undone) == (
        one.id, tuple(scope), by, why, one.made, None,
    )  # fmt: skip
    undone = Ledger.decode(one.ledger().united(undoing(one.id, b"me")).encode())
    ((_, who),) = [one.undone for one in invalidations(undone) if one.undone is not None]
    assert who == b"me"


def test_what_is_taken_back_concerns_nobody() -> None:
    one = Invalidation.new((), b"", b"")
    assert not applying(one.ledger().united(undoing(one.id, b"")), invocation("cat")).salted


def test_a_scope_of_a_later_version_concerns_more() -> None:
    assert applying(Ledger({"aa": "made=1 weather=rain"}), invocation("cat")).salted


def test_without_invalidations_keys_are_what_they_were() -> None:
    assert Generations().salt == b"generations: none"
    values = {Subject("content", "", b"/a"): b"x"}
    assert Generations().complete(values, _key)[0] == values


def test_salts_do_not_depend_on_the_order() -> None:
    ones = [Invalidation.new((), b"", b"") for _ in range(3)]
    assert Generations(ones).salt == Generations(ones[::-1]).salt
    assert all(one.id.encode() in Generations(ones).salt for one in ones)


@pytest.mark.parametrize(
    ("looked", "fits"),
    [
        (ROOT + b"/src", True),
        (ROOT + b"/src/deep/x", True),
        (ROOT + b"/other/../src/x", True),
        (ROOT + b"/srcs", False),
        (ROOT, False),
        (b"/src", False),
    ],
)
def test_a_path_concerns_who_looked_there(looked: bytes, fits: bool) -> None:
    one = Invalidation.new((("path", b"%R/src"), ("at", b"/elsewhere/src")), b"", b"")
    generations = applying(one.ledger(), invocation("cat"))
    assert generations.salt == b"generations: none"
    for kind in ("content", "error", "listing"):
        complete, _ = generations.complete({Subject(kind, "", looked): b"v"}, _key)
        assert (len(complete) == 2) is fits


def test_a_path_is_one_wherever_the_root_is() -> None:
    one = Invalidation.new((("path", b"%R/a"), ("at", b"/elsewhere/a")), b"", b"")
    generations = applying(one.ledger(), invocation("cat"))
    values = {Subject("content", "", b"/elsewhere/a"): b"v"}
    assert len(generations.complete(values, _key)[0]) == 2


def test_a_path_concerns_who_looked_there_through_a_link(tmp_path: Path) -> None:
    """A file behind a link that leaves the root is known by the link's name alone."""
    (tmp_path / "outside/deep").mkdir(parents=True)
    (tmp_path / "outside/deep/x").touch()
    (tmp_path / "root").mkdir()
    (tmp_path / "root/link").symlink_to(tmp_path / "outside")
    (tmp_path / "root/x").symlink_to(tmp_path / "outside/deep/x")
    looked = (bytes(tmp_path / name) for name in ("root/link/deep/x", "root/link/deep/absent", "root/x", "root/absent"))
    place = bytes(tmp_path / "outside/deep")
    one = Invalidation.new((("path", place), ("at", place)), b"", b"")
    generations = applying(one.ledger(), invocation("cat"))
    found = [len(generations.complete({Subject("content", "", path): b"v"}, _key)[0]) == 2 for path in looked]
    assert found == [True, True, True, False]


def test_an_action_gets_another_key_each_time() -> None:
    values = {Subject("content", "", b"/a"): b"x"}
    keys, made = [_key(values)], list[Invalidation]()
    for _ in range(3):
        made.append(Invalidation.new((("action", str(keys[-1].digest).encode()),), b"", b""))
        ledger = Ledger()
        for one in made:
            ledger = ledger.united(one.ledger())
        complete, key = applying(ledger, invocation("cat")).complete(values, _key)
        assert complete[ACTION] == b" ".join(sorted(one.id.encode() for one in made))
        keys.append(key)
    assert len({key.digest for key in keys}) == 4
    undone = ledger.united(undoing(made[0].id, b""))
    assert applying(undone, invocation("cat")).complete(values, _key)[1].digest == keys[0].digest


def _key(values: object) -> Key:
    assert isinstance(values, dict)
    told = sorted((str(subject.kind), subject.arg, subject.paths, value) for subject, value in values.items())
    return Key(BLAKE3.of(repr(told).encode()), {})


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path) -> None:
    os.chdir(tmp_path)
