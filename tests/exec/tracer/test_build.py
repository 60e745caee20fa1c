# SPDX-License-Identifier: Apache-2.0
"""What a wheel of this project holds, with and without a C compiler."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import attrs
import pytest

from hatch_build import PROGRAM

ROOT = Path(__file__).parents[3]
PARTS = (
    "cas", "plugin", "proto", "rules", "README.md", "LICENSE", "MODULE.bazel", "WORKSPACE", "pyproject.toml",
    "hatch_build.py",
)  # fmt: skip


@attrs.frozen
class Built:
    """How a build ended; `wheel` is what it made, None if it failed."""

    said: str
    wheel: Path | None

    def names(self) -> set[str]:
        """The names in the wheel."""
        assert self.wheel is not None, self.said
        with zipfile.ZipFile(self.wheel) as archive:
            return set(archive.namelist())


def build(folder: Path, **variables: str) -> Built:
    """Build a wheel from a copy of the sources."""
    source = folder / "source"
    source.mkdir()
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, source / part, ignore=shutil.ignore_patterns("__pycache__", "pytrace-tracer"))
        else:
            shutil.copy(ROOT / part, source / part)
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist")],
        cwd=source, env={"PATH": os.environ["PATH"], "HOME": str(folder), **variables},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    wheels = list((folder / "dist").glob("*.whl")) if done.returncode == 0 else []
    return Built(done.stdout + done.stderr, wheels[0] if wheels else None)


TRACER = PROGRAM.removeprefix("plugin/")


@pytest.mark.compiler
def test_with_a_compiler_the_tracer_is_in_the_wheel(tmp_path: Path) -> None:
    built = build(tmp_path, PYTRACE_REQUIRE_NATIVE="1")
    assert TRACER in built.names()
    assert built.wheel is not None
    assert "-py3-none-linux_" in built.wheel.name
    with zipfile.ZipFile(built.wheel) as archive:
        assert archive.getinfo(TRACER).external_attr >> 16 & 0o111


@pytest.mark.parametrize("variables", [{"PYTRACE_PURE": "1"}, {"CC": "no-such-compiler"}], ids=["pure", "no compiler"])
def test_without_one_the_wheel_is_for_any_machine(tmp_path: Path, variables: dict[str, str]) -> None:
    built = build(tmp_path, **variables)
    assert TRACER not in built.names()
    assert built.wheel is not None
    assert built.wheel.name.endswith("-py3-none-any.whl")


@pytest.mark.parametrize("compiler", ["no-such-compiler", "false"])
def test_a_tracer_that_is_required_and_cannot_be_built_is_an_error(tmp_path: Path, compiler: str) -> None:
    built = build(tmp_path, PYTRACE_REQUIRE_NATIVE="1", CC=compiler)
    assert built.wheel is None
    assert "the native tracer was not built" in built.said
