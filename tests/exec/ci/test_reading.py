# SPDX-License-Identifier: Apache-2.0
"""Commits and trees by git and by pygit2: both say the same, and neither fetches what the clone does not have."""

from __future__ import annotations

import os
import subprocess
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias

import pytest

from pytrace_exec.ci.library import LibraryObjects
from pytrace_exec.ci.objects import NoCommit, ObjectMissing, Objects
from pytrace_exec.ci.opening import Opening
from pytrace_exec.ci.program import ProgramObjects
from tests.support.repositories import Repository

pytestmark = [pytest.mark.git]


Open: TypeAlias = Callable[[Path], Objects]


@pytest.fixture
def by_git() -> Iterator[Open]:
    """Opens repositories with git."""
    with ExitStack() as stack:
        yield lambda place: stack.enter_context(Opening(os.fsencode(place)))


@pytest.fixture(params=[ProgramObjects, LibraryObjects], ids=["git", "pygit2"])
def opened(by_git: Open, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Opens repositories with git, and with pygit2 where there is no git."""
    if request.param is LibraryObjects:
        monkeypatch.setenv("PATH", "/nowhere")

    def open_as_told(place: Path) -> Objects:
        objects: Objects = by_git(place)
        assert type(objects) is request.param
        return objects

    return open_as_told


def test_what_is_read(repository: Repository, opened: Open) -> None:
    (repository.path / "link").symlink_to("src/a")
    head = repository.commit("a message\n\nof [Full CI] lines")
    objects = opened(repository.path)
    assert (objects.branch(), objects.folder.rstrip(b"/")) == ("main", os.fsencode(repository.path / ".git"))
    assert objects.workdir is not None
    assert objects.workdir.rstrip(b"/") == os.fsencode(repository.path)
    commit, tree = objects.commit("main")
    assert (commit.hex(), objects.tree_of(commit)) == (head, tree)
    assert "[Full CI]" in objects.message(commit)
    entries = objects.entries(tree)
    assert {name: mode for name, (mode, _) in entries.items()} == {
        b"README": b"100644", b"docs": b"40000", b"link": b"120000", b"listed": b"40000", b"src": b"40000",
    }  # fmt: skip
    assert objects.entries(entries[b"src"][1])[b"a"][1] == bytes.fromhex(repository.git("rev-parse", "HEAD:src/a"))
    for revision in ("nothing", "", "HEAD:src/a", "-h", "two\nlines"):
        with pytest.raises(NoCommit):
            objects.commit(revision)
    repository.git("checkout", "-q", "--detach")
    assert opened(repository.path).branch() == ""


def test_what_is_missing(repository: Repository, opened: Open) -> None:
    """A clone without trees is asked for one, and asks nobody; what is there is read all the same."""
    bare = repository.clone("trees", "--bare", "--filter=tree:0")
    objects = opened(bare)
    commit, tree = objects.commit("HEAD")
    for _ in range(2):
        with pytest.raises(ObjectMissing):
            objects.entries(tree)
        assert not objects.has_tree(tree)
    with pytest.raises(ObjectMissing):
        objects.tree_of(b"\1" * 20)
    assert objects.tree_of(commit) == tree


def test_variables_that_would_lead_elsewhere(
    repository: Repository, by_git: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The repository that was named is meant, and objects are what their ids say."""
    other = Repository.make(repository.pytrace.base / "other", repository.pytrace, other="o\n")
    monkeypatch.setenv("GIT_DIR", str(other.path / ".git"))
    assert by_git(repository.path).commit("HEAD")[0].hex() == repository.git("rev-parse", "HEAD")
    monkeypatch.delenv("GIT_DIR")
    old = repository.git("rev-parse", "HEAD")
    new = repository.commit(src__a="replaced\n")
    repository.git("replace", old, new)
    objects = by_git(repository.path)
    assert objects.commit(old)[1] != objects.commit(new)[1]


@pytest.mark.native
def test_nothing_is_fetched(repository: Repository, tmp_path: Path) -> None:
    """Git's own log of what it sends has no line of a check; of one who asks for a blob it has some."""
    log = tmp_path / "packets"
    repository.recorded("cat", "src/a")
    bare = repository.clone("bare", "--bare", "--filter=blob:none")
    log.unlink(missing_ok=True)
    tracing = {"GIT_TRACE_PACKET": str(log), "GIT_TRACE": str(log)}
    assert repository.check(repo=bare, **tracing).status == 0
    repository.commit(src__a="A\n")
    shallow = repository.clone("shallow", "--bare", "--depth=1", "--filter=blob:none")
    assert repository.check(repo=shallow, **tracing).status == 1
    trees = repository.clone("trees", "--bare", "--filter=tree:0")
    assert repository.check(repo=trees, **tracing).codes == ["git"]
    text = log.read_text()
    assert "cat-file" in text
    assert not [line for line in text.splitlines() if "packet:" in line]
    asking = ["git", "-C", str(bare), "cat-file", "-p", "HEAD:src/a"]
    subprocess.run(asking, env=repository.pytrace.environment(**tracing), check=True, capture_output=True)
    assert "packet:" in log.read_text()


@pytest.mark.native
def test_names_that_are_no_text(repository: Repository) -> None:
    """A path that is not UTF-8 is told readable and exact, by each verb."""
    name = b"caf\xe9"
    (repository.path / os.fsdecode(name)).write_text("1\n")
    repository.commit()
    repository.recorded("sh", "-c", "cat caf*")
    (repository.path / os.fsdecode(name)).write_text("2\n")
    repository.commit()
    reason = repository.check().json["records"][0]["reasons"][0]
    assert (reason["path"], b64decode(reason["path_b64"])) == ("caf\ufffd", name)
    digest = repository.pytrace("ci", "ls", "--json").json["records"][0]["digest"]
    told = repository.pytrace("ci", "explain", "--workflow", "w", "--repo", str(repository.path), digest, "--json").json
    assert name in [b64decode(one["path_b64"]) for one in told["paths"] if "path_b64" in one]


@pytest.mark.native
def test_a_check_without_git(repository: Repository) -> None:
    """Where git is not installed pygit2 reads, and says the same."""
    repository.recorded("cat", "src/a")
    assert repository.check("HEAD", PATH="/nowhere").json == repository.check().json
    repository.commit(src__a="A\n")
    assert repository.check("HEAD", PATH="/nowhere").json == repository.check().json
