# SPDX-License-Identifier: Apache-2.0
"""A command whose orphans are waited for: it does the same, and none of them is left."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

# Its orphan ends; then it waits until nothing but a running or vanished process has that number.
ORPHANED = """
pid=$(sh -c 'sleep 0 >/dev/null & echo $!')
for turn in $(seq 500); do
    [ -e /proc/$pid ] || exit 5
    sleep 0.02
done
"""


def run(*command: str) -> int:
    """Its exit status under the module."""
    module = [sys.executable, "-m", "tests.support.reaping"]
    return subprocess.run([*module, *command], cwd=REPOSITORY, check=False, timeout=60).returncode


def test_orphans_are_waited_for() -> None:
    assert run("sh", "-c", ORPHANED) == 5


@pytest.mark.parametrize(("command", "status"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137)])
def test_the_end_is_passed_on(command: str, status: int) -> None:
    assert run("sh", "-c", command) == status
