# SPDX-License-Identifier: Apache-2.0
"""A Bazel workspace with our rules: its WORKSPACE, the options that Bazel needs, and how its traced actions went."""

from __future__ import annotations

import json
import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs

from pytrace_exec.bazel.rules_folder import rules_folder
from tests.support.bazel import Bazel, running_bazel
from tests.support.runner import wrapper_command

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.support.bazel import Build

_WORKSPACE = """\
workspace(name = "{name}")

local_repository(
    name = "pytrace",
    path = "{rules}",
)

load("@pytrace//rules:repositories.bzl", "pytrace_repositories")

pytrace_repositories({attributes})
"""


@attrs.frozen
class TracedBuild:
    """How a build ended, and the outcome of each traced action that was asked, by target."""

    build: Build
    lines: tuple[dict[str, Any], ...]

    @property
    def outcomes(self) -> dict[str, str]:
        """Outcome by target, `//pkg:name`."""
        return {line["labels"]["target"]: line["outcome"] for line in self.lines}

    def count(self, outcome: str) -> int:
        """How many actions had that outcome."""
        return sum(line["outcome"] == outcome for line in self.lines)


@attrs.frozen
class TracedWorkspace:
    """A workspace over a store; `place` is what the sandbox may write: the store and the log of outcomes."""

    folder: Path
    place: Path

    @property
    def store(self) -> Path:
        """The store."""
        return self.place / "store"

    @property
    def log(self) -> Path:
        """Where each traced action writes how it went."""
        return self.place / "log"

    def write(self, files: Mapping[str, str], name: str = "traced", **attributes: object) -> None:
        """Write a workspace of these files; `attributes` of `pytrace_repositories` besides its own."""
        self.place.mkdir(exist_ok=True)
        given = {
            "pytrace_exec": wrapper_command()[0],
            "store": str(self.store),
            "options": ["--stats-log", str(self.log)],
            **attributes,
        }
        lines = ", ".join(
            f"{key} = {json.dumps(value) if not isinstance(value, bool) else value}" for key, value in given.items()
        )
        self.put("WORKSPACE", _WORKSPACE.format(name=name, rules=rules_folder(), attributes=lines))
        for path, text in files.items():
            self.put(path, text)

    def put(self, path: str, text: str) -> None:
        """Write one file."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        if text.startswith("#!"):
            file.chmod(0o755)

    def read(self, path: str) -> str:
        """What was built."""
        return (self.folder / "bazel-bin" / path).read_text()

    def status_command(self) -> str:
        """What Bazel runs before a build."""
        return f"{wrapper_command()[0].removesuffix('-exec')} bazel-status -v --dir {self.store}"

    def build(self, bazel: Bazel, *arguments: str, command: str = "build", status: bool = True) -> TracedBuild:
        """Build; `status`: with the status command."""
        before = len(self._lines())
        options = [f"--sandbox_writable_path={self.place}"]
        options += [f"--workspace_status_command={self.status_command()}"] if status else []
        build = bazel.build(*options, *arguments, command=command)
        return TracedBuild(build, tuple(json.loads(line) for line in self._lines()[before:]))

    def _lines(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@contextmanager
def bazel_root(root: Path) -> Iterator[Path]:
    """Hold what Bazel unpacks of itself, and remove it in the end."""
    root.mkdir(exist_ok=True)
    try:
        yield root
    finally:
        subprocess.run(["chmod", "-R", "u+w", root], check=True)
        shutil.rmtree(root)


__all__ = ["TracedBuild", "TracedWorkspace", "bazel_root", "running_bazel"]
