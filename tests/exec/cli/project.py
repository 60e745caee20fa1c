# SPDX-License-Identifier: Apache-2.0
"""A folder with a project, a home directory and a store, in which the command lines are run as a user runs them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import attrs

_PYTRACE = (sys.executable, "-c", "from pytrace_exec.cli import main; main()")
_WRAPPER = (sys.executable, "-c", "from pytrace_exec.wrapper import main; main()")


@attrs.frozen
class Ended:
    """How a command ended."""

    status: int
    stdout: bytes
    stderr: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The object on the last line of standard output."""
        return dict(json.loads(self.stdout.splitlines()[-1]))


@attrs.frozen
class Project:
    """`root` is the project, with a marker that makes it one; the store lies beside it."""

    base: Path

    @classmethod
    def make(cls, base: Path) -> Project:
        """Make the folders."""
        for name in ("root", "home", "tmp"):
            (base / name).mkdir()
        (base / "root/WORKSPACE").touch()
        return cls(base)

    @property
    def root(self) -> Path:
        """The project's folder."""
        return self.base / "root"

    @property
    def store(self) -> Path:
        """The store's folder."""
        return self.base / "store"

    @property
    def log(self) -> Path:
        """The statistics log of every wrapped run."""
        return self.base / "stats.jsonl"

    def write(self, **files: str) -> None:
        """Write files into the project; `__` in a name stands for `/`, `_` for a dot before its ending."""
        for name, text in files.items():
            path = self.root / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        settle()

    def pytrace(self, *arguments: str | bytes, cwd: str | None = None, **variables: str | None) -> Ended:
        """Run `pytrace`."""
        return self._run((*_PYTRACE, *arguments), cwd or "root", variables)

    def wrapped(
        self, *command: str | bytes, cwd: str = "root", options: tuple[str, ...] = (), **variables: str
    ) -> Ended:
        """Run a command through `pytrace-exec --explain`."""
        return self._run(
            (*_WRAPPER, "--explain", "--stats-log", str(self.log), *options, "--", *command), cwd, variables
        )

    def last(self) -> dict[str, Any]:
        """The last line of the statistics log."""
        return dict(json.loads(self.log.read_text().splitlines()[-1]))

    def environment(self, folder: str = "root") -> dict[str, str]:
        """All variables of a command that is run in a folder."""
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.base / "home"),
            "TMPDIR": str(self.base / "tmp"),
            "LC_ALL": "C.UTF-8",
            "PWD": str(self.base / folder),
            "PYTRACE_DIR": str(self.store),
        }

    def _run(self, argv: tuple[str | bytes, ...], folder: str, variables: dict[str, Any]) -> Ended:
        values = {**self.environment(folder), **variables}
        environment = {name: value for name, value in values.items() if value is not None}
        done = subprocess.run(
            argv, cwd=self.base / folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        return Ended(done.returncode, done.stdout, done.stderr)


def settle() -> None:
    """Wait until what was written is older than a clock granule, as it is for a user who types."""
    time.sleep(0.02)


def codes(found: dict[str, Any]) -> list[str]:
    """Codes of the reasons in an answer or a line of statistics."""
    return [reason["code"] for reason in found["reasons"]]


def by_kind(items: list[dict[str, Any]], kind: str, field: str = "path") -> dict[str, dict[str, Any]]:
    """Observations or outputs of one kind, by path."""
    return {item[field]: item for item in items if item["kind"] == kind}
