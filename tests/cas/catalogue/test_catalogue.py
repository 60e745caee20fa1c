# SPDX-License-Identifier: Apache-2.0
"""Results are listed, found and called by name, whatever happens to the catalogue's file."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from pytrace_cas.catalogue import (
    AmbiguousReference,
    Catalogue,
    InvalidQuery,
    Query,
    UnknownReference,
    described_row,
    path_match,
)
from pytrace_cas.digest import BLAKE3, SHA256, Digest
from pytrace_cas.recorded.subjects import Subject
from pytrace_cas.store import Store, events
from pytrace_cas.store.backup import restore
from pytrace_cas.store.layout import Layout
from pytrace_cas.store.rebuild import rebuild
from pytrace_proto import remote_execution_pb2 as reapi
from tests.support.actions import named, put, put_action
from tests.support.stored_results import store_traced

ROOT = Subject("identity", "root")


def digests(found: Catalogue, text: str) -> list[Digest]:
    """The actions that a filter wants."""
    return [row.digest for row in found.actions(Query.parse(text)).rows]


def test_an_empty_store_has_no_actions(catalogue: Catalogue) -> None:
    assert catalogue.actions().rows == ()
    assert catalogue.count() == 0
    with pytest.raises(UnknownReference):
        catalogue.resolve("latest")


def test_a_traced_result_is_listed_with_what_is_known_of_it(store: Store, catalogue: Catalogue) -> None:
    argv = (b"/usr/bin/cc", b"-I/work/root/a b", b"x.c")
    reads, writes = {b"/work/root/x.c": b"1", b"/usr/include/y.h": b"22"}, {b"/work/root/x.o": b"four"}
    facts = {ROOT: b"= /work/root", Subject("error", "", b"/work/root/z"): b"ENOENT"}
    digest = store_traced(store, argv, reads, writes, facts=facts, labels={"team": "a=b", "target": "//x:y"})
    store.record(["runs_hit"], [events.hit(BLAKE3, "", digest)] * 3)
    (row,) = catalogue.actions().rows
    assert (row.digest, row.kind, row.program, row.command) == (digest, "traced", "cc", "/usr/bin/cc '-I%R/a b' x.c")
    assert (row.inputs, row.outputs, row.size, row.exit_code, row.hits, row.root) == (4, 2, 4, 0, 3, "/work/root")
    assert (row.labels, row.target) == ({"team": "a=b", "target": "//x:y"}, "//x:y")
    assert described_row(row)["action"] == str(digest)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "abc"),
        ("one", "a"),
        ("command=tool*", "abc"),
        ("command=tool?two", "b"),
        ("command~two", "b"),
        ("program=tool label=k", "ab"),
        ("label=k=1", "a"),
        ("label=k=3", ""),
        ("path=src/one.c", "a"),
        ("path=/work/root/src/one.c", "a"),
        ("reads=src/*.c", "abc"),
        ("reads=src/", "abc"),
        ("reads=%R/src/[!o]*.c", "bc"),
        ("path~one", "a"),
        ("reads=/usr/include/all.h", "abc"),
        ("writes=/usr/include/all.h", ""),
        ("writes=out/two.o", "b"),
        ("path=absent/two", "b"),
        ("outcome=failed", "c"),
        ("outcome=ok kind=traced", "ab"),
        ("instance=other", "c"),
        ("age<1h", "abc"),
        ("age>1h", ""),
        ("root=/work/*", "a"),
        ("nondeterministic", ""),
    ],
    ids=str,
)
def test_filters(store: Store, catalogue: Catalogue, text: str, wanted: str) -> None:
    named = {}
    for letter, name, number in (("a", b"one", 1), ("b", b"two", 2), ("c", b"three", 3)):
        named[letter] = store_traced(
            store,
            (b"tool", name),
            {b"/work/root/src/" + name + b".c": name, b"/usr/include/all.h": b"h"},
            {b"/work/root/out/" + name + b".o": name},
            facts={Subject("error", "", b"/work/root/absent/" + name): b"ENOENT"}
            | ({ROOT: b"= /work/root"} if letter == "a" else {}),
            labels={"k": str(number)} if letter != "c" else None,
            instance="other" if letter == "c" else "",
            exit_code=int(letter == "c"),
        )
    assert digests(catalogue, text) == [named[letter] for letter in reversed(wanted)]


@pytest.mark.parametrize(
    "text", ["command=a command=b", "outcome=maybe", "age=3", "age<3y", "'open", "path=", "label<1"], ids=str
)
def test_bad_filters_say_what_would_be_right(text: str) -> None:
    with pytest.raises(InvalidQuery):
        Query.parse(text)


@pytest.mark.parametrize("sort", ["time", "size", "hits"])
def test_pages_go_on_where_the_last_one_ended(store: Store, catalogue: Catalogue, sort: str) -> None:
    made = [store_traced(store, (b"%d" % n,), {}, {b"/work/root/o": b"x" * (n // 2)}) for n in range(7)]
    store.record([], [events.hit(BLAKE3, "", digest) for digest in made[:3] for _ in range(2)])
    found: list[Digest] = []
    cursor = None
    for _ in range(4):
        page = catalogue.actions(sort=sort, limit=2, cursor=cursor)
        found += [row.digest for row in page.rows]
        cursor = page.cursor
    assert cursor is None
    assert sorted(map(str, found)) == sorted(map(str, made))
    assert found[0] == made[2 if sort == "hits" else 6]
    with pytest.raises(InvalidQuery):
        catalogue.actions(cursor="x")


def test_references(store: Store, catalogue: Catalogue) -> None:
    made = [store_traced(store, (b"%d" % n,), {}, {b"/work/root/%d.o" % n: b"x"}) for n in range(40)]
    first = made[0]
    for text in (first.hash, str(first), str(first).replace("/", "-"), first.hash[:17], "0.o", "/work/root/0.o"):
        if text != "/work/root/0.o":
            assert catalogue.resolve(text).digest == first
    assert catalogue.resolve("latest").digest == made[-1]
    with pytest.raises(UnknownReference):
        catalogue.resolve("nothing.o")
    with pytest.raises(UnknownReference):
        catalogue.resolve(first.hash, instance="elsewhere")


def test_the_beginning_of_two_digests_is_ambiguous(store: Store, catalogue: Catalogue) -> None:
    for end in "01":
        digest = Digest("abcde" + "0" * 58 + end, 3)
        store.put_action_result(SHA256, "", digest, reapi.ActionResult(exit_code=1).SerializeToString(), [])
    with pytest.raises(AmbiguousReference) as caught:
        catalogue.resolve("abcde")
    assert len(caught.value.rows) == 2


def test_results_of_other_clients(store: Store, catalogue: Catalogue) -> None:
    data = b"made"
    store.put(SHA256, data)
    source = reapi.Directory(files=[reapi.FileNode(name="x y.c", digest=reapi.Digest(hash="0" * 64, size_bytes=1))])
    inside = store.put(SHA256, source.SerializeToString())
    top = reapi.Directory(directories=[reapi.DirectoryNode(name="src", digest=_message(inside))])
    root = store.put(SHA256, top.SerializeToString())
    command = store.put(SHA256, reapi.Command(arguments=["javac", "a%20b.java"]).SerializeToString())
    action = reapi.Action(command_digest=_message(command), input_root_digest=_message(root)).SerializeToString()
    digest = store.put(SHA256, action)
    made = reapi.ActionResult(output_files=[reapi.OutputFile(path="bin/A.class", digest=_message(SHA256.of(data)))])
    store.put_action_result(SHA256, "i", digest, made.SerializeToString(), [SHA256.of(data)])
    metadata = ("bazel", "7", "invocation", "", "Javac", "//a:b", "")
    store.record([], [events.request("asked", SHA256, "i", digest, *metadata)])
    (row,) = catalogue.actions().rows
    assert (row.kind, row.command, row.inputs, row.outputs, row.size) == ("other", "javac a%20b.java", 1, 1, 4)
    assert (row.target, row.mnemonic, row.tool, row.invocation) == ("//a:b", "Javac", "bazel", "invocation")
    for text in ("target=//a:*", "mnemonic=Javac", "tool=bazel", "//a:b", "reads='src/x y.c'", "writes=bin/*"):
        assert digests(catalogue, text) == [digest]
    assert digests(catalogue, "target=//b:*") == []


def test_what_gave_other_outputs_before(store: Store, catalogue: Catalogue) -> None:
    same = store_traced(store, (b"same",), {}, {b"/work/root/o": b"1"})
    assert store_traced(store, (b"same",), {}, {b"/work/root/o": b"1"}) == same
    other = store_traced(store, (b"other",), {}, {b"/work/root/o": b"1"})
    assert store_traced(store, (b"other",), {}, {b"/work/root/o": b"2"}) == other
    assert digests(catalogue, "nondeterministic") == [other]


def test_replaced_dropped_and_evicted_results(store: Store, catalogue: Catalogue) -> None:
    """A result that took another's place is seen though it is the newest of both; what is gone is not listed."""
    made = [store_traced(store, (b"%d" % n,), {b"/work/root/in": b"i"}, {b"/work/root/o": b"%d" % n}) for n in range(5)]
    assert catalogue.count() == 5
    assert store_traced(store, (b"4",), {b"/work/root/in": b"i"}, {b"/work/root/o": b"other"}) == made[4]
    assert [row.size for row in catalogue.actions(limit=1).rows] == [5]
    store.remove_action_result(BLAKE3, "", made[2])
    assert [row.digest for row in catalogue.reading("in").rows] == [made[n] for n in (4, 3, 1, 0)]
    store.evict(down_to=0)
    assert catalogue.actions().rows == ()
    new = store_traced(store, (b"new",))
    assert [row.digest for row in catalogue.actions().rows] == [new]


def test_a_catalogue_may_be_deleted_damaged_or_left_behind(store: Store, catalogue: Catalogue) -> None:
    path = Path(os.fsdecode(store.path), "catalogue.sqlite")
    digest = store_traced(store, (b"x",), {b"/work/root/in": b"i"})
    assert digests(catalogue, "reads=in") == [digest]
    path.unlink()
    assert digests(catalogue, "reads=in") == [digest]
    assert path.exists()
    with Catalogue(store) as another:
        path.unlink()  # its log stays, and is not read into the next
        assert digests(another, "reads=in") == [digest]
    for damage in (b"", b"no database", os.urandom(40_000)):
        path.write_bytes(damage)
        with Catalogue(store) as another:
            assert digests(another, "reads=in") == [digest]
    with sqlite3.connect(path) as db:
        db.execute("DROP TABLE members")
        db.execute("PRAGMA user_version = 99")
    db.close()
    with Catalogue(store) as another:
        assert digests(another, "reads=in") == [digest]


def test_a_store_that_is_read_only(store: Store, tmp_path: Path) -> None:
    digest = store_traced(store, (b"x",), {b"/work/root/in": b"i"})
    with Store.open(store.path, read_only=True) as shut, Catalogue(shut) as catalogue:
        assert digests(catalogue, "reads=in") == [digest]
    assert not (tmp_path / "store" / "catalogue.sqlite").exists()


def test_processes_catch_up_at_once(store: Store, catalogue: Catalogue) -> None:
    wanted = [store_traced(store, (b"%d" % n,), {b"/work/root/in%d" % n: b"i", b"/usr/all": b"a"}) for n in range(1200)]
    script = """import sys
from pytrace_cas.catalogue import Catalogue
from pytrace_cas.store import Store
with Store.open(sys.argv[1]) as store, Catalogue(store) as catalogue:
    print(catalogue.count(), len(catalogue.reading('/usr/all', limit=1000).rows))"""
    command = [sys.executable, "-c", script, os.fsdecode(store.path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate()[0].split() for process in running] == [["1200", "1000"]] * 2
    assert catalogue.reading("in700").rows[0].digest == wanted[700]
    db = sqlite3.connect(Path(os.fsdecode(store.path), "catalogue.sqlite"))
    assert db.execute("SELECT count(*), (SELECT actions FROM state) FROM actions").fetchone() == (1200, 1200)
    db.close()


HOSTILE = [
    b"a b",
    b"\xff\xfe",
    b"<script>alert(1)</script>",
    b"\x1b[31mred",
    b"new\nline",
    b"%R",
    b"*",
    b"'\"",
    "ä".encode(),
]


@pytest.mark.parametrize("name", HOSTILE, ids=repr)
def test_hostile_names_are_found_again(store: Store, catalogue: Catalogue, name: bytes) -> None:
    digest = store_traced(store, (b"tool", name), {b"/work/root/" + name: b"i"}, {b"/work/root/o/" + name: b"o"})
    (row,) = catalogue.actions().rows
    assert row.digest == digest
    assert "tool" in row.command
    text = os.fsdecode(name)
    if name != b"%R":  # which is the root itself
        assert [row.digest for row in catalogue.actions(Query(reads=path_match(text, exact=True))).rows] == [digest]
        assert catalogue.resolve("o/" + text).digest == digest


def test_a_blob_that_is_no_result_and_one_without_its_action(store: Store, catalogue: Catalogue) -> None:
    store.put_action_result(SHA256, "", Digest("1" * 64, 5), b"\xff\xff", [])
    store.put_action_result(SHA256, "actions/assets", Digest("2" * 64, 5), b"", [])
    store.put_opaque("", "3" * 64, b"anything")
    (row,) = catalogue.actions().rows
    assert (row.kind, row.command) == ("other", "")


def _message(digest: Digest) -> reapi.Digest:
    return reapi.Digest(hash=digest.hash, size_bytes=digest.size_bytes)


@pytest.mark.parametrize("way", ["restored", "rebuilt"])
def test_another_index_gets_another_catalogue(tmp_path: Path, way: str) -> None:
    """It gives ids again that the catalogue has seen."""
    folder, copy = bytes(tmp_path / "store"), bytes(tmp_path / "copy")
    with Store.open(folder) as store, Catalogue(store) as catalogue:
        first, kept = store_traced(store, (b"first",)), store_traced(store, (b"kept",))
        store.back_up(copy)
        store_traced(store, (b"later",))
        assert catalogue.count() == 3
        store.remove_action_result(BLAKE3, "", first)
    if way == "restored":
        restore(folder, copy)
    else:
        rebuild(Layout(folder))
    with Store.open(folder) as store, Catalogue(store) as catalogue:
        new = store_traced(store, (b"new",))
        assert {new, kept} < {row.digest for row in catalogue.actions().rows}
        assert catalogue.count() == store.entries()[1] == 3


def test_folders_that_name_one_another_without_end(
    store: Store, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytrace_cas.catalogue.extraction.MOST_FOLDERS", 100)
    folder = put(store, reapi.Directory(files=[reapi.FileNode(name="f", digest=named(SHA256.of(b"f")))]))
    for _ in range(60):
        both = [reapi.DirectoryNode(name=name, digest=named(folder)) for name in ("a", "b")]
        folder = put(store, reapi.Directory(directories=both))
    command = put(store, reapi.Command(arguments=["deep"]))
    action = put(store, reapi.Action(command_digest=named(command), input_root_digest=named(folder)))
    store.put_action_result(SHA256, "", action, b"", [])
    after = put_action(store, ["after"], inputs={"in/x.c": b"x"})
    assert digests(catalogue, "command=deep") == [action]
    assert digests(catalogue, "reads=in/x.c") == [after]


def test_digests_and_sizes_that_cannot_be(store: Store, catalogue: Catalogue) -> None:
    """One result that lies does not keep all others from being listed."""
    wrong = reapi.Digest(hash="abc", size_bytes=3)
    action = put(store, reapi.Action(command_digest=wrong, input_root_digest=reapi.Digest(hash="0" * 64)))
    huge = reapi.OutputFile(path="o", digest=reapi.Digest(hash="0" * 64, size_bytes=1 << 62))
    result = reapi.ActionResult(output_files=[huge] * 4).SerializeToString()
    store.put_action_result(SHA256, "", action, result, [])
    after = put_action(store, ["after"])
    assert digests(catalogue, "") == [after, action]


def test_listing_is_no_use_of_what_is_listed(store: Store, catalogue: Catalogue) -> None:
    for content in (b"1", b"2"):
        store_traced(store, (b"x",), {b"/work/root/in": b"i"}, {b"/work/root/o.pyc": content}, labels={"k": "v"})
    put_action(store, ["y"], inputs={"in": b"i"})
    with store.exclusive() as db:
        for table in ("blobs", "results"):
            db.execute(f"UPDATE {table} SET used = 1")
    assert len(digests(catalogue, "nondeterministic")) == 1
    assert len(digests(catalogue, "reads=in")) == 2
    with store.exclusive() as db:
        for table in ("blobs", "results"):
            assert db.execute(f"SELECT DISTINCT used FROM {table}").fetchall() == [(1,)]


def test_a_store_that_is_locked_is_listed(store: Store, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytrace_cas.store.counters.PATIENCE", 0.05)
    digest = store_traced(store, (b"x",))
    assert digests(catalogue, "") == [digest]
    with store.exclusive():
        store.record([], [events.hit(BLAKE3, "", digest)])
        assert [row.hits for row in catalogue.actions().rows] == [0]
        assert catalogue.statistics().hours == ()
    assert [row.hits for row in catalogue.actions().rows] == [1]
