# SPDX-License-Identifier: Apache-2.0
"""`pytrace show`: what a stored result is called, and what is told of it."""

from __future__ import annotations

import subprocess

import pytest

from pytrace_cas.digest import BLAKE3
from tests.exec.cli.project import Project, by_kind

pytestmark = pytest.mark.strace


@pytest.fixture
def stored(project: Project) -> Project:
    """A project with one stored result, that of `cp a b`."""
    project.write(a="content\n")
    project.wrapped("cp", "a", "b", COLOUR="blue", API_TOKEN="secret")
    assert project.last()["outcome"] == "miss"
    return project


def test_every_way_to_name_a_result(stored: Project) -> None:
    action = stored.last()["action"]
    hash, _, size = action.partition("/")
    for reference in (action, f"{hash}-{size}", hash, hash[:10], "latest", "b", stored.last()["weak"]):
        done = stored.pytrace("show", reference, "--json")
        assert (done.status, done.json["action"]) == (0, action), reference
    assert stored.pytrace("show", "../root/b", "--json", cwd="home").status == 20  # another root
    assert stored.pytrace("show", "../root/b", "--json", "--root", "..", cwd="root").status == 20


def test_what_is_told(stored: Project) -> None:
    found = stored.pytrace("show", "latest", "--json").json
    assert (found["schema"], found["command"], found["cwd"], found["exit_code"]) == (1, ["cp", "a", "b"], ".", 0)
    assert by_kind(found["inputs"], "content")["a"]["digest"] == str(BLAKE3.of(b"content\n"))
    assert by_kind(found["outputs"], "file")["b"]["digest"] == str(BLAKE3.of(b"content\n"))
    variables = {item["name"]: item["value"] for item in found["env"]}
    assert variables["COLOUR"] == "blue"
    assert variables["API_TOKEN"].startswith("sha256:")
    assert 0 < found["execution_seconds"] < 600
    only = stored.pytrace("show", "latest", "--json", "--outputs").json
    assert "outputs" in only
    assert not {"inputs", "env"} & only.keys()


def test_text(stored: Project) -> None:
    short = stored.pytrace("show", "latest").stdout.decode()
    long = stored.pytrace("show", "latest", "--inputs", "--env").stdout.decode()
    assert stored.last()["action"] in short
    assert "COLOUR=blue" not in short
    assert "COLOUR=blue" in long


def test_the_script_runs_the_command_again(stored: Project) -> None:
    script = stored.pytrace("show", "latest", "--format", "sh").stdout
    assert b"secret" not in script
    (stored.root / "b").unlink()
    subprocess.run(["sh"], input=script, check=True, cwd="/")
    assert (stored.root / "b").read_text() == "content\n"


def test_what_is_not_there(stored: Project) -> None:
    for reference in ("0123456789", f"{'0' * 64}/5", "no-such-output"):
        done = stored.pytrace("show", reference)
        assert (done.status, done.stdout) == (20, b"")
        assert done.stderr.count(b"\n") == 1
    assert stored.pytrace("show", "latest", PYTRACE_DIR=str(stored.base / "nowhere")).status == 10
    assert stored.pytrace("show").status == 2


def test_no_store_can_be_named(project: Project) -> None:
    assert project.pytrace("show", "latest", HOME=None, PYTRACE_DIR=None).status == 10
