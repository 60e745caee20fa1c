# SPDX-License-Identifier: Apache-2.0
"""What a command leaves running, and the keeper or the tracer that stays for it is killed."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import attrs
import pytest

from tests.exec.wrapper.kills.orphans import adopted, marked, wait_until_none
from tests.exec.wrapper.kills.victims import is_keeper, is_tracer, kill
from tests.exec.wrapper.place import SECONDS, Place
from tests.support.runner import Record, wrapper_command

LEFT = "until [ -e over ]; do sleep 0.1; done; echo late > late; echo late"
COMMAND = ("sh", "-c", f"({LEFT}) & echo done; echo done > made")
VICTIMS = {"keeper": is_keeper, "tracer": is_tracer}


@attrs.frozen
class Left:
    """A run whose command leaves a process running for longer than is waited for it."""

    root: Path
    tracer: str
    victim: str
    process: subprocess.Popen[bytes]

    @classmethod
    def begin(cls, place: Place, tracer: str, victim: str) -> Left:
        """Start it in a root of its own."""
        root = place.base / f"{tracer}-{victim}"
        root.mkdir()
        (root / "WORKSPACE").touch()
        ours = {"PYTRACE_KILLS": root.name, "PYTRACE_TRACER": tracer, "PYTRACE_STATS_LOG": f"{root}.jsonl"}
        process = subprocess.Popen(
            [*wrapper_command(), "--", *COMMAND], cwd=root, env=place.environment(ours), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        return cls(root, tracer, victim, process)

    @property
    def mark(self) -> str:
        """What all its processes have among their variables."""
        return f"PYTRACE_KILLS={self.root.name}"

    def kill(self) -> None:
        """Kill its victim when the wrapper has ended."""
        assert self.process.wait(SECONDS) == 0
        (victim,) = filter(VICTIMS[self.victim], marked(self.mark))
        assert kill(victim, signal.SIGKILL)

    def look(self) -> None:
        """Nobody is left, nothing is stored, and files are whole."""
        over = {"over": b""} if self.victim == "keeper" else {}
        for name in over:
            (self.root / name).touch()
        out, _ = self.process.communicate(timeout=SECONDS)
        wait_until_none(lambda: marked(self.mark))
        (line,) = Path(f"{self.root}.jsonl").read_text().splitlines()
        assert Record.parse(line).reasons == ("left_running",)
        assert out == b"done\n"
        files = {path.name: path.read_bytes() for path in self.root.iterdir()}
        late = {"late": b"late\n"} if self.victim == "keeper" else {}
        assert files == {"WORKSPACE": b"", "made": b"done\n", **over, **late}


@pytest.mark.native
@pytest.mark.strace
def test_the_keeper_or_the_tracer_of_what_was_left_is_killed(place: Place) -> None:
    """Without its keeper it ends as if nobody read its output; without its tracer it ends at once."""
    with adopted():
        runs = [Left.begin(place, tracer, victim) for tracer in ("native", "strace") for victim in VICTIMS]
        for run in runs:
            run.kill()
        for run in runs:
            run.look()
    assert list((place.store / "tmp").iterdir()) == []
