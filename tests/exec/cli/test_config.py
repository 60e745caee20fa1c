# SPDX-License-Identifier: Apache-2.0
"""`pytrace config`: where values came from, and setting them."""

from __future__ import annotations

import os

import pytest

from tests.exec.cli.project import Project


def rows(project: Project, *words: str, **variables: str) -> dict[str, tuple[object, str, str | None]]:
    """What `config show` says, by option."""
    done = project.pytrace("config", "show", "--json", *words, **variables)
    assert done.status == 0, done.stderr
    return {row["name"]: (row["value"], row["kind"], row["source"]) for row in done.json["values"]}


def test_every_source_is_named(project: Project) -> None:
    user = project.base / "home/.config/pytrace/config.toml"
    user.parent.mkdir(parents=True)
    user.write_text('remote-timeout = "7s"\nmode = "recache"\n')
    project.write(**{"pytrace.toml": 'mode = "readonly"\noutput = ["out"]\n'})
    own = str(project.root / "pytrace.toml")
    found = rows(project, "--mtime", PYTRACE_PROBE="stat", PYTRACE_REMOTE="http://me:secret@host:80")
    assert found == {
        "dir": (str(project.store), "environment", "PYTRACE_DIR"),
        "mode": ("readonly", "project", own),
        "output": ([str(project.root / "out")], "project", own),
        "remote-timeout": (7.0, "user", str(user)),
        "probe": ("stat", "environment", "PYTRACE_PROBE"),
        "mtime": (True, "flag", "--mtime"),
        "remote": ("http://***@host:80", "environment", "PYTRACE_REMOTE"),
    }
    header = rows(project, "--remote-header", "authorization=secret")["remote-header"]
    assert header == (["***"], "flag", "--remote-header")
    assert rows(project, "--all")["strict"] == (False, "default", None)


def test_setting_keeps_what_a_person_wrote(project: Project) -> None:
    user = project.base / "home/.config/pytrace/config.toml"
    user.parent.mkdir(parents=True)
    user.write_text('# mine\nmode = "recache" # for now\n\n[other]\nx = 1\n')
    assert project.pytrace("config", "set", "max-size", "20GiB").status == 0
    assert project.pytrace("config", "set", "mode", "readonly").status == 0
    assert project.pytrace("config", "set", "output", "a", "/b").status == 0
    assert project.pytrace("config", "set", "strict", "true").status == 0
    text = user.read_text()
    assert text.startswith('# mine\nmode = "readonly" # for now\n')
    assert text.endswith("[other]\nx = 1\n")
    assert rows(project)["output"][0] == [str(project.root / "a"), "/b"]
    assert project.pytrace("config", "get", "mode").stdout == b"readonly\n"
    assert project.pytrace("config", "get", "max-size").stdout == b"%d\n" % (20 << 30)
    assert project.pytrace("config", "get", "strict").stdout == b"true\n"
    assert project.pytrace("config", "set", "--unset", "mode", "--json").json["changed"] is True
    assert project.pytrace("config", "set", "--unset", "mode", "--json").json["changed"] is False
    assert project.pytrace("config", "get", "remote").status == 20


def test_a_new_file_is_the_users_own(project: Project) -> None:
    assert project.pytrace("config", "set", "mode", "readonly").status == 0
    made = project.base / "home/.config/pytrace/config.toml"
    assert made.stat().st_mode & 0o777 == 0o600
    listed = project.pytrace("config", "path", "--json").json["files"]
    assert [(file["kind"], file["exists"]) for file in listed][:2] == [("project", False), ("user", True)]
    assert listed[1]["path"] == str(made)
    assert os.listdir(made.parent) == ["config.toml"]


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("set", "mode", "sometimes"), 2),
        (("set", "nothing", "x"), 2),
        (("set", "mode"), 2),
        (("set", "mode", "off", "readonly"), 2),
        (("set", "--unset", "mode", "off"), 2),
        (("set", "remote-only", "1"), 2),
        (("get", "nothing"), 2),
    ],
)
def test_what_cannot_be_set_is_refused(project: Project, words: tuple[str, ...], status: int) -> None:
    done = project.pytrace("config", *words)
    assert (done.status, done.stderr.count(b"\n")) == (status, 1)
    assert not (project.base / "home/.config").exists()


def test_a_file_that_is_no_toml_is_left_alone(project: Project) -> None:
    user = project.base / "home/.config/pytrace/config.toml"
    user.parent.mkdir(parents=True)
    user.write_text("mode = \n")
    assert project.pytrace("config", "set", "mode", "off").status == 2
    assert user.read_text() == "mode = \n"
