# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

Ran = tuple[Any, bytes, bytes]

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
STRACE = shutil.which("strace")


def traceable() -> str | None:
    """Say why nothing can be traced here, or None."""
    if STRACE is None:
        return "strace is not installed"
    probe = subprocess.run([STRACE, "-o", "/dev/null", "true"], capture_output=True, check=False)
    return probe.stderr.decode() if probe.returncode else None


REASON = traceable()


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something that must come has come."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


class Driver:
    """Starts `driver.py` and reads what it found."""

    root = ROOT

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0
        self.path = ""

    def start(
        self,
        *command: str,
        grace: float = 2.0,
        strace: str | None = STRACE,
        before: Sequence[str] = (),
        **options: Any,
    ) -> Any:
        """Start without waiting and return the `Popen`; `before` is a command that runs the driver."""
        self.count += 1
        self.path = str(self.folder / f"result-{self.count}")
        environment = {**os.environ, "PYTHONPATH": ROOT, **options.pop("env", {})}
        words = [
            *before,
            sys.executable,
            "-m",
            "tests.exec.tracer.driver",
            self.path,
            str(grace),
            str(strace),
            *command,
        ]
        return subprocess.Popen(words, env=environment, **options)

    def result(self) -> Any:
        """Return what the last run gave."""
        with open(self.path, "rb") as file:
            return pickle.load(file)

    def run(self, *command: str, input: bytes = b"", **options: Any) -> Ran:
        """Run to the end; returns the result, stdout, stderr."""
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        with self.start(*command, **options) as process:
            out, err = process.communicate(input if process.stdin else None, timeout=60)
        return self.result(), out, err


@pytest.fixture
def driver(tmp_path: Path) -> Driver:
    if REASON is not None:
        pytest.skip(f"cannot trace: {REASON}")
    return Driver(tmp_path)
