# SPDX-License-Identifier: Apache-2.0
"""What `scripts/check-sources` finds in a small repository of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "check-sources"
LICENSED = "# SPDX-License-Identifier: Apache-2.0\n"

pytestmark = pytest.mark.git


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository that holds the script alone."""
    folder = tmp_path / "checkout"
    (folder / "scripts").mkdir(parents=True)
    shutil.copy(SCRIPT, folder / "scripts")
    subprocess.run(["git", "init", "--quiet", folder], check=True)
    return folder


def check(checkout: Path) -> tuple[int, list[str]]:
    """Run the script; return its status and the files that it complains about."""
    command = [sys.executable, str(checkout / "scripts" / "check-sources")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, [line.partition(":")[0] for line in done.stderr.splitlines()]


def test_sound_sources_pass(checkout: Path) -> None:
    (checkout / "a.py").write_text(LICENSED)
    (checkout / "tool").write_text(f"#!/bin/sh\n{LICENSED}")
    (checkout / "notes.md").write_text("text\n")
    assert check(checkout) == (0, [])


@pytest.mark.parametrize("name", ["a.py", "a.proto", "defs.bzl", "Makefile"])
def test_a_source_without_its_header_is_found(checkout: Path, name: str) -> None:
    (checkout / name).write_text("\n\n\n" + LICENSED)
    assert check(checkout) == (1, [name])


def test_a_script_is_known_by_its_first_line(checkout: Path) -> None:
    (checkout / "tool").write_text("#!/bin/sh\n")
    assert check(checkout) == (1, ["tool"])


def test_places_of_this_machine_are_found_in_any_file(checkout: Path) -> None:
    (checkout / "home.md").write_text(f"see {os.environ['HOME']}/notes\n")
    (checkout / "here.txt").write_text(f"{checkout}\n")
    (checkout / "longer.txt").write_text(f"x{os.environ['HOME']} {checkout}er\n")
    assert check(checkout) == (1, ["here.txt", "home.md"])


def test_what_git_ignores_is_not_looked_at(checkout: Path) -> None:
    (checkout / ".gitignore").write_text("*.py\n")
    (checkout / "a.py").write_text("x = 1\n")
    assert check(checkout) == (0, [])
