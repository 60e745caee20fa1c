# SPDX-License-Identifier: Apache-2.0
"""Submodules, LFS, sparse checkouts, worktrees, filters, and repositories that cannot be read."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from tests.support.repositories import Pytrace, Repository

pytestmark = [pytest.mark.git, pytest.mark.native]


@pytest.fixture
def library(pytrace: Pytrace) -> Repository:
    """What is a submodule of another project."""
    return Repository.make(pytrace.base / "library", pytrace, used="1\n", unused="1\n")


@pytest.fixture
def outer(pytrace: Pytrace, library: Repository) -> Repository:
    """A project with a submodule."""
    made = Repository.make(pytrace.base / "work", pytrace, src__a="a\n")
    made.git("submodule", "--quiet", "add", str(library.path), "lib")
    made.commit()
    return made


def _bump(outer: Repository, library: Repository, **files: str) -> None:
    library.commit(**files)
    outer.git("-C", "lib", "pull", "-q")
    outer.commit()


def test_a_submodule(outer: Repository, library: Repository) -> None:
    """Exact paths inside where its objects are at hand, its gitlink where they are not."""
    outer.recorded("cat", "src/a", "lib/used")
    away = outer.clone("away", "--bare", "--filter=blob:none")
    assert outer.check(repo=away).status == 0
    _bump(outer, library, unused="2\n")
    assert outer.check().status == 0
    away = outer.clone("away2", "--bare", "--filter=blob:none")
    assert outer.check(repo=away).codes == ["submodule"]
    _bump(outer, library, used="2\n")
    assert outer.check().paths == ["lib/used"]


def test_a_submodules_own_folder(outer: Repository, library: Repository) -> None:
    """Listing it counts its names."""
    outer.recorded("ls", "lib")
    _bump(outer, library, used="2\n")
    assert outer.check().status == 0
    _bump(outer, library, new="\n")
    assert outer.check().paths == ["lib"]


def test_git_in_a_submodule(outer: Repository, library: Repository) -> None:
    """Its index is what the gitlink says, or the job is not recorded."""
    job = ("git", "-C", "lib", "ls-files")
    outer.recorded(*job)
    assert outer.run(*job).json["skip"]
    library.commit(new="\n")
    outer.git("-C", "lib", "pull", "-q")
    refused = outer.run(*job, options=("--force",))
    assert ("new" in refused.stdout, "gitlink" in refused.json["not_recorded"][0]) == (True, True)


def test_a_submodule_that_is_not_there(outer: Repository, library: Repository) -> None:
    """Whoever looks into its empty folder depends on the gitlink alone."""
    place = Repository(outer.clone("bare-of-it"), outer.pytrace)
    place.recorded("sh", "-c", "cat src/a; cat lib/used || true")
    assert place.check().status == 0
    _bump(outer, library, used="2\n")
    place.git("pull", "-q")
    assert place.check().status == 1


def test_files_in_a_submodule_that_is_not_there(outer: Repository) -> None:
    """A gitlink says nothing about them."""
    place = Repository(outer.clone("bare-of-it"), outer.pytrace)
    place.write(lib__used="from elsewhere\n")
    assert "submodule" in place.run("cat", "lib/used").json["not_recorded"][0]


@pytest.mark.git_lfs
def test_lfs_pointers(repository: Repository) -> None:
    repository.git("lfs", "install", "--local")
    repository.git("lfs", "track", "*.bin")
    repository.commit(big_DOT_bin="large\n", other_DOT_bin="other\n")
    assert repository.git("show", "HEAD:big.bin").startswith("version https://git-lfs")
    repository.recorded("cat", "big.bin")
    assert repository.check().status == 0
    repository.commit(other_DOT_bin="another\n")
    assert repository.check().status == 0
    repository.commit(big_DOT_bin="larger\n")
    assert repository.check().paths == ["big.bin"]


def test_filters(repository: Repository) -> None:
    """Line endings and programs: what lies in the work tree is no blob, and counts as one all the same."""
    repository.git("config", "filter.rot.clean", "tr a-m n-z")
    repository.git("config", "filter.rot.smudge", "tr n-z a-m")
    repository.commit(_DOT_gitattributes="crlf text eol=crlf\nrot filter=rot\n", crlf="1\n2\n", rot="abc\n")
    repository.git("rm", "-q", "--cached", "-r", ".")
    repository.git("reset", "-q", "--hard")
    assert (repository.path / "crlf").read_bytes() == b"1\r\n2\r\n"
    assert hashlib.sha1(b"blob 4\0abc\n").hexdigest() != repository.git("rev-parse", "HEAD:rot")
    repository.commit()
    repository.recorded("cat", "crlf", "rot")
    assert repository.check().status == 0
    repository.commit(rot="abcd\n")
    assert repository.check().paths == ["rot"]


def test_a_sparse_checkout(repository: Repository) -> None:
    """What the checkout leaves out was absent for the job; if it changes there, the job runs, to be safe."""
    repository.git("sparse-checkout", "set", "src")
    repository.recorded("sh", "-c", "cat src/a; ls .; cat docs/x || true")
    assert repository.check().status == 0
    repository.git("sparse-checkout", "set", "src", "listed")
    assert "sparse" in repository.run("sh", "-c", "cat src/a; ls .; cat docs/x || true").codes


def test_a_second_worktree(repository: Repository) -> None:
    repository.git("worktree", "add", "-q", str(repository.pytrace.base / "second"), "-b", "second")
    second = Repository(repository.pytrace.base / "second", repository.pytrace)
    second.commit(src__b="only here\n")
    second.recorded("cat", "src/a")
    assert repository.check().json["by"]["branch"] == "second"
    second.recorded("git", "rev-parse", "HEAD", options=("--force",))
    assert repository.check("HEAD", "--branch", "second", "--max-age", "1h").status == 0  # by the first record
    assert "commit" in repository.pytrace(
        "ci", "explain", "--workflow", "w", "--repo", str(repository.path), "--json"
    ).codes  # fmt: skip


def test_whole_folders_are_one_fact(repository: Repository) -> None:
    repository.commit(**{f"all__d{i % 3}__f{i}": f"{i}\n" for i in range(30)})
    repository.recorded("sh", "-c", "cd all; ls -a . d0 d1 d2; cat d*/*")
    digest = repository.pytrace("ci", "ls", "--json").json["records"][0]["digest"]
    told = repository.pytrace("ci", "explain", "--workflow", "w", "--json", digest).json["paths"]
    assert [one for one in told if one["path"].startswith("all")] == [{"path": "all", "counts": "everything below"}]
    repository.commit(all__d1__f4="other\n")
    assert repository.check().paths == ["all/d1/f4"]


def test_a_sha256_repository(pytrace: Pytrace) -> None:
    """Said so, and run."""
    place = pytrace.base / "new"
    subprocess.run(["git", "init", "-q", "--object-format=sha256", str(place)], check=True, env=pytrace.environment())
    repository = Repository(place, pytrace)
    repository.commit(a="a\n")
    found = repository.check()
    assert (found.status, "SHA-256" in found.json["reason"]) == (1, True)
    ended = repository.run("cat", "a")
    assert (ended.status, ended.stdout.splitlines()[0], "SHA-256" in ended.stderr) == (0, "a", True)


def test_no_repository_and_no_commit(pytrace: Pytrace, repository: Repository) -> None:
    assert pytrace("ci", "check", "--workflow", "w", "--repo", str(pytrace.base / "home")).status == 1
    assert repository.check("nothing").status == 1
    repository.recorded("cat", "src/a")
    repository.commit(docs__x="other\n")
    without = repository.clone("trees", "--bare", "--filter=tree:0")
    found = repository.check(repo=without)
    assert (found.status, found.codes) == (1, ["git"])


def test_names_that_are_not_text(repository: Repository) -> None:
    path = Path(repository.path, "src", "f\udcff\n é")
    path.write_text("odd\n")
    repository.commit()
    repository.recorded("sh", "-c", "cat src/f*; ls src")
    assert repository.check().status == 0
    path.write_text("changed\n")
    repository.commit()
    assert repository.check().status == 1
