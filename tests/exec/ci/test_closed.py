# SPDX-License-Identifier: Apache-2.0
"""Streams that are closed or full: the job runs all the same, and the exit status says what it always says."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from tests.support.repositories import Repository

pytestmark = [pytest.mark.git, pytest.mark.native]

RUN = "pytrace ci run --workflow w -- sh -c 'cat src/a; echo ran >> ../ran; exit $CODE'"


def _shell(repository: Repository, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", script], cwd=repository.path, env=repository.pytrace.environment(**variables),
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("code", ["0", "7"])
@pytest.mark.parametrize(
    "closing", ["2>&-", "2>/dev/full", "2> >(true)", ">&-"], ids=["stderr", "full", "pipe", "stdout"]
)
def test_a_job_runs_whatever_becomes_of_what_is_said(repository: Repository, closing: str, code: str) -> None:
    done = _shell(repository, f"{RUN} {closing}", CODE=code)
    if closing != ">&-":  # a program whose output is closed may fail by itself
        assert done.returncode == int(code)
    assert "Traceback" not in done.stderr
    assert (repository.pytrace.base / "ran").read_text() == "ran\n"


def test_the_status_of_a_check_nobody_reads(repository: Repository) -> None:
    repository.recorded("cat", "src/a")
    check = "pytrace ci check --workflow w"
    for script in (f"{check} >&-", f"set -o pipefail; {check} | true", f"{check} 2>&-", f"{check} --json >&-"):
        done = _shell(repository, script)
        assert (done.returncode, done.stderr) == (0, ""), script
        done = _shell(repository, script.replace("--workflow w", "--workflow other"))
        assert (done.returncode, done.stderr) == (1, ""), script
    assert _shell(repository, f"{check} >/dev/full").returncode == 1
    done = _shell(repository, "set -o pipefail; pytrace ci ls | true")
    assert (done.returncode, done.stderr) == (0, "")
    done = _shell(repository, "pytrace ci ls >&-; pytrace ci explain --workflow w >&-")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_summary_that_cannot_be_written(repository: Repository) -> None:
    """It is said, and the answers agree: outputs, exit status and what is printed."""
    repository.recorded("cat", "src/a")
    output = repository.pytrace.base / "output"
    given: dict[str, Any] = {"GITHUB_OUTPUT": str(output), "GITHUB_STEP_SUMMARY": "/nowhere/summary"}
    done = _shell(repository, "pytrace ci check --workflow w", **given)
    assert (done.returncode, done.stdout.split()[0], output.read_text().split()[0]) == (0, "skip", "skip=true")
    assert "GITHUB_STEP_SUMMARY" in done.stderr
    ended = repository.run("cat", "src/a", options=(), **given)
    assert (ended.json["skip"], "GITHUB_STEP_SUMMARY" in ended.stderr) == (True, True)
    given = {"GITHUB_OUTPUT": "/nowhere/output"}
    done = _shell(repository, "pytrace ci check --workflow w", **given)
    assert (done.returncode, done.stdout.split()[0], "GITHUB_OUTPUT" in done.stdout) == (1, "run", True)
