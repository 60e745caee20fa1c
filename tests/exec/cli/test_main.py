# SPDX-License-Identifier: Apache-2.0
"""What all verbs of `pytrace` share."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import pytest

from pytrace_cas import __version__
from pytrace_cas.json_fields import below, list_fields, reason_fields, text_fields
from pytrace_exec.cli.answer import Answer, one_line
from pytrace_exec.cli.main import VERBS
from tests.exec.cli.project import Project


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_pages_end_with_exit_statuses(project: Project, verb: str) -> None:
    page = project.pytrace(*filter(None, (verb, "--help"))).stdout.decode()
    last = " ".join(page.rpartition("\n\n")[2].split())
    assert last.startswith("Exit status: 0 ")
    assert last.endswith("130 interrupted.")


def test_verbs_and_version(project: Project) -> None:
    page = project.pytrace("--help").stdout.decode()
    assert [line.split()[0] for line in page.split("Commands:\n")[1].split("\n\n")[0].splitlines()] == list(VERBS)
    assert __version__ in project.pytrace("--version").stdout.decode()


def test_mistakes_are_one_line(project: Project) -> None:
    (project.root / "pytrace.toml").write_text("probe = 5\n")
    for arguments in (("bogus",), ("show",), ("stats", "--format", "xml"), ("stats", "--bogus"), ("stats",)):
        done = project.pytrace(*arguments)
        assert (done.status, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1), arguments


def test_a_store_that_is_a_file(project: Project) -> None:
    (project.base / "store").touch()
    done = project.pytrace("stats")
    assert (done.status, done.stderr.count(b"\n")) == (2, 1)


def test_a_reader_that_goes_away_is_no_mistake(project: Project) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-c", "from pytrace_exec.cli import main; main()", "doctor", "--json"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, cwd=project.root, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_an_answer_that_cannot_be_written(project: Project) -> None:
    command = [sys.executable, "-c", "from pytrace_exec.cli import main; main()", "--help"]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, cwd=project.root, check=False)
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)


@pytest.mark.parametrize(
    ("arguments", "variables", "colored"),
    [
        ((), {}, False),
        ((), {"FORCE_COLOR": "1"}, True),
        ((), {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        (("--color", "always"), {"NO_COLOR": "1"}, True),
        (("--color", "never"), {"FORCE_COLOR": "1"}, False),
        ((), {"PYTRACE_COLOR": "always"}, True),
    ],
)
def test_colours(project: Project, arguments: tuple[str, ...], variables: dict[str, str], colored: bool) -> None:
    done = project.pytrace("doctor", *arguments, **variables)
    assert (b"\x1b[" in done.stdout) is colored


def test_tables_on_a_terminal_and_elsewhere() -> None:
    rows = [("a", "1"), ("long", "[bold]2")]
    plain, terminal = io.StringIO(), io.StringIO()
    Answer(plain).table(rows, ("name", "number"))
    Answer(terminal, terminal=True).table(rows, ("name", "number"))
    assert plain.getvalue() == "a     1\nlong  [bold]2\n"
    assert "number" in terminal.getvalue()
    assert "[bold]2" in terminal.getvalue()


def test_fields_for_bytes() -> None:
    assert text_fields("path", "ä".encode()) == {"path": "ä"}
    assert text_fields("path", b"\xff") == {"path": "\N{REPLACEMENT CHARACTER}", "path_b64": "/w=="}
    assert text_fields("path", None) == {"path": None}
    assert list_fields("argv", [b"a", b"\xff"])["argv_b64"] == ["YQ==", "/w=="]
    assert list_fields("argv", [b"a"]) == {"argv": ["a"]}


def test_fields_of_a_reason() -> None:
    said = {"code": "c", "message": "m \udcff", "path": "/r/\udcff", "old": "\udcfe", "new": None}
    mark = "\N{REPLACEMENT CHARACTER}"
    assert reason_fields(said, b"/r") == {
        "code": "c",
        "message": f"m {mark}",
        "path": mark,
        "path_b64": "/w==",
        "old": mark,
        "old_b64": "/g==",
        "new": None,
    }
    assert reason_fields({"code": "c", "message": "m", "path": None}, b"/r")["path"] is None


def test_paths_and_lines() -> None:
    assert [below(path, b"/r") for path in (b"/r", b"/r/a", b"/rest", b"/")] == [b".", b"a", b"/rest", b"/"]
    assert below(b"/a", b"/") == b"a"
    assert one_line("a\nb\x1b[0m ä") == "a\\nb\\x1b[0m ä"
