# SPDX-License-Identifier: Apache-2.0
"""A root with a store beside it, and the wrapper run there as a user runs it."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from pytrace_cas.store import Store
from tests.support import forks
from tests.support.runner import Record, Start, wrapper_command

SECONDS = 60
UMASK = 0o022


@attrs.frozen
class Ended:
    """How a wrapped command ended; `record` is its line in the statistics, None if it has none."""

    status: int
    stdout: bytes
    stderr: bytes
    record: Record | None

    @property
    def outcome(self) -> str:
        """What became of it."""
        assert self.record is not None, self.stderr
        return self.record.outcome

    @property
    def reasons(self) -> tuple[str, ...]:
        """Codes of the reasons given."""
        assert self.record is not None, self.stderr
        return self.record.reasons


@attrs.frozen
class Place:
    """A root, a home directory and a store; `start` starts the wrapper."""

    base: Path
    start: Start = forks.start

    @property
    def root(self) -> Path:
        """Where commands run."""
        return self.base / "root"

    @property
    def store(self) -> Path:
        """The store."""
        return self.base / "store"

    @property
    def log(self) -> Path:
        """The statistics."""
        return self.base / "stats.jsonl"

    def put(self, name: str, content: str) -> Path:
        """Write a file below the root, old enough to count as there before the next run."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        time.sleep(0.02)
        return path

    def environment(self, extra: Mapping[str, str | None] | None = None) -> dict[str, str]:
        """A bare environment with some variables more, or less."""
        values: dict[str, str | None] = {
            "HOME": str(self.base / "home"),
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "PYTRACE_DIR": str(self.store),
            "PYTRACE_STATS_LOG": str(self.log),
            **(extra or {}),
        }
        return {name: value for name, value in values.items() if value is not None}

    def run(self, *words: str, variables: Mapping[str, str | None] | None = None, cwd: str = ".", **how: Any) -> Ended:
        """Run `pytrace-exec` with these words and wait for it."""
        before = len(self.lines())
        how = {"stdin": subprocess.DEVNULL, "umask": UMASK, "timeout": SECONDS, "cwd": self.root / cwd, **how}
        if "input" in how:
            del how["stdin"]
        done = self.start(
            [*wrapper_command(), *words], env=self.environment(variables), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, check=False, **how,
        )  # fmt: skip
        new = self.lines()[before:]
        return Ended(done.returncode, done.stdout, done.stderr, Record.parse(new[-1]) if new else None)

    def lines(self) -> list[str]:
        """The statistics so far."""
        return self.log.read_text().splitlines() if self.log.exists() else []

    def counters(self) -> dict[str, int]:
        """What the store has counted."""
        with Store.open(os.fsencode(self.store)) as store:
            return store.counters()
