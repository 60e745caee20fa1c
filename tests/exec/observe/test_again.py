# SPDX-License-Identifier: Apache-2.0
"""A look that is recalled tells what it tells when it is understood anew."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytrace_cas.digest import SHA256
from pytrace_exec.observe.before import EarlierView
from pytrace_exec.observe.reader import read_events
from pytrace_exec.observe.run import Run, Setting, Standing
from pytrace_exec.observe.snapshot import Snapshot
from pytrace_exec.observe.view import LiveView
from pytrace_exec.tracer.events import Again, Call, written_out
from pytrace_exec.tracer.native import PROGRAM
from pytrace_exec.tracer.native_stream import StreamParser

if TYPE_CHECKING:
    from pytrace_exec.tracer.events import Event

LOOKING = Path(__file__).with_name("looking_program.py")

pytestmark = pytest.mark.native


def traced(seed: int, root: Path, log: Path) -> list[Event]:
    """Run the program by the native tracer; return what it told."""
    log.touch()
    command = [sys.executable, "-I", "-S", str(LOOKING), str(seed)]
    subprocess.run([PROGRAM, log, sys.executable, *command], cwd=root, check=True)
    for _ in range(500):
        parser = StreamParser()
        parser.feed(log.read_bytes())
        if parser.complete:
            return parser.events
        time.sleep(0.02)
    raise AssertionError("the stream has no end")


def told(run: Run) -> tuple[object, ...]:
    """All that a reading found."""
    numbers = {program: number for number, program in enumerate(run.processes.programs)}
    return (
        run.subjects.keys(),
        {
            path: {numbers[program] for program in lookers if program in numbers}
            for path, lookers in run.lookers.items()
        },
        [(program.looked, +program.folders, program.links) for program in numbers],
        run.reasons.keys(),
        [(target.subject, numbers[target.program]) for target in run.targets if target.program in numbers],
        run.world.crossed,
        run.world.climbed,
        {(folder.origin, name) for folder, name in run.world.changes.values()},
        run.relative_outside,
        run.listings,
    )


@pytest.mark.parametrize("seed", range(12))
def test_what_is_recalled_is_what_would_be_read(seed: int, tmp_path: Path) -> None:
    root = tmp_path / "root"
    for folder in ("d", "e/d"):
        (root / folder).mkdir(parents=True)
    for name in ("a", "d/a", "e/a", "e/d/a"):
        (root / name).write_text(name)
    (root / "l").symlink_to("d")
    (root / "m").symlink_to(tmp_path / "outside")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/b").write_text("b")
    place = os.fsencode(root)
    snapshot = Snapshot.take([place])
    started = time.time_ns()
    events = traced(seed, root, tmp_path / "log")
    every = list(written_out(events))
    pid = next(event.pid for event in events if isinstance(event, Call))
    none = {number: Standing("null", b"/dev/null") for number in range(3)}
    setting = Setting(pid, place, place, 0o022, os.geteuid(), os.getegid(), none, (), False, started)
    runs = []
    for recalled in (True, False):
        earlier = EarlierView(snapshot, LiveView(SHA256), {}, None, started)
        runs.append(read_events(events if recalled else every, setting, earlier))
    assert told(runs[0]) == told(runs[1])
    assert sum(isinstance(event, Call) for event in every) > 500
    assert sum(len(event.calls) for event in events if isinstance(event, Again)) > 500
