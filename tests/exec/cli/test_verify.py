# SPDX-License-Identifier: Apache-2.0
"""`pytrace verify`: what comes out otherwise is named, with its bytes; the tree stays as it is."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pytrace_cas.recorded.effect_entries import Move
from pytrace_cas.recorded.effects import Effects
from pytrace_cas.recorded.places import Places
from pytrace_exec.verify.again import changed_folders
from tests.exec.cli.project import Project, codes, settle

pytestmark = pytest.mark.strace


def _state(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    """Every file with its content, inode and time of change."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = os.lstat(path)
        data = path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(folder))] = data, status.st_ino, status.st_ctime_ns
    return found


def test_what_is_the_same(project: Project) -> None:
    project.write(x="x")
    script = "mkdir -p out; cat x > out/y; cat x >> log; echo done; pwd; ls out"
    project.wrapped("sh", "-c", f"rm -f log; {script}", MODE="fast", API_TOKEN="secret")
    assert project.last()["outcome"] == "miss", project.last()
    before = _state(project.base / "root")
    assert project.pytrace("verify", "latest").status == 2  # the token is known as a hash only
    done = project.pytrace("verify", "--json", "--runs", "2", "latest", MODE="other", API_TOKEN="secret")
    assert (done.status, done.json["outcome"]) == (0, "same"), done
    assert [run["same"] for run in done.json["runs"]] == [True, True]
    assert _state(project.base / "root") == before


def test_what_differs_is_shown(project: Project) -> None:
    """$$ is another number in each run; so is a part of a binary file."""
    script = "echo pid $$ > text; printf 'abc\\0%s' $$ > bin; echo 1 > same; echo $$; rm -f gone"
    project.wrapped("sh", "-c", script)
    settle()
    before = _state(project.base / "root")
    done = project.pytrace("verify", "--json", "latest")
    assert (done.status, done.json["outcome"]) == (1, "different"), done
    (run,) = done.json["runs"]
    found = {one["path"] or one["what"]: one for one in run["differences"]}
    assert set(found) == {"text", "bin", "standard output"}
    assert found["text"]["diff"][2] == "@@ -1 +1 @@"
    assert (found["bin"]["no_diff"], found["bin"]["offset"] >= 4) == ("binary", True)
    assert _state(project.base / "root") == before
    assert project.pytrace("explain", "latest").status in (0, 1)  # what is stored is answered as before
    text = project.pytrace("verify", "latest")
    assert (text.status, b"text" in text.stdout, b"-pid " in text.stdout) == (1, True, True)


def test_what_changed_since_cannot_be_compared(project: Project) -> None:
    project.write(x="x")
    project.wrapped("cat", "x")
    project.write(x="y")
    done = project.pytrace("verify", "--json", "latest")
    assert (done.status, done.json["outcome"], codes(done.json)) == (1, "not_comparable", ["inputs_changed"])
    assert project.pytrace("verify", "0123456789abcdef").status == 20


def test_it_runs_where_it_was_made(project: Project) -> None:
    project.wrapped("sh", "-c", "pwd > where")
    (project.base / "elsewhere").mkdir()
    assert project.pytrace("verify", "latest", cwd="elsewhere").status == 0


def test_what_it_moves_away_outside_the_root_stays_there(project: Project) -> None:
    """Both folders are covered, not only the one that the file is moved to."""
    left, right = project.base / "left", project.base / "right"
    for folder in (left, right):
        folder.mkdir()
    (left / "x").write_text("mine")
    settle()
    declared = ("--output", str(left), "--output", str(right))
    project.wrapped("mv", str(left / "x"), str(right / "x"), options=declared)
    assert project.last()["outcome"] == "miss", project.last()
    done = project.pytrace("verify", "--json", *declared, "latest")
    assert (done.status, done.json["outcome"]) == (0, "same"), done
    assert ((right / "x").read_text(), list(left.iterdir())) == ("mine", [])
    (right / "x").rename(left / "x")
    settle()
    done = project.pytrace("verify", "--json", *declared, "latest")
    assert ((left / "x").read_text(), list(right.iterdir())) == ("mine", [])
    assert (done.status, done.json["outcome"]) == (0, "same"), done


def test_what_a_run_may_change_is_covered(tmp_path: Path) -> None:
    """Where it moved something from and to, and declared outputs, of which another run may change others."""
    for name in ("from", "to", "declared"):
        (tmp_path / name).mkdir()
    effects = Effects([Move(bytes(tmp_path / "from/x"), bytes(tmp_path / "to/x"))])
    declared = [bytes(tmp_path / name) for name in ("declared", "to/file")]
    folders = changed_folders(effects, Places(bytes(tmp_path / "root")), declared)
    assert folders == [bytes(tmp_path / name) for name in ("root", "declared", "from", "to")]


def test_equal_inputs_with_other_outputs_are_listed(project: Project) -> None:
    """By a run that was made again, and by what verify found."""
    project.wrapped("echo", "always")
    project.wrapped("sh", "-c", "echo $$ > text")
    assert project.pytrace("ls", "--json", "--nondeterministic").json["actions"] == []
    first = project.last()["action"]
    (project.root / "text").unlink()
    project.wrapped("sh", "-c", "echo $$ > text", options=("--mode", "recache"))
    assert project.last()["action"] == first
    project.wrapped("sh", "-c", "echo $$")
    second = project.last()["action"]
    assert project.pytrace("verify", "latest").status == 1
    found = project.pytrace("ls", "--json", "--nondeterministic").json["actions"]
    differing = {row["action"]: row["differs"] for row in found}
    assert {action: list(names) for action, names in differing.items()} == {first: ["text"], second: ["<stdout>"]}
    assert [len(values) for names in differing.values() for values in names.values()] == [2, 2]


@pytest.mark.parametrize("words", [">/dev/null", ">/dev/null 2>&1", "2>/dev/null"])
def test_what_went_nowhere_goes_there_again(project: Project, words: str) -> None:
    """Nothing is stored of it, so that it differs from nothing."""
    project.write(x="x")
    argv = [
        sys.executable,
        "-c",
        "from pytrace_exec.wrapper import main; main()",
        "sh",
        "-c",
        "cat x; cat x >&2; cp x y",
    ]
    line = f"{shlex.join(argv)} {words}"
    subprocess.run(["sh", "-c", line], cwd=project.root, env=project.environment(), check=True, capture_output=True)
    done = project.pytrace("verify", "latest")
    assert done.status == 0, done
    assert project.pytrace("ls", "--nondeterministic", "--json").json["actions"] == []
