# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
STRACE = shutil.which("strace")


def traceable() -> str | None:
    """Say why nothing can be traced here, or None."""
    if STRACE is None:
        return "strace is not installed"
    probe = subprocess.run([STRACE, "-o", "/dev/null", "true"], capture_output=True, check=False)
    return probe.stderr.decode() if probe.returncode else None


REASON = traceable()


class Driver:
    """Starts `driver.py` and reads what it found."""

    root = ROOT

    def __init__(self, folder):
        self.folder = folder
        self.count = 0
        self.path = ""

    def start(self, *command, grace=2.0, strace=STRACE, before=(), **options):
        """Start without waiting; `before` is a command that runs the driver."""
        self.count += 1
        self.path = str(self.folder / f"result-{self.count}")
        environment = {**os.environ, "PYTHONPATH": ROOT, **options.pop("env", {})}
        words = [*before, sys.executable, "-m", "tests.exec.tracer.driver", self.path, str(grace), strace, *command]
        return subprocess.Popen(words, env=environment, **options)

    def result(self):
        """Return what the last run gave."""
        with open(self.path, "rb") as file:
            return pickle.load(file)

    def run(self, *command, input=b"", **options):
        """Run to the end; returns the result, stdout, stderr."""
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        with self.start(*command, **options) as process:
            out, err = process.communicate(input if process.stdin else None, timeout=60)
        return self.result(), out, err


@pytest.fixture
def driver(tmp_path):
    if REASON is not None:
        pytest.skip(f"cannot trace: {REASON}")
    return Driver(tmp_path)
