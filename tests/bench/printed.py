# SPDX-License-Identifier: Apache-2.0
"""Running the benchmark, and reading the tables that it prints."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CALLS = (
    "GetActionResult, hit",
    "GetActionResult, miss",
    "FindMissingBlobs of 100",
    "BatchReadBlobs of 64",
    "BatchUpdateBlobs of 64",
    "ByteStream read",
    "ByteStream write",
    "ByteStream read, zstd",
    "ByteStream write, zstd",
)


def bench(*arguments: str) -> list[str]:
    """Run the benchmark; return its lines."""
    command = [sys.executable, "-m", "bench", *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()


def rows(lines: list[str], title: str) -> list[list[str]]:
    """The cells of a table, its head first."""
    start = next(number for number, line in enumerate(lines) if line.startswith(title))
    end = lines.index("", start)
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines[start + 1 : end]]
