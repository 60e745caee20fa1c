# SPDX-License-Identifier: Apache-2.0
"""`pytrace doctor`: each check by what it really finds."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from pytrace_cas.store import Store
from pytrace_exec.tracer import native
from tests.exec.cli.project import Project


def _levels(project: Project, **variables: str | None) -> tuple[int, dict[str, str]]:
    done = project.pytrace("doctor", "--json", **variables)
    return done.status, {check["name"]: check["status"] for check in done.json["checks"]}


@pytest.mark.strace
@pytest.mark.git
def test_a_machine_where_all_is_well(project: Project) -> None:
    status, levels = _levels(project)
    assert status == 0
    assert {name for name, level in levels.items() if level == "problem"} == set()
    assert levels["strace"] == levels["tracing"] == levels["store"] == levels["python"] == "ok"
    assert not project.store.exists()


def test_without_strace_and_git(project: Project) -> None:
    bare = project.base / "bin"
    bare.mkdir()
    (bare / "sh").symlink_to(shutil.which("sh") or "/bin/sh")
    status, levels = _levels(project, PATH=str(bare))
    without = (0, "warning", "warning") if native.is_built() else (1, "problem", "problem")
    assert (status, levels["strace"], levels["tracing"]) == without
    assert (levels["native"], levels["git"]) == ("ok" if native.is_built() else "warning", "warning")


def test_a_strace_that_may_not_trace(project: Project) -> None:
    refusing = project.base / "bin/strace"
    refusing.parent.mkdir()
    refusing.write_text("#!/bin/sh\n[ $1 = -V ] && echo 'strace -- version 6.1' && exit\necho refused >&2\nexit 1\n")
    refusing.chmod(0o755)
    done = project.pytrace("doctor", "--json", PATH=f"{refusing.parent}:/usr/bin:/bin")
    (tracing,) = [check for check in done.json["checks"] if check["name"] == "tracing"]
    assert (done.status, tracing["status"]) == (1, "problem")
    assert "refused" in tracing["message"]
    assert tracing["advice"]


@pytest.mark.parametrize("version", ["4.26", "5.2"])
def test_an_old_strace(project: Project, version: str) -> None:
    old = project.base / "bin/strace"
    old.parent.mkdir()
    old.write_text(f"#!/bin/sh\necho 'strace -- version {version}'\n")
    old.chmod(0o755)
    assert _levels(project, PATH=f"{old.parent}:/usr/bin:/bin")[1]["strace"] == "problem"


def test_stores(project: Project) -> None:
    assert _levels(project, PYTRACE_DIR=str(project.root / "WORKSPACE"))[1]["store"] == "problem"
    assert _levels(project, PYTRACE_DIR=None, HOME=None)[1]["store"] == "problem"
    assert _levels(project, PYTRACE_DIR=str(project.root))[1]["store"] == "problem"
    assert os.listdir(project.root) == ["WORKSPACE"]
    project.store.mkdir()
    assert _levels(project)[1]["store"] == "ok"
    assert os.listdir(project.store) == []
    Store.open(str(project.store)).close()
    assert _levels(project)[1]["store"] == "ok"
    (project.store / "index.sqlite").write_bytes(b"garbage" * 999)
    assert _levels(project)[1]["store"] == "problem"


def test_the_digest_function(project: Project) -> None:
    def told(*options: str) -> str:
        checks = project.pytrace("doctor", "--json", *options).json["checks"]
        (message,) = [check["message"] for check in checks if check["name"] == "digests"]
        return str(message)

    assert (told(), told("--digest-function", "sha256")) == ("blake3", "sha256")
    away = ("--remote", f"unix:{project.base}/nobody")
    assert told(*away) not in ("blake3", "sha256")  # the remote decides
    assert told(*away, "--digest-function", "blake3") == "blake3"


def test_text(project: Project) -> None:
    lines = project.pytrace("doctor", "--color", "never").stdout.decode().splitlines()
    (python,) = [line for line in lines if line.split()[1] == "python"]
    assert python.split()[:3] == ["ok", "python", sys.executable]
    assert Path(python.split()[2]).exists()
