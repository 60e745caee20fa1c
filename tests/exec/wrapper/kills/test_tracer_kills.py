# SPDX-License-Identifier: Apache-2.0
"""`kill -9` of the tracer, of the traced command, and of the wrapper while the command runs."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytrace_exec.tracer.descendants import descendants
from tests.exec.tracer.driving import wait_for
from tests.exec.wrapper.kills.orphans import adopted, marked, tracer_of, wait_until_none
from tests.exec.wrapper.place import SECONDS, Place
from tests.support.runner import Record, wrapper_command

pytestmark = [pytest.mark.strace, pytest.mark.anew]

FILES = 60
COMMAND = ("sh", "-c", f"i=0; while [ $i -lt {FILES} ]; do cat in > out.$i; i=$((i+1)); done; echo end; echo end >&2")
CONTENT = b"line\n" * 10_000
MARK = "PYTRACE_KILLS=1"


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Whatever is killed, every other process of the run ends."""
    with adopted():
        yield


@pytest.fixture
def at_work(place: Place) -> Place:
    """A place with the command's input."""
    place.put("in", CONTENT.decode())
    return place


def begin(place: Place, stdout: int, stderr: int) -> subprocess.Popen[bytes]:
    """Start the command through the wrapper, and return when it is somewhere in its middle."""
    name, _, value = MARK.partition("=")
    run = subprocess.Popen(
        [*wrapper_command(), "--", *COMMAND], cwd=place.root, env=place.environment({name: value}),
        stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
    )  # fmt: skip
    first = place.root / f"out.{random.Random(run.pid).randrange(FILES // 2)}"
    wait_for(first.exists)
    return run


def traced(run: subprocess.Popen[bytes]) -> int:
    """The command's number."""
    return next(pid for pid in descendants(run.pid) if tracer_of(pid))


def is_as_a_killed_run_leaves_it(root: Path) -> None:
    """Files come one after the other; all but the last are whole."""
    made = sorted(root.glob("out.*"), key=lambda path: int(path.suffix[1:]))
    assert [path.name for path in made] == [f"out.{number}" for number in range(len(made))]
    assert all(path.read_bytes() == CONTENT for path in made[:-1])
    assert CONTENT.startswith(made[-1].read_bytes())
    assert {path.name for path in root.iterdir()} == {"WORKSPACE", "in", *(path.name for path in made)}


def was_not_stored(place: Place, lines: int) -> None:
    """The run's line says so, and the next run has to do the work."""
    assert [Record.parse(line).outcome for line in place.lines()] == ["not_stored"] * lines
    for path in place.root.glob("out.*"):
        path.unlink()
    assert place.run("--", *COMMAND).outcome == "miss"


@pytest.mark.parametrize("attempt", range(3))
def test_a_killed_command(at_work: Place, attempt: int) -> None:
    run = begin(at_work, subprocess.PIPE, subprocess.PIPE)
    os.kill(traced(run), signal.SIGKILL)
    assert run.communicate(timeout=SECONDS) == (b"", b"")
    assert run.returncode == -signal.SIGKILL
    wait_until_none(lambda: marked(MARK))
    is_as_a_killed_run_leaves_it(at_work.root)
    was_not_stored(at_work, 1)


@pytest.mark.parametrize("attempt", range(3))
def test_a_killed_tracer_takes_the_command_with_it(at_work: Place, attempt: int) -> None:
    """Without its tracer every traced call would fail, and the command would go on by that."""
    run = begin(at_work, subprocess.PIPE, subprocess.PIPE)
    os.kill(tracer_of(traced(run)), signal.SIGKILL)
    run.communicate(timeout=SECONDS)
    assert run.returncode != 0
    wait_until_none(lambda: marked(MARK))
    is_as_a_killed_run_leaves_it(at_work.root)
    was_not_stored(at_work, 1)


@pytest.mark.parametrize("kind", ["files", "one file", "null", "pipes"])
def test_a_killed_wrapper_leaves_the_command_to_itself(at_work: Place, kind: str) -> None:
    """It goes on to its end, or ends when it writes to a pipe that nobody reads; its files hold its bytes alone."""
    paths = [at_work.base / name for name in ("stdout", "stderr")]
    if kind == "one file":
        paths[1] = paths[0]
    with open(paths[0], "ab") as stdout, open(paths[1], "ab") as stderr:
        ends = {"null": (subprocess.DEVNULL,) * 2, "pipes": (subprocess.PIPE,) * 2}
        run = begin(at_work, *ends.get(kind, (stdout.fileno(), stderr.fileno())))
        run.kill()
        run.communicate(timeout=SECONDS)
    wait_until_none(lambda: marked(MARK))
    assert len(list(at_work.root.glob("out.*"))) == FILES
    is_as_a_killed_run_leaves_it(at_work.root)
    said = {"files": (b"end\n", b"end\n"), "one file": (b"end\nend\n",) * 2}
    assert tuple(path.read_bytes() for path in paths) == said.get(kind, (b"", b""))
    was_not_stored(at_work, 0)
