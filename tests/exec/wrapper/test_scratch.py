# SPDX-License-Identifier: Apache-2.0
"""Scratch places: what lies there counts for nobody but their tools, and never where the user declared an output."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.exec.wrapper.place import Place
from tests.support.runner import interpreter
from tests.support.tracers import TRACERS

pytestmark = [pytest.mark.strace]

PYTEST = """
import os, sys
place = sys.argv[1] + "/pytest-of-me"
os.makedirs(place, exist_ok=True)
open(place + "/log", "a").write("x")
print(open("in").read(), os.path.getsize(place + "/log") > 0)
"""


def scratch_with(place: Place, script: str) -> Path:
    """Put the script under that name, its input, and an empty folder for what it leaves."""
    scratch = place.base / "scratch"
    scratch.mkdir()
    place.put(script, PYTEST)
    place.put("in", "one")
    return scratch


@pytest.mark.parametrize("tracer", TRACERS)
def test_a_tool_s_place_is_no_input_and_no_output(place: Place, tracer: str) -> None:
    scratch = scratch_with(place, "pytest")
    command = ("--tracer", tracer, "--", interpreter(), "pytest", str(scratch))
    variables = {"TMPDIR": str(scratch)}
    assert place.run(*command, variables=variables).outcome == "miss"
    (scratch / "pytest-of-me" / "log").write_text("changed")
    assert place.run(*command, variables=variables).outcome == "hit"
    place.put("in", "two")
    assert place.run(*command, variables=variables).outcome == "miss"
    assert place.run("--strict", *command, variables=variables).outcome == "not_stored"


@pytest.mark.parametrize("tracer", TRACERS)
def test_the_same_script_under_another_name_has_outputs_there(place: Place, tracer: str) -> None:
    scratch = scratch_with(place, "other")
    ended = place.run(
        "--tracer", tracer, "--", interpreter(), "other", str(scratch), variables={"TMPDIR": str(scratch)}
    )
    assert "wrote_outside" in ended.reasons


@pytest.mark.parametrize("tracer", TRACERS)
@pytest.mark.parametrize("folder", [".npm/_logs", ".cache/go-build/00", ".cargo", ".cache/pip", ".cache/fontconfig"])
def test_what_a_script_writes_there_is_its_output(place: Place, tracer: str, folder: str) -> None:
    for made in (True, False):  # by the run itself, or before it
        command = f"mkdir -p ~/{folder} && echo hi > ~/{folder}/.package-cache-d"
        ended = place.run("--tracer", tracer, "--", "sh", "-c", command)
        assert "wrote_outside" in ended.reasons, made


@pytest.mark.parametrize("tracer", TRACERS)
def test_a_folder_that_a_script_makes_on_the_way_is_its_output(place: Place, tracer: str) -> None:
    assert (
        "wrote_outside"
        in place.run("--tracer", tracer, "--", "mkdir", "-p", str(place.base / "home" / ".cache")).reasons
    )


@pytest.mark.parametrize("tracer", TRACERS)
def test_a_declared_output_counts_wherever_it_lies(place: Place, tracer: str) -> None:
    scratch = scratch_with(place, "pytest")
    (scratch / "pytest-of-me").mkdir()
    command = ("--tracer", tracer, "-o", str(scratch / "pytest-of-me"), "--", interpreter(), "pytest", str(scratch))
    variables = {"TMPDIR": str(scratch)}
    log = scratch / "pytest-of-me" / "log"
    assert place.run(*command, variables=variables).outcome == "miss"
    log.unlink()
    assert place.run(*command, variables=variables).outcome == "hit"
    assert log.read_text() == "x"
