# SPDX-License-Identifier: Apache-2.0
"""Declared inputs: the trees behind links, which are not used, and what is noted of the rest."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import attrs
import pytest

from pytrace_exec.bazel.inputs import Declared
from pytrace_exec.bazel.note import MAX_FACTS, Note

PROGRAMS = Path(sysconfig.get_path("scripts"))
FILES = {"pkg/a.txt": "a\n", "pkg/b.txt": "b\n", "pkg/real.sh": 'cat "$(readlink -f "$1")"\n'}


@attrs.frozen
class Layout:
    """A workspace, an output base, and sandboxes as Bazel lays them out."""

    place: Path

    @property
    def workspace(self) -> Path:
        return self.place / "workspace"

    @property
    def base(self) -> Path:
        return self.place / "base"

    def sandbox(self, number: int) -> Path:
        """Make one, with every input as a link and the list of them."""
        root = self.base / f"sandbox/linux-sandbox/{number}/execroot/name"
        execroot = self.base / "execroot/name"
        execroot.mkdir(parents=True, exist_ok=True)
        for path, text in FILES.items():
            (self.workspace / path).parent.mkdir(parents=True, exist_ok=True)
            (self.workspace / path).write_text(text)
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).symlink_to(execroot / path)
        if not (execroot / "pkg").is_symlink():
            (execroot / "pkg").symlink_to(self.workspace / "pkg")
        (root / "list").write_text("".join(f"{path}\n" for path in FILES))
        return root

    def execroot(self) -> Path:
        """The execution root itself, in which actions run without a sandbox."""
        listed = self.sandbox(0) / "list"
        root = self.base / "execroot/name"
        shutil.copyfile(listed, root / "list")
        return root


@attrs.frozen
class Actions:
    """Runs wrapped commands over one store."""

    store: Path

    def run(
        self, root: Path, layout: Layout, *command: str, options: tuple[str, ...] = (), **variables: str
    ) -> dict[str, object]:
        """Run in a sandbox; return the line of the statistics."""
        log = self.store.with_name("log")
        words = [
            "--dir",
            str(self.store),
            "--root",
            ".",
            "--portable",
            "--stats-log",
            str(log),
            "--inputs-file",
            "list",
        ]
        words += ["--unused-inputs-list", "unused", "-o", "out", "--label", "target=//pkg:it", *options]
        words += ["--label", f"workspace={layout.workspace}", "--", *command]
        environment = {"PATH": "/usr/bin:/bin", "TMPDIR": "/tmp", **variables}
        subprocess.run([PROGRAMS / "pytrace-exec", *words], cwd=root, env=environment, check=True)
        line = json.loads(log.read_text().splitlines()[-1])
        assert isinstance(line, dict)
        return line

    def status(self, layout: Layout) -> str:
        """What `pytrace bazel-status` prints."""
        layout.workspace.mkdir(parents=True, exist_ok=True)
        words = [
            str(PROGRAMS / "pytrace"),
            "bazel-status",
            "--dir",
            str(self.store),
            "--workspace",
            str(layout.workspace),
        ]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "one")


@pytest.fixture
def actions(tmp_path: Path) -> Actions:
    return Actions(tmp_path / "store")


def test_the_trees_are_found(layout: Layout) -> None:
    root = layout.sandbox(1)
    declared = Declared.read(b"list", bytes(root))
    execroot = layout.base / "execroot/name"
    expected = {b"%X": bytes(execroot), b"%W": bytes(layout.workspace), b"%O": bytes(layout.base)}
    assert dict(declared.trees(bytes(root))) == expected
    without = Declared([b"pkg/a.txt"], bytes(execroot))
    assert dict(without.trees(bytes(execroot))) == {b"%W": bytes(layout.workspace), b"%O": bytes(layout.base)}


def test_a_program_that_resolves_links_is_shared(layout: Layout, actions: Actions, tmp_path: Path) -> None:
    command = ("sh", "-c", "sh pkg/real.sh pkg/a.txt > out")
    root = layout.sandbox(1)
    assert actions.run(root, layout, *command)["outcome"] == "miss"
    assert (root / "unused").read_text() == "pkg/b.txt\n"
    again = layout.sandbox(2)
    assert actions.run(again, layout, *command)["outcome"] == "hit"
    assert (again / "unused").read_text() == "pkg/b.txt\n"
    other = Layout(tmp_path / "two")
    assert actions.run(other.sandbox(1), other, *command)["outcome"] == "hit"
    changed = other.sandbox(2)
    (other.workspace / "pkg/a.txt").write_text("other\n")
    assert actions.run(changed, other, *command)["outcome"] == "miss"
    assert (changed / "out").read_text() == "other\n"


def test_a_result_that_names_a_tree_belongs_to_it(layout: Layout, actions: Actions, tmp_path: Path) -> None:
    command = ("sh", "-c", "readlink -f pkg/a.txt > out")
    assert actions.run(layout.sandbox(1), layout, *command)["outcome"] == "miss"
    assert actions.run(layout.sandbox(2), layout, *command)["outcome"] == "hit"
    other = Layout(tmp_path / "two")
    root = other.sandbox(1)
    assert actions.run(root, other, *command)["outcome"] == "miss"
    assert (root / "out").read_text() == f"{other.workspace}/pkg/a.txt\n"


READS = ("sh", "-c", "cat pkg/a.txt > out")
COMPILES = ("sh", "-c", "gcc -x c -c pkg/a.txt -o out")


@pytest.mark.parametrize("command", [READS, pytest.param(COMPILES, marks=pytest.mark.compiler)], ids=["cat", "gcc"])
@pytest.mark.parametrize("first", ["sandbox", "execroot"])
def test_a_sandbox_makes_no_difference(
    layout: Layout, actions: Actions, first: str, command: tuple[str, ...], tmp_path: Path
) -> None:
    """Neither to a program that goes through links nor to a compiler, which resolves the names of its sources."""
    other = Layout(tmp_path / "two")
    roots = [(layout, layout.sandbox(1)), (other, other.execroot())]
    outcomes = []
    for place, root in roots if first == "sandbox" else reversed(roots):
        (place.workspace / "pkg/a.txt").write_text("int a;\n")
        outcomes.append(actions.run(root, place, *command)["outcome"])
    assert outcomes == ["miss", "hit"]
    for place in (layout, other):
        (place.workspace / "pkg/a.txt").write_text("int b = 1;\n")
    assert [actions.run(root, place, *command)["outcome"] for place, root in reversed(roots)] == ["miss", "hit"]


def test_who_asks_whether_an_input_is_a_link_is_told_the_truth(layout: Layout, actions: Actions) -> None:
    command = ("sh", "-c", "test -L pkg/a.txt && echo link > out || echo file > out")
    for root, told in ((layout.sandbox(1), "link\n"), (layout.execroot(), "file\n")):
        assert actions.run(root, layout, *command)["outcome"] == "miss"
        assert (root / "out").read_text() == told


RUNPY = "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"


@pytest.mark.parametrize(
    ("options", "shared"), [(("-B",), False), (("-I", "-B", "-c", RUNPY), True)], ids=["script", "runpy"]
)
def test_python_asks_whether_its_script_is_a_link(
    layout: Layout, actions: Actions, options: tuple[str, ...], shared: bool
) -> None:
    """That of `docs/bazel.md`: a script may ask the same, so the two ways to build have an entry each."""
    execroot = layout.execroot()
    roots = (layout.sandbox(1), execroot, layout.sandbox(2), execroot)
    (layout.workspace / "pkg/a.txt").write_text("import sys\nopen('out', 'w').write(sys.argv[1])\n")
    outcomes = []
    for root in roots:
        outcomes.append(actions.run(root, layout, "/usr/bin/python3", *options, "pkg/a.txt", "told")["outcome"])
        assert (root / "out").read_text() == "told"
    assert outcomes == ["miss", "hit" if shared else "miss", "hit", "hit"]


def test_what_is_read_behind_links_is_searched_as_if_it_lay_in_the_root(layout: Layout, actions: Actions) -> None:
    """A varying variable counts as soon as a file that was read names it, however the file was reached."""
    command = ("sh", "-c", '. "$(readlink -f pkg/a.txt)" > out')
    for number, (user, expected) in enumerate((("al", "miss"), ("al", "hit"), ("zoe", "miss"))):
        root = layout.sandbox(number)
        (layout.workspace / "pkg/a.txt").write_text("echo ${#USER}\n")
        assert actions.run(root, layout, *command, USER=user)["outcome"] == expected
        assert (root / "out").read_text() == f"{len(user)}\n"


def test_a_text_behind_links_that_names_its_tree_belongs_to_it(
    layout: Layout, actions: Actions, tmp_path: Path
) -> None:
    """Also where no link was read that leads to the text itself, as when Python imports from beside its script."""
    command = ("sh", "-c", '. "$(dirname "$(readlink -f pkg/a.txt)")/b.txt" > out')
    text = f"cat {layout.workspace}/plain\n"
    other = Layout(tmp_path / "two")
    for where, told in ((layout, "first"), (other, "second")):
        root = where.sandbox(1)
        (where.workspace / "pkg/b.txt").write_text(text)
        (where.workspace / "plain").write_text("first\n")
        (layout.workspace / "plain").write_text(f"{told}\n")
        assert actions.run(root, where, *command)["outcome"] == "miss"
        assert (root / "out").read_text() == f"{told}\n"


def test_a_program_of_the_workspace_is_in_no_table(layout: Layout, actions: Actions) -> None:
    """One that is called `ls`, whose arguments `ls` would understand, and that tells sizes."""
    for number, text in enumerate(("a\n", "more\n")):
        root = layout.sandbox(number)
        if not number:
            shutil.copyfile(shutil.which("stat") or "", layout.workspace / "pkg/ls")
            (layout.workspace / "pkg/ls").chmod(0o755)
        (root / "pkg/ls").symlink_to(layout.base / "execroot/name/pkg/ls")
        (layout.workspace / "pkg/a.txt").write_text(text)
        assert actions.run(root, layout, "sh", "-c", "pkg/ls -L pkg/a.txt > out")["outcome"] == "miss"
        assert f"Size: {len(text)}" in (root / "out").read_text()


def test_the_status_changes_with_what_was_read_undeclared(layout: Layout, actions: Actions, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("first\n")
    first = actions.status(layout)
    actions.run(layout.sandbox(1), layout, "sh", "-c", f"cat pkg/a.txt {outside} > out")
    assert actions.status(layout) == first
    (layout.workspace / "pkg/a.txt").write_text("declared: Bazel sees it\n")
    assert actions.status(layout) == first
    outside.write_text("second\n")
    second = actions.status(layout)
    assert second != first
    assert actions.status(layout) == second
    outside.write_text("first\n")  # nobody was asked since: whatever is asked next gets the new digest
    assert actions.status(layout) == second


@pytest.mark.parametrize("options", [("--tracer", "strace"), ("--mode", "readonly"), ("--mode", "off")], ids=str)
def test_what_was_not_seen_is_asked_at_every_build(
    layout: Layout, actions: Actions, options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = actions.status(layout)
    command = "date +%N > out" if options[1] == "strace" else "cat pkg/a.txt > out"
    root = layout.sandbox(1)
    actions.run(root, layout, "sh", "-c", command, options=options)
    assert (root / "unused").read_text() == ""
    assert actions.status(layout) != first


def test_a_folder_of_sources_counts_by_what_is_in_it(layout: Layout, actions: Actions) -> None:
    root = layout.sandbox(1)
    (layout.workspace / "pkg/folder").mkdir()
    (layout.workspace / "pkg/folder/inside").write_text("first\n")
    (root / "pkg/folder").symlink_to(layout.base / "execroot/name/pkg/folder")
    (root / "list").write_text("pkg/folder\n")
    first = actions.status(layout)
    actions.run(root, layout, "sh", "-c", "cat pkg/folder/inside > out")
    assert (root / "unused").read_text() == ""
    assert actions.status(layout) == first
    (layout.workspace / "pkg/folder/inside").write_text("second\n")
    assert actions.status(layout) != first


def test_a_folder_of_the_workspace_that_goes_away_is_seen(layout: Layout, actions: Actions) -> None:
    """Without a sandbox undeclared folders are there, too."""
    layout.sandbox(1)
    execroot = layout.base / "execroot/name"
    (execroot / "list").write_text("pkg/a.txt\n")
    (layout.workspace / "pkg/extra").mkdir()
    first = actions.status(layout)
    actions.run(execroot, layout, "sh", "-c", "[ -d pkg/extra ] && [ -w . ] && cat pkg/a.txt > out")
    assert actions.status(layout) == first
    (layout.workspace / "pkg/extra").rmdir()
    assert actions.status(layout) != first


def test_too_many_facts_are_asked_at_every_build(tmp_path: Path) -> None:
    from pytrace_cas.recorded.subjects import Subject

    note = Note(bytes(tmp_path), bytes(tmp_path))
    facts = {Subject("content", "", b"/%d" % number): b"ENOENT" for number in range(MAX_FACTS + 1)}
    note.record("//:many", facts, "blake3", volatile=False)
    digest, volatile, kept = note.read()
    assert (volatile is not None, kept) == (True, [])
    assert note.renew() != digest
    assert note.read()[1] is None
    assert os.stat(tmp_path / "workspaces.sqlite").st_mode & 0o777 == 0o600
