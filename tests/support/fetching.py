# SPDX-License-Identifier: Apache-2.0
"""What tests fetch from PyPI: in a bounded time, with the caller's settings for registries."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from tests.support import caller

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# A connection that is stalled is given up and made again: with the caller's setting it might be for minutes.
PATIENT = ("--timeout", "15", "--retries", "4", "--disable-pip-version-check", "--quiet")
SECONDS = 150  # for one command that fetches: less than a test may take


class NotFetched(Exception):
    """A registry gave nothing; the message is the fetching program's."""


def fetch(command: Sequence[str | Path], folder: Path) -> None:
    """Run a command that fetches, in a folder. Raises `NotFetched`."""
    try:
        done = subprocess.run(
            command, cwd=folder, env=caller.ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, check=False, timeout=SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired as expired:
        raise NotFetched(f"{command[0]} was not done within {SECONDS} s") from expired
    if done.returncode:
        raise NotFetched(done.stderr.strip() or f"{command[0]} ended with status {done.returncode}")


def download(requirement: str, folder: Path, *options: str) -> None:
    """Let pip download one distribution into a folder. Raises `NotFetched`."""
    pip = (sys.executable, "-m", "pip", "download", "--no-deps", *PATIENT)
    fetch((*pip, *options, "--dest", str(folder), requirement), folder)
