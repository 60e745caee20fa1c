# SPDX-License-Identifier: Apache-2.0
"""Ways by which a job was skipped that would have given another result: each runs now."""

from __future__ import annotations

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
