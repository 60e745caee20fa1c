# SPDX-License-Identifier: Apache-2.0
"""`pytrace ls`, `find` and `stats` of a live server say what they say of its store; a cache by others does not list."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytrace_cas.digest import BLAKE3
from pytrace_cas.store import Store, events
from tests.exec.cli.project import Project
from tests.support.foreign_http import ForeignHttp, foreign_http
from tests.support.server import RunningServer, running_server
from tests.support.stored_results import store_traced

ASKED: list[tuple[str, ...]] = [
    ("ls",),
    ("ls", "--sort", "size", "--limit", "2"),
    ("ls", "--sort", "hits"),
    ("ls", "--filter", "label=name=one"),
    ("ls", "--filter", "program=cc reads=src/t*.c"),
    ("ls", "--nondeterministic"),
    ("ls", "--instance-name", "team"),
    ("ls", "--nondeterministic", "--instance-name", "team"),
    ("find", "src/one.c"),
    ("find", "/usr/include/all.h"),
    ("find", "out/", "--written"),
    ("find", "nowhere"),
    ("stats",),
    ("stats", "--since", "24h"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server over results of two instances, of which one gave other outputs for equal inputs."""
    folder = tmp_path_factory.mktemp("listed") / "store"
    with Store.open(str(folder)) as store:
        for instance in ("", "team"):
            for name, size in (("one", 1), ("two", 300), ("three", 3)):
                reads = {f"/work/root/src/{name}.c".encode(): b"x", b"/usr/include/all.h": b"y"}
                writes = {f"/work/root/out/{name}.o".encode(): b"z" * size}
                made = store_traced(
                    store, (b"cc", name.encode()), reads, writes, labels={"name": name}, instance=instance
                )
            store.record(["runs_hit", "runs_miss", "reason_inputs_changed"], [events.hit(BLAKE3, instance, made)])
        for content in (b"1", b"2"):
            store_traced(store, (b"random",), {}, {b"/work/root/o": content})
    with running_server(folder) as running:
        yield running


@pytest.mark.parametrize("words", ASKED, ids=" ".join)
def test_a_server_says_what_its_store_says(project: Project, server: RunningServer, words: tuple[str, ...]) -> None:
    local = project.pytrace(*words, "--json", "--dir", str(server.store))
    remote = project.pytrace(*words, "--json", "--remote", server.http_url)
    assert (remote.status, remote.stderr) == (local.status, local.stderr)
    if local.status == 0:
        # Of statistics a server tells some more: its size, and what it was asked for.
        both = (local.json.keys() & remote.json.keys()) - {"since"}
        assert both >= ({"runs", "hit_rate", "reasons"} if words[0] == "stats" else {"actions"})
        assert {name: remote.json[name] for name in both} == {name: local.json[name] for name in both}
    assert not project.store.exists()


def test_what_differed_is_told_of_a_server_as_well(project: Project, server: RunningServer) -> None:
    (row,) = project.pytrace("ls", "--nondeterministic", "--json", "--remote", server.http_url).json["actions"]
    assert row["differs"] == {"o": [str(BLAKE3.of(b"1")), str(BLAKE3.of(b"2"))]}
    lines = project.pytrace("ls", "--nondeterministic", "--remote", server.http_url).stdout.decode().splitlines()
    assert str(BLAKE3.of(b"2")) in lines[-1]


@pytest.mark.parametrize("words", [("ls",), ("find", "src/one.c"), ("stats",)], ids=" ".join)
def test_a_cache_by_others_lists_nothing_and_that_is_said(project: Project, words: tuple[str, ...]) -> None:
    with foreign_http(ForeignHttp()) as url:
        done = project.pytrace(*words, "--remote", url)
    assert (done.status, done.stdout) == (20, b"")
    assert b"only pytrace-cas" in done.stderr
