# SPDX-License-Identifier: Apache-2.0
"""Ten ways to read undeclared: `genrule` is stale, `traced_genrule` right, and only the affected action runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest

from tests.rules.test_audit import answering
from tests.support.bazel import BAZEL, Bazel, running_bazel
from tests.support.traced_workspace import TracedBuild, TracedWorkspace, bazel_root

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.soak,
    pytest.mark.bazel,
    pytest.mark.skipif(BAZEL is None, reason="Bazel is not installed (Debian: bazel-bootstrap)"),
    pytest.mark.skipif(os.geteuid() != 0, reason="a file of /etc is changed: as root only"),
]

TRACED_ACTIONS = 50


@attrs.frozen
class Mistake:
    """A command that reads FILE, and two contents of that; `tags` of both rules."""

    name: str
    command: str
    file: str
    before: str = "first\n"
    after: str = "second\n"
    tags: str = "[]"


MISTAKES = (
    Mistake("host_tool", "{outside}/tool > $@", "tool", "#!/bin/sh\necho first\n", "#!/bin/sh\necho second\n"),
    Mistake("env", ". {outside}/env.sh; echo $$SITE > $@", "env.sh", "SITE=first\n", "SITE=second\n"),
    Mistake("etc_file", "cat {etc} > $@", "{etc}"),
    Mistake("absolute_path", "cat {outside}/absolute > $@", "absolute"),
    Mistake("generated", "cat $(GENDIR)/other.txt > $@", "", tags='["local"]'),
    Mistake("listing", "ls {outside}/listed > $@", "listed/second"),
    Mistake("home", "HOME={outside}/home; cat ~/settings > $@", "home/settings"),
    Mistake(
        "locale",
        "export `cat {outside}/locale.conf`; printf 'b\\nA\\na\\n' | tr '[:lower:]' \"$$FORM\" > $@",
        "locale.conf",
        "FORM=[:upper:]\n",
        "FORM=x\n",
    ),
)
VOLATILE = {"date": "date +%N > $@", "network": "cat < /dev/tcp/127.0.0.1/{port} > $@; date +%N >> $@"}


@pytest.fixture
def etc() -> Iterator[Path]:
    """A file of /etc that is there for the test only."""
    path = Path(f"/etc/pytrace-test-{os.getpid()}")
    path.write_text("first\n")
    yield path
    path.unlink()


def write(workspace: TracedWorkspace, names: dict[str, str]) -> None:
    """Write fifty traced actions, of which ten are mistakes, and a genrule beside each mistake."""
    rules = ['load("@pytrace//rules:traced_genrule.bzl", "traced_genrule")']
    rules.append('genrule(name = "other", srcs = ["other.in"], outs = ["other.txt"], cmd = "cat $< > $@")')
    for name, command, tags in (
        *((one.name, one.command, one.tags) for one in MISTAKES),
        *((name, command, '["manual"]') for name, command in VOLATILE.items()),
    ):
        for key, value in names.items():
            command = command.replace("{" + key + "}", value)
        for rule, form in (("genrule", "plain"), ("traced_genrule", "traced")):
            quoted = command.replace("\\", "\\\\").replace('"', '\\"')
            rules.append(
                f'{rule}(name = "{form}_{name}", outs = ["{form}_{name}.txt"], cmd = "{quoted}", tags = {tags})'
            )
    others = TRACED_ACTIONS - len(MISTAKES) - len(VOLATILE)
    fine = 'traced_genrule(name = "fine%d" % n, outs = ["fine%d.txt" % n], cmd = "echo %d > $@" % n)'
    rules.append(f"[{fine} for n in range({others})]")
    workspace.write({"BUILD": "\n".join(rules), "other.in": "first\n"})


def ran(built: TracedBuild) -> set[str]:
    """Targets whose command ran."""
    assert built.build.status == 0, built.build.log
    return {target for target, outcome in built.outcomes.items() if outcome != "hit"}


def change(one: Mistake, workspace: TracedWorkspace, bazel: Bazel, names: dict[str, str]) -> None:
    """Change what a mistake reads."""
    if not one.file:
        workspace.put("other.in", one.after)
        assert workspace.build(bazel, "//:other").build.status == 0
        return
    path = Path(one.file.replace("{etc}", names["etc"]))
    (path if path.is_absolute() else Path(names["outside"]) / path).write_text(one.after)


def test_ten_mistakes(tmp_path: Path, etc: Path) -> None:
    outside = tmp_path / "outside"
    for folder in ("listed", "home"):
        (outside / folder).mkdir(parents=True)
    (outside / "listed" / "first").touch()
    for one in MISTAKES:
        if one.file and one.name not in ("etc_file", "listing"):
            (outside / one.file).write_text(one.before)
    (outside / "tool").chmod(0o755)
    workspace = TracedWorkspace(tmp_path / "workspace", tmp_path / "writable")
    table = []
    with answering() as port, bazel_root(tmp_path / "bazel") as root:
        names = {"outside": str(outside), "etc": str(etc), "port": str(port)}
        write(workspace, names)
        with running_bazel(workspace.folder, root, "base") as bazel:
            assert workspace.build(bazel, "//:other").build.status == 0
            cold = ran(workspace.build(bazel, "//..."))
            assert len(cold) == TRACED_ACTIONS - len(VOLATILE)
            for one in MISTAKES:
                before = workspace.read(f"plain_{one.name}.txt")
                change(one, workspace, bazel, names)
                affected = ran(workspace.build(bazel, "//..."))
                plain, traced = (workspace.read(f"{form}_{one.name}.txt") for form in ("plain", "traced"))
                assert plain == before
                assert traced != before
                assert affected == {f"//:traced_{one.name}"}
                table.append((one.name, "stale", "right", len(affected)))
            wanted = ("//...", *(f"//:{form}_{name}" for form in ("plain", "traced") for name in VOLATILE))
            ran(workspace.build(bazel, *wanted))
            first = {name: [workspace.read(f"{form}_{name}.txt") for form in ("plain", "traced")] for name in VOLATILE}
            assert ran(workspace.build(bazel, *wanted)) == {f"//:traced_{name}" for name in VOLATILE}
            for name, (plain, traced) in first.items():
                assert workspace.read(f"plain_{name}.txt") == plain
                assert workspace.read(f"traced_{name}.txt") != traced
                table.append((name, "stale", "right", 1))
        with running_bazel(workspace.folder, root, "fresh") as bazel:
            assert workspace.build(bazel, "//:other").build.status == 0
            assert ran(workspace.build(bazel, "//...")) == set()
            assert all(
                workspace.read(f"plain_{one.name}.txt") == workspace.read(f"traced_{one.name}.txt") for one in MISTAKES
            )
    for row in table:
        print("{:14} genrule {}, traced_genrule {}, {} of 50 ran".format(*row))


def test_unread_files_of_a_thousand(tmp_path: Path) -> None:
    build = """\
load("@pytrace//rules:traced_genrule.bzl", "traced_genrule")
filegroup(name = "all", srcs = glob(["files/*"]))
traced_genrule(name = "ten", srcs = [":all"], outs = ["ten.txt"], cmd = "cat files/00?.txt > $@")
genrule(name = "after", srcs = [":ten"], outs = ["after.txt"], cmd = "cat $< > $@")
"""
    workspace = TracedWorkspace(tmp_path / "workspace", tmp_path / "writable")
    workspace.write({"BUILD": build, **{f"files/{number:03}.txt": f"{number}\n" for number in range(1000)}})
    executed = tmp_path / "executed.json"
    with bazel_root(tmp_path / "bazel") as root, running_bazel(workspace.folder, root, "base") as bazel:

        def run() -> str:
            executed.unlink(missing_ok=True)
            built = workspace.build(bazel, "//...", f"--execution_log_json_file={executed}")
            assert built.build.status == 0, built.build.log
            return executed.read_text()

        assert "TracedGenrule" in run()
        assert len(workspace.read("ten.pytrace-unused").splitlines()) == 990
        for number in range(10, 1000):
            workspace.put(f"files/{number:03}.txt", "changed\n")
        assert "TracedGenrule" not in run()
        workspace.put("files/003.txt", "changed\n")
        assert "TracedGenrule" in run()
        assert "changed" in workspace.read("after.txt")
