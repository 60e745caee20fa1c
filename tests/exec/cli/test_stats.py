# SPDX-License-Identifier: Apache-2.0
"""`pytrace stats`, from the store's counters and from a log."""

from __future__ import annotations

import json

import pytest

from tests.exec.cli.project import Project

pytestmark = pytest.mark.strace


@pytest.fixture
def used(project: Project) -> Project:
    """A project with a miss, a hit and a run that was not stored."""
    for command in (("true",), ("true",), ("date",)):
        project.wrapped(*command)
    return project


def test_counters(used: Project) -> None:
    found = used.pytrace("stats", "--json").json
    assert found["runs"] == {"hit": 1, "miss": 1, "not_stored": 1, "bypass": 0, "error": 0}
    assert found["hit_rate"] == pytest.approx(1 / 3)
    assert found["reasons"] == {"clock": 1, "never_seen": 1}
    assert "counters" not in found
    assert used.pytrace("stats", "-v", "--json").json["counters"]["runs_hit"] == 1


def test_zero(used: Project) -> None:
    assert used.pytrace("stats", "--zero", "--json").json["runs"]["hit"] == 1
    again = used.pytrace("stats", "--json").json
    assert (sum(again["runs"].values()), again["hit_rate"], again["reasons"]) == (0, None, {})


def test_log(used: Project) -> None:
    with used.log.open("a") as log:
        log.write('{"outcome": "hi')  # cut short
    found = used.pytrace("stats", "--log", str(used.log), "--json").json
    assert (found["runs"]["hit"], found["runs"]["miss"], found["reasons"]) == (1, 1, {"clock": 1, "never_seen": 1})
    assert found["wall_ms"] >= found["overhead_ms"] > 0


def test_since(used: Project) -> None:
    old = {**used.last(), "time": used.last()["time"] - 7200}
    with used.log.open("a") as log:
        log.write(json.dumps(old) + "\n")
    path = str(used.log)
    assert sum(used.pytrace("stats", "--log", path, "--since", "1h", "--json").json["runs"].values()) == 3
    assert sum(used.pytrace("stats", "--log", path, "--since", "1d", "--json").json["runs"].values()) == 4


def test_text(used: Project) -> None:
    lines = used.pytrace("stats").stdout.decode().splitlines()
    assert lines[0] == "3 runs, 33.3% hits"
    assert ["clock", "1"] in [line.split() for line in lines]


def test_by_hour(used: Project) -> None:
    found = used.pytrace("stats", "--since", "1h", "--json").json
    assert sum(found["runs"].values()) == 3
    assert sum(hour["runs"]["hit"] for hour in found["hours"]) == 1
    assert sum(hour["reasons"].get("clock", 0) for hour in found["hours"]) == 1


def test_what_is_refused(project: Project) -> None:
    assert project.pytrace("stats").status == 10
    assert project.pytrace("stats", "--since", "1h").status == 10
    assert project.pytrace("stats", "--log", "nowhere").status == 20
    assert project.pytrace("stats", "--log", "WORKSPACE", "--since", "soon").status == 2
    assert not project.store.exists()


def test_the_remote_of_the_environment_is_that_of_runs(used: Project) -> None:
    assert used.pytrace("stats", "--json", PYTRACE_REMOTE="grpc://127.0.0.1:1").json["runs"]["hit"] == 1
    asked = used.pytrace("stats", "--remote", "grpc://127.0.0.1:1", "--json")
    assert asked.status == 2
