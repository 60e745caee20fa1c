# SPDX-License-Identifier: Apache-2.0
"""What a server takes of memory before anybody calls: each process's share (PSS), supervisor and workers apart."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench.endpoint import started
from bench.report import Table
from bench.workloads import installed

if TYPE_CHECKING:
    from collections.abc import Sequence

WORKERS = 2
ASKED_MB = 150


def measure(folder: Path) -> Table:
    """Start our server with two workers and both protocols, and look at it once it is ready."""
    addresses = ("--grpc-address", "127.0.0.1:0", "--http-address", "127.0.0.1:0", "--workers", str(WORKERS))
    command = (installed("pytrace-cas"), "serve", "--dir", str(folder / "idle"), *addresses)
    with started("pytrace-cas", command) as endpoint:
        (supervisor,) = endpoint.pids
        workers = children(supervisor)
        first, others = share_bytes([supervisor]), share_bytes(workers)
    cores = len(os.sched_getaffinity(0))
    row = (f"{first / 1e6:.0f} MB", f"{others / 1e6:.0f} MB", f"{(first + others) / 1e6:.0f} MB", f"{ASKED_MB} MB")
    title = (
        f"Idle memory of a supervisor and {len(workers)} workers (PSS; {cores} cores, Python {sys.version.split()[0]})"
    )
    return Table(title, ("supervisor", "workers", "together", "asked of it"), [row])


def children(pid: int) -> list[int]:
    """The processes that one has started (proc(5), `task/TID/children`)."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def share_bytes(pids: Sequence[int]) -> int:
    """Memory of processes, what several share divided among them (proc(5), `smaps_rollup`)."""
    found = 0
    for pid in pids:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        found += sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))
    return found
