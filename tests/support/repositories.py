# SPDX-License-Identifier: Apache-2.0
"""Git repositories made for a test, and `pytrace ci` run on them as a CI system would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.support.zygote import Zygote

SECONDS = 120
_AUTHOR = {
    "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org", "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.org", "GIT_CONFIG_NOSYSTEM": "1", "GIT_ALLOW_PROTOCOL": "file",
}  # fmt: skip
_MODULES = ("pytrace_exec.cli.ci_check", "pytrace_exec.cli.ci_run", "pytrace_exec.ci.job", "pytrace_exec.cache.local")


@attrs.frozen
class Ended:
    """How a command ended."""

    status: int
    stdout: str
    stderr: str

    @property
    def json(self) -> dict[str, Any]:
        """The object on the last line of standard output."""
        return dict(json.loads(self.stdout.splitlines()[-1]))

    @property
    def codes(self) -> list[str]:
        """Codes of all reasons in the answer."""
        found = self.json
        return [one["code"] for one in found["reasons"]] + [
            one["code"] for record in found["records"] for one in record["reasons"]
        ]

    @property
    def paths(self) -> list[str]:
        """Paths of the nearest record's reasons."""
        return [one["path"] for one in self.json["records"][0]["reasons"]]


@attrs.frozen
class Pytrace:
    """The command line, in an environment of its own; records are in `base/store`."""

    zygote: Zygote
    base: Path

    def environment(self, **variables: str) -> dict[str, str]:
        """All variables of a command."""
        return {
            "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin", "HOME": str(self.base / "home"),
            "TMPDIR": str(self.base / "tmp"), "LC_ALL": "C.UTF-8", "PYTRACE_DIR": str(self.base / "store"),
            "PYTHONDONTWRITEBYTECODE": "1", **_AUTHOR, **variables,
        }  # fmt: skip

    def __call__(self, *arguments: str, cwd: Path | None = None, stdin: str = os.devnull, **variables: str) -> Ended:
        """Run `pytrace`."""
        with open(stdin, "rb") as null:
            done = self.zygote.run(
                ["pytrace", *arguments], cwd=str(cwd or self.base), env=self.environment(**variables),
                stdin=null.fileno(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, umask=0o022, timeout=SECONDS,
            )  # fmt: skip
        return Ended(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))


@attrs.frozen
class Repository:
    """A work tree, and what is asked about it."""

    path: Path
    pytrace: Pytrace

    @classmethod
    def make(cls, path: Path, pytrace: Pytrace, **files: str) -> Repository:
        """Make a repository with one commit."""
        made = cls(path, pytrace)
        path.mkdir(parents=True)
        made.git("init", "-q", "-b", "main")
        made.commit("first", **files)
        return made

    def git(self, *arguments: str) -> str:
        """Run git here; return what it said."""
        done = subprocess.run(
            ["git", "-c", "protocol.file.allow=always", *arguments], cwd=self.path, env=self.pytrace.environment(),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"git {' '.join(arguments)}: {done.stderr}"
        return done.stdout.strip()

    def write(self, **files: str | None) -> None:
        """Write or (None) remove files; `__` in a name stands for `/`."""
        for name, text in files.items():
            path = self.path / name.replace("__", "/").replace("_DOT_", ".")
            if text is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def commit(self, message: str = "more", **files: str | None) -> str:
        """Commit everything, after writing some files; return the commit."""
        self.write(**files)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        time.sleep(0.02)  # until what was written is older than a clock granule
        return self.git("rev-parse", "HEAD")

    def run(self, *command: str, options: tuple[str, ...] = (), **variables: str) -> Ended:
        """`pytrace ci run --json` of the workflow `w`."""
        words = ("ci", "run", "--workflow", "w", "--json", *options, "--", *command)
        return self.pytrace(*words, cwd=self.path, stdin=os.devnull, **variables)

    def recorded(self, *command: str, options: tuple[str, ...] = (), **variables: str) -> Ended:
        """The same of a run that must be recorded."""
        ended = self.run(*command, options=options, **variables)
        assert ended.status == 0, ended.stderr
        assert ended.json["recorded"], ended.stderr
        return ended

    def check(self, revision: str = "HEAD", *options: str, repo: Path | None = None, **variables: str) -> Ended:
        """`pytrace ci check --json` of the workflow `w`."""
        place = str(repo or self.path)
        words = ("ci", "check", "--workflow", "w", "--repo", place, "--commit", revision, "--json", *options)
        return self.pytrace(*words, cwd=None, stdin=os.devnull, **variables)

    def clone(self, name: str, *options: str) -> Path:
        """Clone over git's own transport."""
        self.git("config", "uploadpack.allowFilter", "true")
        place = self.pytrace.base / name
        self.git("clone", "-q", *options, f"file://{self.path}", str(place))
        return place


def commands() -> Iterator[Zygote]:
    """A program that has imported `pytrace ci`."""
    zygote = Zygote([sys.executable], "/", "pytrace_exec.cli.start", _MODULES)
    try:
        yield zygote
    finally:
        zygote.close()


@pytest.fixture(scope="session")
def ci_zygote() -> Iterator[Zygote]:
    """The same for a whole session."""
    yield from commands()
