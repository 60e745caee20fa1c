# SPDX-License-Identifier: Apache-2.0
"""`pytrace bazel-audit` by itself: one action, reports put together in three forms, bad input."""

from __future__ import annotations

import json
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest

PYTRACE = Path(sysconfig.get_path("scripts")) / "pytrace"


def ask(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PYTRACE, "bazel-audit", *words], cwd=cwd, capture_output=True, text=True, check=False)


def action(command: str, **more: object) -> dict[str, Any]:
    """A described action that reads `in.txt`."""
    told = {"target": "//pkg:it", "mnemonic": "Genrule", "argv": ["/bin/bash", "-c", command], "env": {}, "folders": []}
    return {**told, "inputs": ["in.txt"], "outputs": ["made/out.txt"], "sources": ["in.txt"], "host_paths": [], **more}


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("sort in.txt > made/out.txt", set()),
        ("cat in.txt OUTSIDE > made/out.txt", {"undeclared_file"}),
        ("echo ${SITE:-none} > made/out.txt; cat in.txt", {"environment"}),
        ("SITE=1; echo ${SITE:-none} > made/out.txt; cat in.txt", set()),
        ("echo > made/out.txt", {"unused_input"}),
        ("od -N 9 /dev/urandom > made/out.txt; cat in.txt", {"not_reproducible"}),
        ("cat in.txt absent.h > made/out.txt", {"failed"}),
    ],
)
def test_one_action(tmp_path: Path, command: str, expected: set[str]) -> None:
    root = tmp_path / "execroot"
    root.mkdir()
    (root / "in.txt").write_text("in\n")
    (tmp_path / "outside").write_text("outside\n")
    described = action(command.replace("OUTSIDE", str(tmp_path / "outside")))
    (root / "action").write_text(json.dumps(described))
    done = ask("--action", "action", "--output", "report", cwd=root)
    assert done.returncode == 0, done.stderr
    report = json.loads((root / "report").read_text())
    assert {one["kind"] for one in report["findings"]} == expected
    text = ask("report", cwd=root).stdout
    assert text.count("//pkg:it") == len(report["findings"])
    assert len(json.loads(ask("--format", "sarif", "report", cwd=root).stdout)["runs"][0]["results"]) == len(expected)
    assert json.loads(ask("--json", "report", cwd=root).stdout) == report


def test_what_may_be_read_is_not_reported(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("in\n")
    described = action("cat in.txt /etc/hostname > made/out.txt", host_paths=["/etc/hostname"])
    (tmp_path / "action").write_text(json.dumps(described))
    assert json.loads(ask("--action", "action", cwd=tmp_path).stdout)["findings"] == []


@pytest.mark.parametrize("text", ["{}", "no json"])
def test_bad_input(tmp_path: Path, text: str) -> None:
    (tmp_path / "action").write_text(text)
    done = ask("--action", "action", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("pytrace: ")
    assert ask("absent", cwd=tmp_path).returncode == 2
