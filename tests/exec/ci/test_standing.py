# SPDX-License-Identifier: Apache-2.0
"""A job that is to run in a work tree is skipped only where that is as the commit says."""

from __future__ import annotations

import time

import pytest

from tests.support.repositories import Pytrace, Repository

pytestmark = [pytest.mark.git, pytest.mark.native]

JOB = ("sh", "-c", "cat src/a; ls listed; cat all/*; ls all; cat absent 2>/dev/null; echo made > made; mkdir -p out/in")


@pytest.fixture
def tested(repository: Repository) -> Repository:
    """A project with a recorded run, and what that made."""
    repository.commit(all__1="1\n", all__2="2\n")
    repository.recorded(*JOB)
    assert repository.run(*JOB).json["skip"]
    return repository


@pytest.mark.parametrize(
    ("name", "text"),
    [("src/a", "other\n"), ("all/2", "other\n"), ("listed/new", ""), ("absent", ""), ("all/3", "")],
    ids=["read", "of-a-whole-folder", "listed", "looked-for", "new-in-a-whole-folder"],
)
def test_what_is_not_committed(tested: Repository, name: str, text: str) -> None:
    path = tested.path / name
    path.write_text(text)
    found = tested.run(*JOB)
    assert (found.codes, found.paths) == (["worktree"], [name])
    assert tested.check().status == 0  # which asks about the commit


def test_modes_and_what_is_gone(tested: Repository) -> None:
    (tested.path / "src/a").chmod(0o755)
    assert tested.run(*JOB).paths == ["src/a"]
    (tested.path / "src/a").chmod(0o644)
    tested.write(src__b="not read\n", docs__new="not listed\n")
    assert tested.run(*JOB).json["skip"]
    tested.write(listed__one=None)
    assert tested.run(*JOB).paths == ["listed/one"]


def test_a_submodule_as_it_lies_there(pytrace: Pytrace) -> None:
    library = Repository.make(pytrace.base / "library", pytrace, used="1\n")
    outer = Repository.make(pytrace.base / "work", pytrace, src__a="a\n")
    outer.git("submodule", "--quiet", "add", str(library.path), "lib")
    outer.commit()
    job = ("cat", "src/a", "lib/used")
    outer.recorded(*job)
    assert outer.run(*job).json["skip"]
    outer.write(lib__used="2\n")
    assert outer.run(*job).paths == ["lib/used"]
    outer.git("-C", "lib", "checkout", "-q", ".")
    outer.git("submodule", "--quiet", "deinit", "lib")
    (outer.path / ".git/modules/lib").rename(pytrace.base / "lib.git")
    assert outer.run(*job).paths == ["lib"]


def test_another_way_of_checking_out(repository: Repository) -> None:
    """Line endings are the runner's affair: the same commit gives other files, and the job runs."""
    job = ("cat", "src/a")
    repository.recorded(*job)
    repository.git("config", "core.autocrlf", "true")
    (repository.path / "src/a").unlink()
    repository.git("checkout", "-q", "src/a")
    assert "worktree" in repository.run(*job).codes
    assert repository.run(*job).json["skip"]
    repository.git("config", "core.autocrlf", "false")
    (repository.path / "src/a").write_text("a\n")
    assert repository.run(*job).json["skip"]  # by the first record


@pytest.mark.git_lfs
def test_a_pointer_in_place_of_its_content(repository: Repository) -> None:
    repository.git("lfs", "install", "--local")
    repository.git("lfs", "track", "*.bin")
    repository.commit(big_DOT_bin="large\n")
    content, pointer = "large\n", repository.git("show", "HEAD:big.bin") + "\n"
    for text in (pointer, content):
        repository.write(big_DOT_bin=text)
        time.sleep(0.02)
        ended = repository.recorded("cat", "big.bin")
        assert ended.stdout.startswith(text.splitlines()[0])
    for text in (pointer, content):
        repository.write(big_DOT_bin=text)
        assert repository.run("cat", "big.bin").json["skip"]
