# SPDX-License-Identifier: Apache-2.0
"""Two users with workspaces in different folders share results through a remote, and not through a store."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.exec.bazel.test_declared import PROGRAMS, Layout
from tests.support.other_users import User, installation
from tests.support.server import running_server

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs to be root, to be others"),
    pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not installed"),
]
USERS = (61001, 61002)


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A folder that every user reaches; pytest's own are root's."""
    with tempfile.TemporaryDirectory(prefix="pytrace-users-") as name:
        os.chmod(name, 0o755)
        yield Path(name)


def outcome(user: int, layout: Layout, url: str, *command: str) -> str:
    """Run as a user in a sandbox of a layout of his own."""
    root = layout.sandbox(user)
    log, store = layout.place / "log", layout.place / "store"
    subprocess.run(["chown", "-R", f"{user}:{user}", layout.place], check=True)
    apart = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--inh-caps=-all"]
    if subprocess.run([*apart, PROGRAMS / "pytrace-exec", "--help"], capture_output=True, check=False).returncode:
        pytest.skip("the installation cannot be reached by other users")
    words = ["--dir", str(store), "--remote", url, "--root", ".", "--portable", "--stats-log", str(log), "-o", "out"]
    words += ["--inputs-file", "list", "--", *command]
    environment = {"PATH": "/usr/bin:/bin", "TMPDIR": "/tmp"}
    subprocess.run(
        [*apart, PROGRAMS / "pytrace-exec", *words], cwd=root, env=environment, check=True, capture_output=True
    )
    line = json.loads(log.read_text().splitlines()[-1])
    return str(line["outcome"] if line["outcome"] != "not_stored" else line["reasons"])


def test_users_share_through_a_remote(tmp_path: Path, open_place: Path) -> None:
    command = ("sh", "-c", "sh pkg/real.sh pkg/a.txt > out")
    with running_server(tmp_path / "cas") as server:
        found = [outcome(user, Layout(open_place / str(user)), server.grpc_url, *command) for user in USERS]
    assert found == ["miss", "hit"]


@pytest.mark.parametrize("private", ["store", "folder above it"])
def test_whose_the_store_is_that_may_not_be_read(open_place: Path, private: str) -> None:
    first, second = (User.at_home(number, open_place) for number in USERS)
    programs = installation(open_place, first)
    store = first.home / "cache" / "store"
    assert first.run(programs / "pytrace-exec", "--dir", store, "--", "true") == 0
    (first.home / "cache").chmod(0o755 if private == "store" else 0o700)
    told = []
    for words, status in ((["pytrace-exec", "-v"], 0), (["pytrace", "status"], 12)):
        command: list[str | Path] = [
            programs / words[0],
            *words[1:],
            "--dir",
            store,
            *(["--", "true"] if status == 0 else []),
        ]
        done = subprocess.run(
            command, user=second.number, group=second.number, extra_groups=(), env=second.environment(),
            cwd=second.home, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == status, done.stderr
        told.append(done.stderr)
    assert all(f"belongs to another user (uid {first.number})" in text for text in told)
    assert all("pytrace-cas serve" in text for text in told)
