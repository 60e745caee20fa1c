# SPDX-License-Identifier: Apache-2.0
"""Ways by which a job was skipped that would have given another result: each runs now."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.repositories import Pytrace, Repository

pytestmark = [pytest.mark.git, pytest.mark.native]

UNTRACKED = ("--allow-untracked", "cache", "--allow-untracked", "listed/*.bin")


def test_a_submodule_that_was_not_checked_out(pytrace: Pytrace) -> None:
    """Its gitlink is the same, and what lies there is not."""
    library = Repository.make(pytrace.base / "library", pytrace, used="1\n")
    outer = Repository.make(pytrace.base / "work", pytrace, src__a="a\n")
    outer.git("submodule", "--quiet", "add", str(library.path), "lib")
    outer.commit()
    clone = Repository(outer.clone("clone"), pytrace)
    job = ("sh", "-c", "cat lib/used 2>/dev/null; cat src/a")
    assert clone.recorded(*job).stdout.startswith("a\n")
    assert clone.run(*job).json["skip"]
    clone.git("submodule", "--quiet", "update", "--init")
    assert clone.recorded(*job).stdout.startswith("1\na\n")
    assert clone.run(*job).json["skip"]


def test_untracked_inputs(repository: Repository) -> None:
    """What a link leads to, an executable bit, and what was not there count as content does."""
    repository.commit(packages__1__a="1\n", packages__2__a="2\n")
    repository.write(cache__tool="echo tool\n")
    (repository.path / "cache/tool").chmod(0o755)
    link = repository.path / "cache/link"
    link.symlink_to("../packages/1")
    job = ("sh", "-c", "cat cache/link/a; cat cache/absent 2>/dev/null; test -x cache/tool; ls listed")
    repository.recorded(*job, options=UNTRACKED)
    assert repository.check().status == 0
    link.unlink()
    link.symlink_to("../packages/2")
    assert repository.check().paths == ["cache/link"]
    link.unlink()
    link.symlink_to("../packages/1")
    (repository.path / "cache/tool").chmod(0o644)
    assert repository.check().paths == ["cache/tool"]
    (repository.path / "cache/tool").chmod(0o755)
    repository.write(cache__absent="restored\n", listed__other="not an input by the patterns\n")
    assert repository.check().paths == ["cache/absent"]
    repository.write(cache__absent=None, listed__new_DOT_bin="restored\n")
    assert repository.check().paths == ["listed/new.bin"]


def test_a_tracked_file_that_is_written_over(repository: Repository) -> None:
    """Its content does not count; that it is a plain file does."""
    repository.recorded("sh", "-c", "cat src/a > src/b")
    repository.git("checkout", "-q", ".")
    repository.commit(src__b="other\n")
    assert repository.check().status == 0
    (repository.path / "src/b").unlink()
    (repository.path / "src/b").symlink_to("c")
    repository.commit()
    assert repository.check().paths == ["src/b"]


@pytest.mark.parametrize("name", ["pytrace.toml", "pyproject.toml"])
def test_what_the_projects_file_has_ignored(repository: Repository, name: str) -> None:
    """It belongs to what the record says: without it the job depends on more."""
    table = "[tool.pytrace]\n" if name == "pyproject.toml" else ""
    (repository.path / name).write_text(f'{table}ignore = ["src/b"]\n')
    repository.commit()
    job = ("cat", "src/a", "src/b")
    repository.recorded(*job)
    repository.commit(src__b="other\n")
    assert repository.check().status == 0
    (repository.path / name).unlink()
    repository.commit()
    assert repository.check().paths == [name]


@pytest.mark.parametrize("option", [("--ignore", "src/b"), ("--allow-history",), ("--allow-network",)])
def test_what_somebody_vouches_for_no_more(repository: Repository, option: tuple[str, ...]) -> None:
    repository.recorded("cat", "src/a", options=option)
    assert repository.run("cat", "src/a", options=option).json["skip"]
    assert repository.run("cat", "src/a").codes == ["command"]


def test_a_failure_beside_a_success(repository: Repository) -> None:
    """What another run has stored while this one ran says nothing any more, either."""
    base = repository.pytrace.base
    wait = f"for i in $(seq 600); do test -e {base}/last && break; sleep 0.1; done"
    job = ("sh", "-c", f"cat src/a; mkdir {base}/first 2>/dev/null || exit 0; {wait}; exit 1")
    program = str(Path(sys.executable).parent / "pytrace")
    with subprocess.Popen(
        [program, "ci", "run", "--workflow", "w", "--", *job], cwd=repository.path, stdin=subprocess.DEVNULL,
        env=repository.pytrace.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as slow:  # fmt: skip
        while not (base / "first").exists():
            time.sleep(0.01)
        repository.recorded(*job)
        assert repository.check().status == 0
        (base / "last").touch()
    assert slow.returncode == 1
    assert repository.check().codes == ["no_record"]


def test_a_job_of_another_repository(repository: Repository) -> None:
    """One that read no file says nothing about a project that it does not know."""
    repository.recorded("true")
    assert repository.check().status == 0
    other = Repository.make(repository.pytrace.base / "other", repository.pytrace, x="x\n")
    assert repository.check(repo=other.path).codes == ["project"]
    repository.recorded("true", options=("--project", "p"))
    assert repository.check("HEAD", "--project", "p").status == 0


def test_a_second_checkout_in_the_workspace(pytrace: Pytrace) -> None:
    """What lies beside the repository is no part of the runner: its content, names and absence count."""
    repository = Repository.make(pytrace.base / "ws/main", pytrace, src__a="a\n")
    Repository.make(pytrace.base / "ws/other", pytrace, lib="1\n", listed__x="x\n")
    other = pytrace.base / "ws/other"
    job = ("sh", "-c", "cat src/a ../other/lib; ls ../other/listed; cat ../other/absent ../settings 2>/dev/null; true")
    repository.recorded(*job, JENKINS_URL="http://ci", WORKSPACE=str(pytrace.base / "ws"))
    assert repository.check().status == 0
    for name, text in (("lib", "2\n"), ("listed/new", ""), ("absent", "")):
        before = (other / name).read_text() if (other / name).exists() else None
        (other / name).write_text(text)
        assert repository.check().paths == [f"../other/{name.partition('/new')[0]}"]
        if before is None:
            (other / name).unlink()
        else:
            (other / name).write_text(before)
    assert repository.check().status == 0
    assert set(repository.check(repo=repository.clone("bare", "--bare")).codes) == {"untracked"}
    asking = repository.run(
        "git", "-C", "../other", "rev-parse", "HEAD", JENKINS_URL="http://ci", WORKSPACE=str(pytrace.base / "ws")
    )
    assert "no gitlink" in asking.json["not_recorded"][0]


def test_gits_index_that_is_not_as_committed(repository: Repository) -> None:
    """The work tree alone does not tell what `git ls-files` says."""
    job = ("git", "ls-files")
    repository.recorded(*job)
    assert repository.run(*job).json["skip"]
    repository.git("rm", "-q", "--cached", "src/a")
    assert repository.run(*job).paths == [".git/index"]


def test_a_submodule_at_another_commit(pytrace: Pytrace) -> None:
    """The gitlink is the same; so is every file that was read, or there was none."""
    library = Repository.make(pytrace.base / "library", pytrace, used="1\n")
    library.commit(other="2\n")
    outer = Repository.make(pytrace.base / "work", pytrace, src__a="a\n")
    outer.git("submodule", "--quiet", "add", str(library.path), "lib")
    outer.commit()
    job = ("sh", "-c", "test -d lib; git -C lib ls-files")
    outer.recorded(*job)
    assert outer.run(*job).json["skip"]
    outer.git("-C", "lib", "checkout", "-q", "HEAD~1")
    assert outer.run(*job).paths == ["lib"]
    shutil.rmtree(outer.path / "lib")
    assert "lib" in outer.run(*job).paths


def test_the_project_around_a_submodule(pytrace: Pytrace) -> None:
    """A job of the submodule's own reads files of the project that it is checked out in."""
    library = Repository.make(pytrace.base / "library", pytrace, used="1\n")
    outer = Repository.make(pytrace.base / "work", pytrace, src__a="a\n")
    outer.git("submodule", "--quiet", "add", str(library.path), "lib")
    outer.commit()
    inner = Repository(outer.path / "lib", pytrace)
    job = ("cat", "used", "../src/a")
    inner.recorded(*job)
    assert inner.run(*job).json["skip"]
    outer.commit(src__a="A\n")
    assert inner.run(*job).paths == ["../src/a"]


def test_types_of_listed_names(repository: Repository) -> None:
    """A folder that has a file's name was listed as a file."""
    job = (sys.executable, "-S", "-c", "import os; print([one.is_dir() for one in os.scandir('listed')])")
    repository.recorded(*job)
    repository.write(listed__one=None)
    (repository.path / "listed/one").mkdir()
    assert repository.run(*job).paths == ["listed/one"]


def test_what_a_sparse_checkout_leaves_out(repository: Repository) -> None:
    """The patterns are the same, and files lie there or do not, looked for and listed."""
    repository.git("sparse-checkout", "set", "--no-cone", "/src/", "!/src/b")
    job = ("sh", "-c", "ls src; cat docs/x 2>/dev/null; true")
    repository.recorded(*job)
    assert repository.run(*job).json["skip"]
    repository.git("update-index", "--no-skip-worktree", "docs/x", "src/b")
    repository.git("checkout", "--", "docs/x", "src/b")
    assert {"src/b", "docs/x"} <= set(repository.run(*job).paths)
    assert repository.run(*job).json["skip"]
    repository.git("update-index", "--skip-worktree", "docs/x", "src/b")
    repository.write(docs__x=None, src__b=None)
    (repository.path / "docs").rmdir()
    latest = repository.run(*job, options=("--force",))
    assert not latest.stdout.startswith("a\nb\n")


def test_history_that_ends_elsewhere(repository: Repository) -> None:
    """The commit is the same, and a shallow clone or a replacement has it tell another story."""
    repository.commit(src__a="2\n")
    job = ("git", "rev-list", "--count", "HEAD")
    repository.recorded(*job)
    assert repository.run(*job).json["skip"]
    shallow = Repository(repository.clone("shallow", "--depth=1"), repository.pytrace)
    assert shallow.run(*job).paths == [".git"]
    repository.git("replace", "--graft", "HEAD")
    assert repository.run(*job).paths == [".git"]


def test_what_a_run_left_and_somebody_changed(repository: Repository) -> None:
    """It is the job's own only as long as it is as the recorded run left it."""
    job = ("sh", "-c", "test -e out || cp src/a out; cat out; mkdir -p gen; cp src/a gen/one; cat gen/*")
    repository.recorded(*job)
    assert repository.run(*job).json["skip"]
    repository.write(gen__two="two\n")
    assert repository.run(*job).paths == ["gen"]
    repository.write(gen__two=None)
    assert repository.run(*job).json["skip"]
    repository.write(out="other\n")
    assert repository.run(*job).paths == ["out"]


def test_words_of_one_option_and_the_next(repository: Repository) -> None:
    job = ("cat", "src/a", "src/b")
    repository.recorded(*job, options=("--ignore", "lint", "--ignore", "src/b", "--disposable", "z"))
    others = ("--ignore", "lint", "--disposable", "src/b", "--disposable", "z")
    assert repository.run(*job, options=others).codes == ["command"]


def test_jobs_of_a_matrix_in_one_run(repository: Repository) -> None:
    """They have one name and one run: each has its own commands, and its own steps."""
    mark, run = "true", "1"
    repository.recorded("cat", "src/a", PYTRACE_MATRIX="1", GITHUB_ACTIONS=mark, GITHUB_RUN_ID=run)
    repository.recorded("cat", "src/b", PYTRACE_MATRIX="2", GITHUB_ACTIONS=mark, GITHUB_RUN_ID=run)
    repository.commit(src__b="B\n")
    assert [repository.check(PYTRACE_MATRIX=one, GITHUB_ACTIONS=mark, GITHUB_RUN_ID=run).status for one in "12"] == [
        0,
        1,
    ]
    first, last = ("--step", "1/2", "--force"), ("--step", "2/2", "--force")
    repository.run("cat", "listed/one", options=first, PYTRACE_MATRIX="3", GITHUB_ACTIONS=mark, GITHUB_RUN_ID=run)
    repository.run("cat", "docs/x", options=first, PYTRACE_MATRIX="4", GITHUB_ACTIONS=mark, GITHUB_RUN_ID=run)
    repository.recorded("true", options=last, PYTRACE_MATRIX="3", GITHUB_ACTIONS=mark, GITHUB_RUN_ID=run)
    assert (
        "1/2"
        in repository.run("true", options=last, PYTRACE_MATRIX="5", GITHUB_ACTIONS=mark, GITHUB_RUN_ID=run).json[
            "not_recorded"
        ][0]
    )
    repository.commit(docs__x="X\n")
    assert repository.check(PYTRACE_MATRIX="3", GITHUB_ACTIONS=mark, GITHUB_RUN_ID=run).status == 0
    repository.commit(listed__one="2\n")
    assert repository.check(PYTRACE_MATRIX="3", GITHUB_ACTIONS=mark, GITHUB_RUN_ID=run).status == 1


@pytest.mark.parametrize("name", ["buildkite.json", ".buildkite/pipeline.yaml"])
def test_every_place_of_a_pipeline(repository: Repository, name: str) -> None:
    place = repository.path / name
    place.parent.mkdir(exist_ok=True)
    place.write_text("1\n")
    repository.commit()
    repository.recorded("cat", "src/a", BUILDKITE="true")
    place.write_text("2\n")
    repository.commit()
    assert repository.check(BUILDKITE="true").paths == [name]


def test_a_tracked_file_by_another_name(repository: Repository) -> None:
    """A hard link from outside the repository: what is read there is a file of the commit."""
    other = repository.pytrace.base / "other"
    other.hardlink_to(repository.path / "src/a")
    assert "by a name outside" in repository.run("cat", str(other)).json["not_recorded"][0]
    repository.recorded("cat", "src/a")


def test_what_is_written_over_or_changed(repository: Repository) -> None:
    """Untracked when it was written over, tracked as a folder now; and a file of the workspace that it changed."""
    repository.write(out="old\n")
    repository.recorded("sh", "-c", "cat src/a > out")
    repository.write(out=None)
    repository.commit(out__x="")
    assert repository.check().paths == ["out"]
    state = repository.path.parent / "state"
    state.write_text("1\n")
    workspace = str(repository.path.parent)
    job = ("sh", "-c", "cat src/a ../state; echo 2 >> ../state")
    ended = repository.run(*job, JENKINS_URL="http://ci", WORKSPACE=workspace)
    assert "state" in ended.json["not_recorded"][0]


def test_runs_that_store_at_the_same_moment(repository: Repository) -> None:
    """Each keeps its record: one that was lost would be one that nobody can withdraw, or a needless run."""
    program = str(Path(sys.executable).parent / "pytrace")
    go = repository.pytrace.base / "go"
    wait = f"for i in $(seq 600); do test -e {go} && break; sleep 0.1; done"
    running = []
    for number in range(6):
        job = ("sh", "-c", f"cat src/a; {wait}; echo {number}")
        running.append(subprocess.Popen(
            [program, "ci", "run", "--workflow", "w", "--", *job], cwd=repository.path, stdin=subprocess.DEVNULL,
            env=repository.pytrace.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ))  # fmt: skip
    time.sleep(1)
    go.touch()
    assert [one.wait() for one in running] == [0] * 6
    found = repository.pytrace("ci", "ls", "--json", cwd=repository.path).json
    assert len(found["records"]) == 6, found


@pytest.mark.parametrize(
    "job",
    [
        "cat .git/packed-refs 2>/dev/null",
        "test -e .git/packed-refs",
        "cat .git/refs/tags/v1 2>/dev/null",
        "cat .git/FETCH_HEAD 2>/dev/null",
        "test -e .git/refs/heads/main; git rev-parse HEAD",
        "git rev-parse HEAD; cat .git/packed-refs 2>/dev/null",
    ],
)
def test_files_of_refs(repository: Repository, job: str) -> None:
    """No commit tells in which files git keeps its refs: only git itself may look there."""
    ended = repository.run("sh", "-c", f"cat src/a; {job}; true")
    assert "--allow-history" in ended.json["not_recorded"][0]
    repository.git("tag", "v1")
    repository.git("pack-refs", "--all")
    assert not repository.run("sh", "-c", f"cat src/a; {job}; true").json["skip"]
    assert repository.check().codes == ["no_record"]


def test_untracked_inputs_in_a_submodule(pytrace: Pytrace) -> None:
    """One that came into a folder that was listed counts there as in the repository itself."""
    library = Repository.make(pytrace.base / "library", pytrace, listed__x="x\n", whole__y__z="z\n")
    outer = Repository.make(pytrace.base / "work", pytrace, src__a="a\n")
    outer.git("submodule", "--quiet", "add", str(library.path), "lib")
    outer.commit()
    options = ("--allow-untracked", "lib/listed/*.bin", "--allow-untracked", "lib/whole/y/*.bin")
    job = ("sh", "-c", "cat src/a; ls lib/listed lib/whole lib/whole/y; cat lib/whole/y/*")
    outer.recorded(*job, options=options)
    assert outer.check().status == 0
    assert outer.check(repo=outer.clone("bare", "--bare")).codes == ["untracked"]
    for name in ("lib/listed/new.bin", "lib/whole/y/new.bin"):
        (outer.path / name).write_text("restored\n")
        assert outer.check().paths == [name]
        assert not outer.run(*job, options=options).json["skip"]
        (outer.path / name).unlink()
    outer.write(lib__listed__other="no input by the patterns\n")
    assert outer.check().status == 0
    shutil.rmtree(outer.path / ".git/modules/lib/objects")
    assert outer.check().status == 1


@pytest.mark.parametrize(
    "ask",
    ["git --git-dir={0}/.git rev-parse HEAD", "git -C {0} ls-files", "cd {0}; git log -1", "git clone -q {0} new"],
)
@pytest.mark.parametrize("shell", [True, False])
def test_a_repository_that_no_commit_tells_of(repository: Repository, ask: str, shell: bool) -> None:
    """It lies outside of the workspace, and is at another commit tomorrow."""
    other = Repository.make(repository.pytrace.base / "other", repository.pytrace, x="x\n")
    told = ask.format(other.path)
    job = ("sh", "-c", f"cat src/a; {told}") if shell or told.startswith("cd") else tuple(told.split())
    assert "no gitlink" in " ".join(repository.run(*job).json["not_recorded"])
    assert repository.check().codes == ["no_record"]


def test_a_repository_among_tracked_files(repository: Repository) -> None:
    """Git has no fact of the commit say what its refs stand for: they can lie in other files, too."""
    repository.git("clone", "-q", "--bare", ".", "data/one.git")
    repository.commit()
    refused = repository.run("git", "--git-dir=data/one.git", "rev-parse", "HEAD").json["not_recorded"]
    refused += repository.run("git", "-C", "data/one.git", "rev-parse", "HEAD").json["not_recorded"]
    assert "no gitlink" in " ".join(refused)
    assert repository.check().codes == ["no_record"]


def test_repositories_of_the_jobs_own(repository: Repository) -> None:
    """One that the job itself makes is no input, and somebody can vouch for one that lies elsewhere."""
    place = repository.pytrace.base / "own"
    own = f"git init -q {place}; cd {place}; git commit -q --allow-empty -m 1; git rev-parse HEAD; git log; cd /"
    repository.recorded("sh", "-c", f"cat src/a; {own}; rm -rf {place}")
    other = Repository.make(repository.pytrace.base / "other", repository.pytrace, x="x\n")
    job = ("git", "-C", str(other.path), "rev-parse", "HEAD")
    repository.recorded(*job, options=("--allow-history",))
    assert not repository.run(*job).json["skip"]


def test_skips_that_are_counted_at_the_same_moment(repository: Repository) -> None:
    """Each counts: no more of them are granted than were said."""
    repository.recorded("cat", "src/a")
    program = str(Path(sys.executable).parent / "pytrace")
    words = [program, "ci", "check", "--workflow", "w", "--repo", str(repository.path), "--max-skips", "3"]
    running = [
        subprocess.Popen(
            words, env=repository.pytrace.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(6)
    ]
    assert sorted(one.wait() for one in running) == [0, 0, 0, 1, 1, 1]
