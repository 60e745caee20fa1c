# SPDX-License-Identifier: Apache-2.0
"""`pytrace ls`, `find`, `status`, `size`, `dir`, `prune`, `rm`: of the store, and of a server where that can be."""

from __future__ import annotations

import os

import pytest

from pytrace_cas.digest import BLAKE3
from pytrace_cas.store import Store
from tests.exec.cli.project import Ended, Project
from tests.support.server import running_server
from tests.support.stored_results import store_traced


@pytest.fixture
def stored(project: Project) -> Project:
    """A store with three results: the middle one is the largest."""
    with Store.open(str(project.store)) as store:
        for name, size in (("one", 1), ("two", 300), ("three", 3)):
            reads = {f"/work/root/src/{name}.c".encode(): b"x", b"/usr/include/all.h": b"y"}
            writes = {f"/work/root/out/{name}.o".encode(): b"z" * size}
            store_traced(store, (b"cc", name.encode()), reads, writes, labels={"name": name})
    return project


def commands(done: Ended) -> list[str]:
    """The commands of the actions that were listed."""
    assert done.status == 0, done.stderr
    return [row["command"] for row in done.json["actions"]]


def test_ls(stored: Project) -> None:
    assert commands(stored.pytrace("ls", "--json")) == ["cc three", "cc two", "cc one"]
    assert commands(stored.pytrace("ls", "--json", "--sort", "size", "--limit", "1")) == ["cc two"]
    assert commands(stored.pytrace("ls", "--json", "--filter", "label=name=one")) == ["cc one"]
    assert commands(stored.pytrace("ls", "--json", "--nondeterministic")) == []
    lines = stored.pytrace("ls").stdout.decode().splitlines()
    assert [line.split("  ")[-1] for line in lines] == ["cc three", "cc two", "cc one"]
    assert stored.pytrace("ls", "--filter", "outcome=maybe").status == 2


def test_ls_tells_which_outputs_differed(stored: Project) -> None:
    with Store.open(str(stored.store)) as store:
        for data in (b"1", b"2"):
            store_traced(store, (b"random",), {}, {b"/work/root/o": data})
    (row,) = stored.pytrace("ls", "--json", "--nondeterministic").json["actions"]
    assert row["differs"] == {"o": [str(BLAKE3.of(b"1")), str(BLAKE3.of(b"2"))]}


def test_ls_blobs(stored: Project) -> None:
    found = stored.pytrace("ls", "blobs", "--sort", "size", "--limit", "2", "--json").json["blobs"]
    assert len(found) == 2
    assert found[0]["size"] == 300 >= found[1]["size"]
    assert stored.pytrace("ls", "blobs", "--sort", "hits").status == 2
    assert stored.pytrace("ls", "blobs", "--filter", "x").status == 2


def test_find(stored: Project) -> None:
    assert commands(stored.pytrace("find", "src/one.c", "--json")) == ["cc one"]
    assert commands(stored.pytrace("find", "/usr/include/all.h", "--json")) == ["cc three", "cc two", "cc one"]
    assert commands(stored.pytrace("find", "src/t*.c", "--json")) == ["cc three", "cc two"]
    done = stored.pytrace("find", "out/", "--written", "--json")
    assert [row["access"] for row in done.json["actions"]] == [["written"]] * 3
    assert stored.pytrace("find", "out/one.o", "--read").status == 20
    assert stored.pytrace("find", "nowhere").status == 20


def test_status_size_and_dir(stored: Project) -> None:
    found = stored.pytrace("status", "--json").json
    assert (found["store"], found["actions"], found["results"]) == (str(stored.store), 3, 3)
    assert found["size"] == stored.pytrace("size", "--json").json["size"]
    assert stored.pytrace("dir").stdout == os.fsencode(stored.store) + b"\n"
    assert stored.pytrace("dir", "--json", "--dir", "elsewhere").json["exists"] is False


def test_prune(stored: Project) -> None:
    assert stored.pytrace("prune", "--max-size", "0", "--dry-run", "--json").json["results"] == 3
    assert len(commands(stored.pytrace("ls", "--json"))) == 3
    assert stored.pytrace("prune", "--max-size", "much").status == 2
    assert stored.pytrace("prune", "--max-size", "0", "--json").json["results"] == 3
    assert commands(stored.pytrace("ls", "--json")) == []


def test_rm(stored: Project) -> None:
    action = stored.pytrace("ls", "--json", "--limit", "1").json["actions"][0]["action"]
    done = stored.pytrace("rm", action[:12], "--json")
    assert (done.status, done.json["dropped"]) == (0, action)
    assert commands(stored.pytrace("ls", "--json")) == ["cc two", "cc one"]
    assert stored.pytrace("rm", action).status == 20
    assert stored.pytrace("rm", "latest", "--remote", "http://127.0.0.1:1").status == 2


@pytest.mark.parametrize(
    "verb", [("ls",), ("find", "x"), ("status",), ("size",), ("prune",), ("rm", "latest")], ids=str
)
def test_without_a_store_nothing_is_made(project: Project, verb: tuple[str, ...]) -> None:
    assert project.pytrace(*verb).status == 10
    assert not project.store.exists()


def test_of_a_server(stored: Project) -> None:
    assert stored.pytrace("ls", "--remote", "grpc://127.0.0.1:1").status == 2
    assert stored.pytrace("ls", "--remote", "http://127.0.0.1:1").status == 13
    assert stored.pytrace("ls", "blobs", "--remote", "http://127.0.0.1:1").status == 2
    with running_server(stored.store) as server:
        found = stored.pytrace("status", "--remote", server.http_url, "--json").json
        assert found["size_bytes"] > 0


def test_names_that_act_on_a_terminal_do_not(project: Project) -> None:
    name = b"a\n\x1b]0;title\x07\x1b[31m\xff"
    with Store.open(str(project.store)) as store:
        store_traced(store, (b"cc", name), {b"/work/root/" + name: b"x"}, {b"/work/root/o" + name: b"y"})
    for verb in (("ls",), ("show", "latest", "--inputs", "--outputs", "--env"), ("find", "*"), ("rm", "latest")):
        done = project.pytrace(*verb)
        assert done.status == 0, done
        assert b"\x1b" not in done.stdout
        assert b"\\x1b" in done.stdout, verb


@pytest.mark.parametrize("name", ["a b", "[id].tsx", "what?", "per%cent", "tab\tline\nend", "\udcff", "*"])
def test_a_path_is_found_whatever_it_is_called(project: Project, name: str) -> None:
    root = os.fsencode(project.root)
    with Store.open(str(project.store)) as store:
        for one in (name, "x", "i", "other"):
            path = b"/work/root/sub [x]/" + os.fsencode(one)
            store_traced(store, (b"cc", os.fsencode(one)), {path: b"x"}, {path + b".o": b"y"})
    asked = os.fsencode(name)
    rows = project.pytrace("find", b"sub [x]/" + asked, "--json").json["actions"]
    assert len(rows) == 1
    assert len(project.pytrace("find", root + b"/sub [x]/" + asked + b".o", "--json").json["actions"]) == 1
    assert len(project.pytrace("find", "sub [x]/", "--json").json["actions"]) == 4
    assert len(project.pytrace("find", "sub*/i*", "--json").json["actions"]) == 1
