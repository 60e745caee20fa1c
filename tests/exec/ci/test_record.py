# SPDX-License-Identifier: Apache-2.0
"""Records: their canonical form and its size, and the caches that they lie in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytrace_exec.ci import path_list
from pytrace_exec.ci.facts import strongest
from pytrace_exec.ci.record import MalformedRecord, Part, Record, Step
from tests.support.repositories import Repository
from tests.support.server import running_server

ASKED = 6.0
"""Bytes a path of a record with 10,000 paths."""
_NAMES = st.binary(min_size=1, max_size=6).map(lambda name: name.replace(b"/", b"_").replace(b"\0", b"_"))
_PATHS = st.lists(_NAMES, max_size=12).map(b"/".join)


def _record(facts: list[tuple[bytes, str]]) -> Record:
    hints = os.urandom(2 * (len(facts) // 16 + 1))
    part = Part(b"", os.urandom(20), os.urandom(20), tuple(facts), os.urandom(32), hints)
    step = Step("", os.urandom(32).hex(), "")
    return Record("w", "p", "", "main", "https://example.org/run/7", 1, (part,), (step,), {"os": "debian 12"})


@given(st.lists(st.tuples(_PATHS, st.sampled_from("vtlw"))))
def test_every_list_of_facts_comes_back(found: list[tuple[bytes, str]]) -> None:
    facts = strongest(found)
    assert path_list.decode(path_list.decompress(path_list.compress(path_list.encode(facts)))) == facts
    record = _record(facts)
    assert Record.decode(record.encode()).encode() == record.encode()


def test_what_older_records_say_of_what_was_vouched_for() -> None:
    """They have it after the command's digest."""
    record = _record([(b"a", "v")])
    command, vouched = os.urandom(32).hex(), os.urandom(32).hex()
    for told, step in ((command, Step("", command, "f")), (f"{command}+{vouched}", Step("", command, "f", vouched))):
        old = Step.read({"name": "", "command": told, "folder": "f"})
        assert old == step == Step.read(step.told())
        record.steps = (step,)
        assert Record.decode(record.encode()).steps == (step,)
    assert Step("", command, "f") != Step("", command, "f", vouched)


@given(st.binary(max_size=200))
def test_nonsense_is_no_record(data: bytes) -> None:
    valid = _record([(b"a/b", "v")]).encode()
    for candidate in (data, valid[: len(data)], valid[:20] + data + valid[20 + len(data) :]):
        if candidate != valid:
            with pytest.raises(MalformedRecord):
                Record.decode(candidate)


def test_the_size_of_a_real_list() -> None:
    """Ten thousand paths of what is installed beside this interpreter, and a third of the names looked for in vain."""
    top = os.fsencode(Path(pytest.__file__).parents[1])
    paths = sorted(
        os.path.relpath(os.path.join(folder, name), top)
        for folder, _, names in os.walk(top)
        for name in names
        if not name.endswith(b".pyc")
    )[:10_000]
    facts = strongest((path, "t" if number % 3 == 2 else "v") for number, path in enumerate(paths))
    size = len(_record(facts).encode()) / len(facts)
    print(f"{len(facts)} paths: {size:.2f} bytes a path")
    assert size <= ASKED


@pytest.mark.git
@pytest.mark.native
def test_records_in_remote_caches(repository: Repository) -> None:
    """Over gRPC and HTTP, without a store of one's own."""
    with running_server(repository.pytrace.base / "served") as server:
        for url in (f"grpc://{server.grpc}", server.http_url):
            options = ("--remote", url, "--project", url)
            assert repository.check("HEAD", *options).codes == ["no_record"]
            repository.recorded("cat", "src/a", options=options)
            assert repository.check("HEAD", *options).status == 0
            assert repository.check("HEAD", *options, "--max-skips", "1").status == 0
            assert repository.check("HEAD", *options, "--max-skips", "1").codes == ["max_skips"]
    assert not (repository.pytrace.base / "store").exists()
    assert repository.check("HEAD", "--remote", f"grpc://{server.grpc}").codes == ["unknown"]
