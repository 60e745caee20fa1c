# SPDX-License-Identifier: Apache-2.0
"""`pytrace invalidate`: what misses afterwards, and what does not."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pytrace_cas.digest import SHA256
from pytrace_cas.generations import entry_key
from tests.exec.cli.project import Project, codes
from tests.support import tree
from tests.support.foreign_grpc import ForeignCache, foreign_grpc
from tests.support.server import running_server

pytestmark = pytest.mark.strace

KEY = entry_key(SHA256)[0].hash


class Steps:
    """Two steps of one project, each with a target, a mnemonic and a file that only it reads, and one that both do."""

    NAMES = ("a", "b")

    def __init__(self, project: Project) -> None:
        self.project = project
        project.write(common="common\n", **{f"in_{name}": f"{name}\n" for name in self.NAMES})
        assert self.run() == ["miss"] * 2

    def one(self, name: str) -> str:
        """Run a step; say how it went."""
        labels = ("--label", f"target=//pkg:{name}", "--label", f"mnemonic=Copy{name.upper()}")
        done = self.project.wrapped("sh", "-c", f"cat in_{name} common > out_{name}", options=labels)
        assert done.status == 0, done.stderr
        assert (self.project.root / f"out_{name}").read_text() == f"{name}\ncommon\n"
        return str(self.project.last()["outcome"])

    def run(self) -> list[str]:
        """Run both steps."""
        return [self.one(name) for name in self.NAMES]

    def invalidate(self, *words: str) -> str:
        """Invalidate something; give the ID."""
        done = self.project.pytrace("invalidate", *words, "--json")
        assert done.status == 0, done.stderr
        return str(done.json["invalidated"]["id"])

    def undo(self, id: str) -> None:
        """Take it back."""
        done = self.project.pytrace("invalidate", "--undo", id[:9], "--json")
        assert (done.status, done.json["undone"]["id"]) == (0, id), done.stderr
        assert done.json["undone"]["undone"]["by"]


@pytest.fixture(scope="module")
def steps() -> Iterator[Steps]:
    """Over one store; each test takes back what it invalidates."""
    base = Path(os.path.realpath(tempfile.mkdtemp(prefix="pytrace-cli-")))
    try:
        yield Steps(Project.make(base))
    finally:
        tree.remove(os.fsencode(base))


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        (("--path", "in_b"), "b"),
        (("--path", ".", "--mnemonic", "CopyA"), "a"),
        (("--path", "common", "--target", "//pkg:b"), "b"),
        (("--target", "//..."), "ab"),
        (("--label", "mnemonic=CopyB"), "b"),
        (("--command", "*in_b *"), "b"),
        (("--root", "."), "ab"),
        (("--instance-name", ""), "ab"),
        (("--instance-name", "other"), ""),
        (("--all",), "ab"),
    ],
    ids=" ".join,
)
def test_only_what_fits_misses_and_is_told_why(steps: Steps, words: tuple[str, ...], missing: str) -> None:
    id = steps.invalidate(*words, "--reason", "it is wrong")
    for name in steps.NAMES:
        assert steps.one(name) == ("miss" if name in missing else "hit")
        if name in missing:
            (told,) = steps.project.last()["reasons"]
            assert (told["code"], told["invalidation"]) == ("invalidated", id)
            assert "it is wrong" in told["message"]
    steps.undo(id)
    assert steps.one("b") == "hit"


def test_show_1_found_from_a_path_explained_dropped(project: Project) -> None:
    """A poisoned result, found by what it made."""
    steps = Steps(project)
    action = project.pytrace("show", "out_b", "--json").json["action"]
    id = steps.invalidate("out_b", "--reason", "built with the wrong compiler")
    explained = project.pytrace("explain", action, "--json")
    assert (explained.status, codes(explained.json)) == (1, ["invalidated"])
    assert "built with the wrong compiler" in explained.json["reasons"][0]["message"]
    assert steps.run() == ["hit", "miss"]
    assert project.last()["action"] != action
    assert [told["invalidation"] for told in project.last()["reasons"]] == [id]
    assert steps.run() == ["hit", "hit"]
    steps.undo(id)
    assert (steps.one("b"), project.last()["action"]) == ("hit", action)


def test_a_run_that_began_before_does_not_store_under_the_new_generation(project: Project) -> None:
    project.write(**{"in": "poison\n"})
    command = ("sh", "-c", "cat in > out; : > begun; while [ ! -e go ]; do sleep 0.05; done")
    wrapped = [os.fspath(Path(sys.executable).with_name("pytrace-exec")), "--ignore", "begun", "--ignore", "go", "--"]
    running = subprocess.Popen(
        [*wrapped, *command], cwd=project.root, env=project.environment(), stdin=subprocess.DEVNULL
    )
    try:
        while not (project.root / "begun").exists():
            assert running.poll() is None
            time.sleep(0.02)
        ids = [
            project.pytrace("invalidate", *words, "--json").json["invalidated"]["id"]
            for words in (("--command", "sh"), ("--path", "in"))
        ]
        (project.root / "go").touch()
        assert running.wait(60) == 0
    finally:
        running.kill()
        running.wait()
    (project.root / "out").unlink()
    assert project.wrapped(*command, options=("--ignore", "begun", "--ignore", "go")).status == 0
    assert project.last()["outcome"] == "miss"
    for id in ids:
        project.pytrace("invalidate", "--undo", id)
    project.wrapped(*command, options=("--ignore", "begun", "--ignore", "go"))
    assert project.last()["outcome"] == "hit"


def test_invalidating_needs_nothing_else(project: Project) -> None:
    project.write(**{"in": "x\n"})
    assert project.pytrace("invalidate", "--list").status == 10
    whole = f"{'a' * 64}/17"
    assert project.pytrace("invalidate", whole, "--json").json["invalidated"]["scope"] == {"action": whole}
    assert project.pytrace("invalidate", "--all").status == 0
    found = project.pytrace("invalidate", "--list", "--json").json["invalidations"]
    assert sorted((one["scope"] for one in found), key=len) == [{}, {"action": whole}]  # of one second: in any order
    assert all(one["where"] == "the store" and one["undone"] is None and "@" in one["by"] for one in found)


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ((), 2),
        (("--all", "--path", "x"), 2),
        (("aaaa/1", "--path", "x"), 2),
        (("--list", "--all"), 2),
        (("--undo", "aa", "--reason", "x"), 2),
        (("--label", "x"), 2),
        (("--reason", "x" * 3000, "--all"), 2),
        (("--undo", "aa"), 20),
        (("nothing",), 20),
    ],
)
def test_what_cannot_be_meant_is_refused(project: Project, words: tuple[str, ...], status: int) -> None:
    done = project.pytrace("invalidate", *words)
    assert (done.status, done.stdout, done.stderr.count(b"\n")) == (status, b"", 1)


def test_invalidations_outlive_eviction(project: Project) -> None:
    assert project.pytrace("invalidate", "--path", "in_b").status == 0
    subprocess.run(
        [Path(sys.executable).with_name("pytrace-cas"), "prune", "--dir", project.store, "--max-size", "0"],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    assert len(project.pytrace("invalidate", "--list", "--json").json["invalidations"]) == 1


@pytest.fixture
def cache() -> ForeignCache:
    """A remote of somebody else's."""
    return ForeignCache()


def workflows(project: Project, url: str, store: str) -> list[str]:
    """Two workflows over one tree, on a machine of its own."""
    found = []
    for name in ("checkstyle", "tests"):
        options = ("--remote", url, "--dir", str(project.base / store), "--label", f"workflow={name}")
        done = project.wrapped("sh", "-c", f"cat src > report_{name}", options=(*options, "--generation-max-age", "0"))
        assert done.status == 0
        found.append(str(project.last()["outcome"]))
    return found


@pytest.mark.parametrize("kind", ["grpc", "ours"])
def test_show_2_one_workflow_of_two(project: Project, cache: ForeignCache, kind: str, tmp_path: Path) -> None:
    project.write(src="source\n")
    with _remote(kind, cache, tmp_path) as url:
        assert workflows(project, url, "one") == ["miss", "miss"]
        assert workflows(project, url, "two") == ["hit", "hit"]
        remote = ("--remote", url)
        done = project.pytrace("invalidate", "--label", "workflow=checkstyle", "--reason", "new", *remote, "--json")
        assert done.status == 0, done.stderr
        # Two machines that knew nothing of it, and one that had never met the remote.
        assert workflows(project, url, "two") == ["miss", "hit"]
        assert workflows(project, url, "one") == ["hit", "hit"]
        assert workflows(project, url, "three") == ["hit", "hit"]
        if kind == "ours":
            return
        del cache.results["", KEY]
        # The entry is lost: everything anew, and the old result of checkstyle is nobody's.
        assert workflows(project, url, "two") == ["miss", "miss"]
        assert workflows(project, url, "one") == ["hit", "hit"]
        listed = project.pytrace("invalidate", "--list", *remote, "--json").json["invalidations"]
        assert [one["scope"] for one in listed] == [{"label": ["workflow=checkstyle"]}, {}]


@contextmanager
def _remote(kind: str, cache: ForeignCache, folder: Path) -> Iterator[str]:
    """Serve a remote of that kind."""
    if kind == "ours":
        with running_server(folder / "served") as server:
            yield server.grpc_url
    else:
        with foreign_grpc(cache) as url:
            yield url
