# SPDX-License-Identifier: Apache-2.0
"""Tables of figures as plain text."""

from __future__ import annotations

import os
import platform
import subprocess
from typing import TYPE_CHECKING

import attrs

from pytrace_exec.tracer import native

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.timing import Spread

ABSENT = "-"


@attrs.frozen
class Table:
    """Rows of figures under a title; the first column names what was measured."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]

    def __str__(self) -> str:
        """Lay it out in columns two spaces apart."""
        lines = [self.columns, *self.rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.columns))]
        laid = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
        ]
        return "\n".join([self.title, *laid])


def spread(value: Spread | None, digits: int = 2) -> str:
    """A median, and its quartiles in brackets; `-` for what was not measured."""
    if value is None:
        return ABSENT
    return f"{value.median:.{digits}f} [{value.low:.{digits}f}-{value.high:.{digits}f}]"


def seconds(value: float) -> str:
    """A duration in a unit that suits it."""
    return f"{value:.2f} s" if value >= 1 else f"{value * 1000:.1f} ms"


def machine(folder: Path) -> str:
    """Say what the figures were taken on, in one line; `folder` is where the stores are."""
    cores = len(os.sched_getaffinity(0))
    load = os.getloadavg()[0]
    ours = "the native tracer" if native.is_built() else "no native tracer"
    return (
        f"{cores} cores (load {load:.1f} before), Linux {platform.release()}, Python {platform.python_version()}, "
        f"{ours}, {_strace_version()}, stores on {_file_system(folder)}"
    )


def _strace_version() -> str:
    try:
        said = subprocess.run(["strace", "-V"], capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return "no strace"
    return " ".join(said.split("\n")[0].replace("-- version", "").split())


def _file_system(folder: Path) -> str:
    """Name the type of the file system that a folder is on (proc(5), `mountinfo`)."""
    device = os.stat(folder).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:
        for mount in mounts:
            before, _, after = mount.partition(" - ")
            if before.split()[2] == wanted:
                return after.split()[0]
    return "an unknown file system"
