# SPDX-License-Identifier: Apache-2.0
"""Real histories: no decision to skip is wrong, and how many of the possible ones are taken beside other rules."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.fetching import NotFetched
from tests.support.histories import PROJECTS, Job, Project, build
from tests.support.repositories import Pytrace, Repository
from tests.support.skipping import Tally, walk

pytestmark = [pytest.mark.git, pytest.mark.native, pytest.mark.compiler]

TOP = Path(__file__).parents[3]
OWN = (
    Job("unit", "PYTHONPATH=plugin:cas:proto python3 -m pytest --noconftest -p no:cacheprovider -q"
        " tests/exec/test_places.py 2>/dev/null | sed 's/ in [0-9.]*s.*//'", ("tests/exec/test_places.py", "plugin/*")),
    Job("lint", "ruff check --no-cache --isolated --exit-zero --select E9,F plugin/pytrace_exec/keys",
        ("plugin/pytrace_exec/keys/*",)),
    Job("build", "gcc -w -O1 -Iplugin/native -c plugin/native/tracer.c -o out.o && sha256sum out.o && rm out.o",
        ("plugin/native/*",)),
)  # fmt: skip


def _walked(repository: Repository, commits: list[str], jobs: tuple[Job, ...], name: str) -> Tally:
    total = Tally()
    for job in jobs:
        tally = walk(repository, commits, job)
        print(f"\n{name} {job.name}: {tally}")
        assert tally.wrong == 0, f"{name}, {job.name}: {tally}"
        total.add(tally)
    print(f"{name}: {total}")
    return total


def _history(pytrace: Pytrace, project: Project, releases: tuple[str, ...]) -> tuple[Repository, list[str]]:
    repository = Repository.make(pytrace.base / "work", pytrace)
    try:
        return repository, build(repository, project, releases)
    except NotFetched as error:
        pytest.skip(f"no releases of {project.name}: {error}")


def test_a_small_history(pytrace: Pytrace) -> None:
    project = PROJECTS[0]
    repository, commits = _history(pytrace, project, project.releases[-2:])
    total = _walked(repository, commits, project.jobs, project.name)
    assert total.taken >= total.possible // 2
    assert total.taken >= total.tracer


@pytest.mark.soak
@pytest.mark.parametrize("project", PROJECTS, ids=lambda project: project.name)
def test_whole_histories(pytrace: Pytrace, project: Project) -> None:
    repository, commits = _history(pytrace, project, project.releases)
    total = _walked(repository, commits, project.jobs, project.name)
    assert total.taken > total.tracer


@pytest.mark.soak
@pytest.mark.parametrize("job", OWN, ids=lambda job: job.name)
def test_our_own_history(pytrace: Pytrace, job: Job) -> None:
    """The last hundred commits of this repository; each job is a test, as none may take longer than fifteen minutes."""
    if subprocess.run(["git", "-C", str(TOP), "rev-parse", "HEAD"], capture_output=True, check=False).returncode:
        pytest.skip("this is no clone of the repository")
    place = pytrace.base / "work"
    subprocess.run(
        ["git", "clone", "-q", "--no-hardlinks", str(TOP), str(place)], check=True, env=pytrace.environment()
    )
    repository = Repository(place, pytrace)
    commits = repository.git("rev-list", "--reverse", "--topo-order", "--max-count=100", "HEAD").split()
    total = _walked(repository, commits, (job,), "pytrace-exec")
    assert total.taken > total.possible // 2
