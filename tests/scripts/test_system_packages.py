# SPDX-License-Identifier: Apache-2.0
"""What `scripts/system-packages` says on a machine without apt, where it can only tell."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "system-packages"
BASH = shutil.which("bash") or "/bin/bash"


def run(programs: Path, *argv: str, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    """Run it with no programs on PATH but those in a folder, and those it cannot do without."""
    for name in ("id", "sed"):
        programs.joinpath(name).symlink_to(str(shutil.which(name)))
    environ = {"PATH": str(programs), "PYTHON": python}
    return subprocess.run([BASH, SCRIPT, *argv], env=environ, capture_output=True, text=True, check=False)


def test_what_a_target_cannot_do_without_ends_it(tmp_path: Path) -> None:
    done = run(tmp_path, "demo")
    assert done.returncode == 1
    assert "missing: strace " in done.stderr


def test_what_only_some_tests_need_is_named(tmp_path: Path) -> None:
    done = run(tmp_path, "test")
    assert done.returncode == 0
    assert {"strace", "bazel-bootstrap", "ccache"} <= set(done.stderr.replace(".", " ").split())


def test_a_python_that_makes_no_environment_is_noticed(tmp_path: Path) -> None:
    done = run(tmp_path, "lint", python="false")
    assert done.returncode == 1
    assert "python3-venv" in done.stderr


def test_what_is_there_is_left_alone(tmp_path: Path) -> None:
    tmp_path.joinpath("strace").symlink_to(BASH)
    done = run(tmp_path, "demo")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("argv", [[], ["all"], ["demo", "test"]])
def test_unknown_targets_are_refused(tmp_path: Path, argv: list[str]) -> None:
    assert run(tmp_path, *argv).returncode == 2
