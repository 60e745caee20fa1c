# SPDX-License-Identifier: Apache-2.0
"""What a check imports: modules that take time, and those that only Linux has, are not among them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.repositories import Repository

pytestmark = [pytest.mark.git, pytest.mark.native]

# What only Linux and its like have, or is needed for running a command.
OF_LINUX = {
    "ctypes", "fcntl", "pty", "pytrace_exec.ci.job", "pytrace_exec.ci.observed", "pytrace_exec.miss",
    "pytrace_exec.replay", "pytrace_exec.session", "pytrace_exec.standard_streams", "pytrace_exec.streams",
    "pytrace_exec.tracer", "resource", "termios",
}  # fmt: skip
TOO_DEAR = {
    "argparse", "asyncio", "attr", "attrs", "cffi", "click", "collections.abc", "contextlib", "dataclasses", "datetime",
    "grpc", "hashlib", "inspect", "logging", "pathlib", "platform", "pygit2", "pytrace_cas.cli",
    "pytrace_exec.cli.main", "pytrace_exec.explain", "pytrace_exec.invocation", "pytrace_exec.observe",
    "pytrace_exec.option_files",
    "pytrace_proto", "shutil", "signal", "socket", "sqlite3", "ssl", "subprocess", "tempfile", "threading", "tomllib",
    "typing", "urllib",
}  # fmt: skip

GUARDED = """
import os, sys
REFUSED = set(sys.argv.pop(1).split(","))
class Guard:
    def find_spec(self, name, path=None, target=None):
        if REFUSED & {name, name.partition(".")[0]}:
            raise ModuleNotFoundError(f"no module named {name}", name=name)
for name in REFUSED:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Guard())
ending = os._exit
def end(status):
    os.write(2, "\\n".join(sys.modules).encode())
    ending(status)
os._exit = end
from pytrace_exec.cli import main
main()
"""


def _check(repository: Repository, refused: set[str], *more: str, **variables: str) -> subprocess.CompletedProcess[str]:
    words = ("ci", "check", "--workflow", "w", "--repo", str(repository.path), *more)
    return subprocess.run(
        [sys.executable, "-I", "-c", GUARDED, ",".join(refused), *words],
        env=repository.pytrace.environment(**variables), capture_output=True, text=True, check=False,
        cwd=repository.pytrace.base,
    )  # fmt: skip


def test_a_check_imports_only_what_it_needs(repository: Repository) -> None:
    repository.recorded("cat", "src/a", options=("--fingerprint", "same"))
    for text, status in (("A\n", 0), ("B\n", 1)):
        done = _check(repository, {"nothing"}, "--fingerprint", "same")
        assert done.returncode == status, done.stderr
        modules = set(done.stderr.split())
        assert "pytrace_exec.ci.decision" in modules
        assert sorted((OF_LINUX | TOO_DEAR) & modules) == []
        repository.commit(src__a=text)


@pytest.mark.parametrize("path", [None, "/nowhere"], ids=["git", "pygit2"])
def test_a_check_where_linux_is_not(repository: Repository, path: str | None) -> None:
    """Where a module is that only Linux has there is none, and the answer is the same."""
    repository.recorded("cat", "src/a")
    variables = {} if path is None else {"PATH": path}
    done = _check(repository, OF_LINUX, **variables)
    assert (done.returncode, done.stdout.split()[0]) == (0, "skip"), done.stdout + done.stderr
    assert _check(repository, OF_LINUX, "--help").returncode == 0
