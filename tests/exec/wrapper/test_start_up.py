# SPDX-License-Identifier: Apache-2.0
"""What a hit imports: every module costs a part of the time that the hit is to save."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.exec.wrapper.place import Place
from tests.support.runner import wrapper_command

pytestmark = [pytest.mark.strace]

TOO_DEAR = {
    "argparse", "asyncio", "attr", "attrs", "click", "collections.abc", "contextlib", "dataclasses", "datetime",
    "enum", "google", "grpc", "hashlib", "inspect", "json", "logging", "pathlib", "pytrace_cas.explained",
    "pytrace_exec.explain", "pytrace_exec.miss", "pytrace_exec.observe.run", "pytrace_exec.option_files",
    "pytrace_exec.option_help",
    "pytrace_exec.streams.outlet", "pytrace_exec.tracer", "pytrace_exec.verifying", "pytrace_proto", "re", "select",
    "shutil", "signal", "socket", "sqlite3", "ssl", "subprocess", "tempfile", "threading", "tomllib", "typing",
    "urllib",
}  # fmt: skip

DUMPING = """
import os, sys
before = set(sys.modules)
ending = os._exit
def end(status):
    os.write(2, " ".join(set(sys.modules) - before).encode())
    ending(status)
os._exit = end
sys.argv[0] = "pytrace-exec"
from pytrace_exec.wrapper import main
main()
"""


def modules_of(place: Place, *words: str) -> set[str]:
    """Run the wrapper in an interpreter that says in the end what it has imported."""
    python = Path(wrapper_command()[0]).with_name("python")
    done = subprocess.run(
        [python, "-I", "-c", DUMPING, *words], cwd=place.root, env=place.environment({"PYTRACE_STATS_LOG": None}),
        stdin=subprocess.DEVNULL, capture_output=True, check=True,
    )  # fmt: skip
    return set(done.stderr.decode().split())


def test_a_hit_imports_only_what_it_needs(place: Place) -> None:
    place.put("in", "one\n")
    command = ("--", "sh", "-c", "cat in > out; echo said")
    assert place.run(*command).outcome == "miss"
    (place.root / "out").unlink()
    modules = modules_of(place, *command)
    assert "pytrace_exec.hit" in modules
    assert not TOO_DEAR & modules
    assert len(modules) < 110


def test_statistics_cost_one_import_more(place: Place) -> None:
    place.put("in", "one\n")
    assert place.run("--", "cat", "in").outcome == "miss"
    modules = modules_of(place, "--stats-log", str(place.log), "--", "cat", "in")
    assert "pytrace_exec.hit" in modules
    assert "json" in modules
    assert not {"subprocess", "typing", "pathlib", "attr", "logging"} & modules
