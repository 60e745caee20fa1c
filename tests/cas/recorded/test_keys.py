# SPDX-License-Identifier: Apache-2.0
"""Keys are read back as they were written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytrace_cas.digest import BLAKE3, Digest
from pytrace_cas.reapi import Action, ActionResult, Command, Directory
from pytrace_cas.recorded.keys import MalformedKey, read_command, read_key
from pytrace_cas.recorded.places import Places
from pytrace_cas.recorded.subjects import KINDS, Subject
from pytrace_exec.cache.errors import BlobMissing
from pytrace_exec.keys.messages import make_command, strong_key, weak_key

PLACES = Places(b"/work/root", b"/work", b"/tmp")
COMMAND = make_command((b"cc", b"-I/work/root/x"), {b"A": b"1"}, PLACES, b"/work/root/sub", 0o22, 0)
SALT = b"salt"

names = st.one_of(
    st.sampled_from([b"a", b"b", b"%2F", b"%R", b"= x", b"\xff", b"root", "ä".encode(), b"a b"]),
    st.binary(min_size=1, max_size=4).map(lambda raw: raw.replace(b"/", b"_").replace(b"\0", b"_")),
).filter(lambda name: name not in (b".", b".."))
tops = st.sampled_from([b"/work/root", b"/work", b"/tmp", b"", b"/work/root/.."])
paths = st.builds(lambda top, below: top + b"/" + b"/".join(below), tops, st.lists(names, min_size=1, max_size=3))
digests = st.binary(max_size=3).map(lambda data: str(BLAKE3.of(data)).encode())
others = st.builds(Subject, st.sampled_from(sorted(KINDS - {"content"})), st.text("al= %", max_size=4), paths)
plain = st.binary(max_size=12)


def _apart(content: dict[bytes, bytes]) -> bool:
    """No file lies below a file, and none is a place itself."""
    below = any(inner.startswith(outer + b"/") for outer in content for inner in content)
    return not below and content.keys().isdisjoint((PLACES.root, PLACES.home, PLACES.tmp))


@given(st.dictionaries(paths, digests, max_size=6).filter(_apart), st.dictionaries(others, plain, max_size=6))
def test_strong_keys_round_trip(content: dict[bytes, bytes], facts: dict[Subject, bytes]) -> None:
    values = {Subject("content", "", path): value for path, value in content.items()} | facts
    key = strong_key(COMMAND, values, SALT, PLACES, BLAKE3)
    found = read_key(key.blobs.__getitem__, key.digest, PLACES)
    assert found.values == values
    assert found.command == COMMAND
    assert found.action.salt == SALT


def test_facts_without_path_or_with_several() -> None:
    values = {
        Subject("variable", "A=B"): b"= a = b",
        Subject("identity", "home"): b"unset",
        Subject("order", "", b"/work/root/a", b"/tmp/b c"): b"order 1",
        Subject("content", "", b"/etc/x"): b"ENOENT",
        Subject("stream", "stdin"): b"",
    }
    key = strong_key(COMMAND, values, SALT, PLACES, BLAKE3)
    assert read_key(key.blobs.__getitem__, key.digest, PLACES).values == values


def test_another_checkout_reads_its_own_paths() -> None:
    key = strong_key(
        COMMAND, {Subject("content", "", b"/work/root/a"): str(BLAKE3.of(b"")).encode()}, SALT, PLACES, BLAKE3
    )
    elsewhere = Places(b"/second", b"/work", b"/tmp")
    assert list(read_key(key.blobs.__getitem__, key.digest, elsewhere).values) == [Subject("content", "", b"/second/a")]


def test_weak_keys() -> None:
    key = weak_key(COMMAND, {b"/work/root/in": str(BLAKE3.of(b"i"))}, SALT, PLACES, BLAKE3)
    values = read_key(key.blobs.__getitem__, key.digest, PLACES).values
    assert values == {Subject("content", "", b"/work/root/in"): str(BLAKE3.of(b"i")).encode()}


def test_what_is_no_key_of_ours() -> None:
    blobs: dict[Digest, bytes] = {}

    def put(data: bytes) -> Digest:
        blobs[BLAKE3.of(data)] = data
        return BLAKE3.of(data)

    def get(digest: Digest) -> bytes:
        if digest not in blobs:
            raise BlobMissing(digest)
        return blobs[digest]

    command = put(Command(arguments=["x"]).encode())
    foreign = Directory.decode(b"\x12\x05\n\x03src")  # a folder `src`, without digest
    for root in (put(foreign.encode()), put(b"\xff\xff")):
        action = put(Action(command_digest=command, input_root_digest=root).encode())
        with pytest.raises(MalformedKey):
            read_key(get, action, PLACES)
    for data in (b"\xff", ActionResult(exit_code=1).encode(), b""):
        with pytest.raises(MalformedKey):
            read_command(get, put(data))
    with pytest.raises(BlobMissing):
        read_key(get, put(Action(command_digest=command, input_root_digest=BLAKE3.of(b"gone")).encode()), PLACES)
