# SPDX-License-Identifier: Apache-2.0
"""Format and lint of all Starlark, by buildifier; every rule and attribute is documented."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from pytrace_exec.bazel.rules_folder import rules_folder
from tests.exec.tracer.test_build import build
from tests.support.tools import BUILDIFIER

REPOSITORY = Path(__file__).parents[2]
RULES = sorted((REPOSITORY / "rules").glob("*.bzl"))
ONE_RULE = {"traced_run.bzl", "traced_genrule.bzl", "traced_test.bzl", "audit.bzl", "toolchain.bzl"}


@pytest.mark.npm
def test_buildifier_has_nothing_to_say() -> None:
    program = BUILDIFIER.program("node_modules/@bazel/buildifier/buildifier-linux_amd64")
    places = [
        name for name in ("rules", "WORKSPACE", "MODULE.bazel", "WORKSPACE-examples") if (REPOSITORY / name).exists()
    ]
    checked = [str(program), "-mode=check", "-lint=warn", "-warnings=all", "-r", *places]
    done = subprocess.run(checked, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_every_attribute_is_documented(path: Path) -> None:
    text = path.read_text()
    attributes = re.findall(r"\battr\.\w+\((.*?)\n        \)|\battr\.\w+\((.*?)\n    \)", text, re.DOTALL)
    for inside in ("".join(found) for found in attributes):
        assert "doc = " in inside, inside
    assert text.startswith("# SPDX-License-Identifier: Apache-2.0\n")


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_nothing_is_loaded_from_elsewhere(path: Path) -> None:
    assert all(
        label.removeprefix("@pytrace").startswith("//rules:")
        for label in re.findall(r'^load\("([^"]+)"', path.read_text(), re.MULTILINE)
    )


def test_the_rules_are_found() -> None:
    assert rules_folder() == REPOSITORY
    pytrace = Path(sysconfig.get_path("scripts")) / "pytrace"
    done = subprocess.run([pytrace, "dir", "--rules"], capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()) == REPOSITORY


def test_a_wheel_carries_the_rules(tmp_path: Path) -> None:
    wheel = build(tmp_path, PYTRACE_PURE="1").wheel
    assert wheel is not None
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "unpacked")
    code = "from pytrace_exec.bazel.rules_folder import rules_folder; print(rules_folder())"
    asked = (sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(tmp_path / 'unpacked')!r}); {code}")
    found = Path(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip())
    assert found == tmp_path / "unpacked" / "pytrace_exec" / "bazel" / "workspace"
    assert {path.name for path in RULES} == {path.name for path in (found / "rules").glob("*.bzl")}
