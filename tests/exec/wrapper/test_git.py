# SPDX-License-Identifier: Apache-2.0
"""Commands of git hit by what git's files mean, and miss when what they tell could be another."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.exec.wrapper.place import Place
from tests.support.tracers import FIRST_TRACER

pytestmark = [pytest.mark.strace]

ASKING = (
    "git rev-parse HEAD",
    "git rev-parse --short HEAD",
    "git describe --tags --always --dirty",
    "git status --porcelain",
    "git diff --quiet",
    "git ls-files -s",
    "git log -1 --format=%H%n%h%n%s",
    "git show -s --format=%ct",
    "git rev-list --count HEAD",
    "git tag --points-at HEAD",
    "git symbolic-ref --short HEAD",
)
SETTINGS = ("user.name=n", "user.email=e@e", "init.defaultBranch=main", "advice.detachedHead=false", "gc.auto=0")


class Clone:
    """A clone at the place's root, of a repository beside it, with some history."""

    def __init__(self, place: Place, tracer: str) -> None:
        self.place = place
        self.tracer = tracer
        self.moment = 1_200_000_000
        (place.root / "WORKSPACE").unlink()
        place.root.rmdir()
        self.source = place.base / "source"
        self.source.mkdir()
        self.git("init", cwd=self.source)
        for name in ("one", "two", "d/three"):
            self.commit(name, name, cwd=self.source)
        self.git("tag", "-a", "-m", "first", "v1", "HEAD~1", cwd=self.source)
        self.git("branch", "other", "HEAD~2", cwd=self.source)
        self.fresh()

    def git(self, *words: str, cwd: Path | None = None) -> str:
        """Run git plainly, a second later than the last time."""
        self.moment += 1
        date = f"{self.moment} +0000"
        variables = {**self.place.environment(), "GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
        settings = [word for setting in SETTINGS for word in ("-c", setting)]
        done = subprocess.run(
            ["git", *settings, *words], cwd=cwd or self.place.root, env=variables, capture_output=True, check=True
        )
        time.sleep(0.02)
        return done.stdout.decode().strip()

    def commit(self, name: str, text: str, cwd: Path | None = None) -> None:
        """Commit a file."""
        path = (cwd or self.place.root) / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        self.git("add", ".", cwd=cwd)
        self.git("commit", "-m", name, cwd=cwd)

    def fresh(self) -> None:
        """Put a new clone where the old one was."""
        if self.place.root.exists():
            os.rename(self.place.root, self.place.base / f"former-{time.time_ns()}")
        self.git("clone", "--no-hardlinks", str(self.source), str(self.place.root), cwd=self.place.base)

    def ask(self, command: str, *options: str) -> str:
        """Run a wrapped command and hold what it prints against a plain one; say what became of it."""
        ended = self.place.run("--tracer", self.tracer, *options, "--", *command.split())
        plain = subprocess.run(
            command.split(), cwd=self.place.root, env=self.place.environment(), capture_output=True, check=False
        )
        assert (ended.status, ended.stdout, ended.stderr) == (plain.returncode, plain.stdout, plain.stderr), command
        time.sleep(0.02)
        return ended.outcome

    def settle(self, commands: tuple[str, ...] = ASKING) -> None:
        """Ask until nothing is new: git may write its index anew for as long as the second of the checkout lasts."""
        for command in commands:
            asked = [self.ask(command), self.ask(command)]
            while asked[-1] != "hit" and len(asked) < 8:
                time.sleep(0.3)
                asked.append(self.ask(command))
            assert asked[-1] == "hit", command


def later(path: Path) -> None:
    """Move a file's time, and nothing else."""
    os.utime(path, (1_300_000_000, 1_300_000_000))
    time.sleep(0.02)


@pytest.mark.parametrize("tracer", FIRST_TRACER)
def test_what_git_moves_about_is_no_matter(place: Place, tracer: str) -> None:
    clone = Clone(place, tracer)
    clone.settle()
    changes = (
        ("pack-refs", "--all"), ("gc",), ("repack", "-a", "-d"), ("commit-graph", "write"),
        ("multi-pack-index", "write"), ("checkout", "-b", "aside"), ("checkout", "main"), ("update-index", "--refresh"),
    )  # fmt: skip
    for change in changes:
        clone.git(*change)
        if change == ("checkout", "-b", "aside"):
            continue
        for command in ASKING:
            assert clone.ask(command) == "hit", (change, command)


@pytest.mark.parametrize("tracer", FIRST_TRACER)
def test_a_fresh_clone_is_the_same(place: Place, tracer: str) -> None:
    clone = Clone(place, tracer)
    clone.settle()
    clone.git("gc", cwd=clone.source)
    clone.fresh()
    for command in ASKING:
        assert clone.ask(command) == "hit", command


@pytest.mark.parametrize("tracer", FIRST_TRACER)
def test_one_run_in_each_clone_is_enough(place: Place, tracer: str) -> None:
    """A fresh clone's index is as old as its files, so that git writes it anew."""
    clone = Clone(place, tracer)
    commands = ("git status --porcelain", "git describe --tags --dirty", "git diff --quiet")
    assert [clone.ask(command) for command in commands] == ["miss"] * 3
    for _ in range(3):
        clone.fresh()
        assert [clone.ask(command) for command in commands] == ["hit"] * 3
    clone.commit("new", "new", cwd=clone.source)
    clone.fresh()
    assert [clone.ask(command) for command in commands] == ["miss"] * 3


@pytest.mark.parametrize("tracer", FIRST_TRACER)
def test_an_index_that_git_wrote_to_remember_more_is_no_output(place: Place, tracer: str) -> None:
    clone = Clone(place, tracer)
    later(place.root / "one")
    (place.root / "two").write_text("owt and more")
    assert clone.ask("git status --porcelain") == "miss"
    assert clone.ask("git status --porcelain") == "hit"
    (place.root / "two").write_text("owt or more")
    assert clone.ask("git status --porcelain") == "miss"
    (place.root / "two").write_text("two")
    later(place.root / "two")
    assert clone.ask("git status --porcelain") == "miss"
    assert clone.ask("git status --porcelain") == "hit"


@pytest.mark.parametrize("tracer", FIRST_TRACER)
def test_a_run_that_changes_tracked_files_remembers_its_index(place: Place, tracer: str) -> None:
    clone = Clone(place, tracer)
    place.put("ask", "git status --porcelain\necho more >> one\n")
    for word in ("one", "onemore\n"):
        (place.root / "one").write_text(word)
        clone.git("update-index", "--refresh", "-q", "--really-refresh") if word == "one" else None
        ended = place.run("--tracer", tracer, "--", "sh", "ask")
        assert ended.outcome in ("miss", "not_stored")
        assert (b" M one" in ended.stdout) == (word != "one")


@pytest.mark.parametrize("tracer", FIRST_TRACER)
def test_unrelated_branches_are_fetched(place: Place, tracer: str) -> None:
    clone = Clone(place, tracer)
    clone.settle()
    clone.git("checkout", "other", cwd=clone.source)
    clone.commit("four", "four", cwd=clone.source)
    clone.git("checkout", "-b", "new", cwd=clone.source)
    clone.git("fetch")
    for command in ASKING:
        assert clone.ask(command) == "hit", command


@pytest.mark.parametrize("tracer", FIRST_TRACER)
def test_a_refreshed_index_is_no_matter(place: Place, tracer: str) -> None:
    clone = Clone(place, tracer)
    clone.settle()
    later(place.root / "one")
    looking = {"git describe --tags --always --dirty", "git status --porcelain", "git diff --quiet"}
    for command in set(ASKING) - looking:
        assert clone.ask(command) == "hit", command
    clone.git("update-index", "--refresh")
    for command in ASKING:
        assert clone.ask(command) == "hit", command


@pytest.mark.parametrize("tracer", FIRST_TRACER)
def test_a_touched_file_that_is_converted_anew_counts(place: Place, tracer: str) -> None:
    clone = Clone(place, tracer)
    clone.commit("one", "one\r\n")
    later(place.root / "one")
    clone.git("update-index", "--refresh")
    clone.settle(("git diff --quiet", "git describe --tags --dirty"))
    (place.root / ".git" / "info" / "attributes").write_text("* text\n")
    os.utime(place.root / "one", (1_400_000_000, 1_400_000_000))
    assert clone.ask("git diff --quiet") != "hit"
    assert clone.ask("git describe --tags --dirty") != "hit"


CONVERTED = (
    ("one\r\n", {"info/attributes": "* text\n"}),
    ("one\r\n", {"config": "[core]\nautocrlf = input\n"}),
    ("one $Id: 1 $\n", {"info/attributes": "one ident\n"}),
    ("one more", {"info/attributes": "*.x filter=x\no* filter=up\n", "config": '[filter "up"]\nclean = tr a-z A-Z\n'}),
    ("one more", {"info/attributes": "one working-tree-encoding=UTF-16LE\n"}),
    ("one\r\n", {"../.gitattributes": "one text\n"}),
)
"""What a file held when it was committed, and what by now makes another blob of the same."""


def converted(place: Place, tracer: str, text: str, files: dict[str, str]) -> Clone:
    """A clone with a file that stands as the index remembers, and would be converted if it was read."""
    clone = Clone(place, tracer)
    clone.commit("one", text)
    for path in (place.root / name for name in clone.git("ls-files").splitlines()):
        later(path)
    clone.git("update-index", "--refresh")
    os.utime(place.root / ".git" / "index", (1_400_000_000, 1_400_000_000))
    for name, said in files.items():
        with open(place.root / ".git" / name, "a") as file:
            file.write(said)
    return clone


def copied(path: Path) -> None:
    """Put a copy with the same time in place of a file."""
    shutil.copy2(path, path.with_name("copy"))
    os.rename(path.with_name("copy"), path)
    time.sleep(0.02)


@pytest.mark.parametrize("tracer", FIRST_TRACER)
@pytest.mark.parametrize(("text", "files"), CONVERTED)
@pytest.mark.parametrize("command", ["git diff", "git diff --name-only"])
def test_a_copied_file_that_is_converted_anew_counts(
    place: Place, tracer: str, command: str, text: str, files: dict[str, str]
) -> None:
    clone = converted(place, tracer, text, files)
    assert clone.ask(command) == "miss"
    assert clone.ask(command) == "hit"
    copied(place.root / "one")
    assert clone.ask(command) == "miss"


@pytest.mark.parametrize("tracer", FIRST_TRACER)
@pytest.mark.parametrize("command", ["git diff", "git diff --name-only"])
def test_a_file_as_new_as_the_index_that_is_converted_anew_counts(place: Place, tracer: str, command: str) -> None:
    clone = converted(place, tracer, *CONVERTED[0])
    assert clone.ask(command) == "miss"
    assert clone.ask(command) == "hit"
    os.utime(place.root / ".git" / "index", (1_300_000_000, 1_300_000_000))
    time.sleep(0.02)
    assert clone.ask(command) == "miss"


@pytest.mark.parametrize("tracer", FIRST_TRACER)
@pytest.mark.parametrize("command", ["git status", "git add one", "git commit -q -a -m more", "git stash"])
@pytest.mark.parametrize("options", [(), ("--strict",)])
def test_all_commands_find_what_is_converted_anew(
    place: Place, tracer: str, command: str, options: tuple[str, ...]
) -> None:
    clone = converted(place, tracer, *CONVERTED[0])
    clone.git("config", "user.name", "n")
    clone.git("config", "user.email", "e@e")
    given = ("--tracer", tracer, "--allow-clock", "--cache-failures", *options, "--", *command.split())
    seen = {place.run(*given).outcome for _ in range(4)}
    if tracer == "strace" and command == "git stash":
        assert seen == {"not_stored"}  # it wrote over the index, which cannot be read any more when the log is
        return
    assert "hit" in seen
    index = (place.root / ".git" / "index").read_bytes()
    copied(place.root / "one")
    assert (place.root / ".git" / "index").read_bytes() == index
    assert place.run(*given).outcome != "hit"


@pytest.mark.parametrize("tracer", FIRST_TRACER)
@pytest.mark.parametrize("command", ["git diff", "git diff --name-only"])
def test_attributes_outside_of_the_repository_count(place: Place, tracer: str, command: str) -> None:
    clone = converted(place, tracer, "one\r\n", {})
    place.run("--tracer", tracer, "--", *command.split())
    assert place.run("--tracer", tracer, "--", *command.split()).outcome == "hit"
    attributes = Path(place.environment()["HOME"]) / ".config" / "git" / "attributes"
    attributes.parent.mkdir(parents=True)
    attributes.write_text("* text\n")
    assert clone.ask(command) == "miss"
    copied(place.root / "one")
    assert clone.ask(command) == "miss"


@pytest.mark.parametrize("tracer", FIRST_TRACER)
@pytest.mark.parametrize("files", [{}, {"info/attributes": "* text=auto\n*.x filter=x\n"}])
def test_copies_of_files_that_no_conversion_concerns_are_the_same(
    place: Place, tracer: str, files: dict[str, str]
) -> None:
    clone = converted(place, tracer, "one\n" if files else "one\r\n", files)
    assert clone.ask("git diff") == "miss"
    copied(place.root / "one")
    assert clone.ask("git diff") == "hit"


@pytest.mark.parametrize("tracer", FIRST_TRACER)
def test_a_fresh_clone_with_attributes_is_the_same(place: Place, tracer: str) -> None:
    clone = Clone(place, tracer)
    clone.commit(".gitattributes", "* text=auto\n*.bin filter=lfs\n", cwd=clone.source)
    clone.fresh()
    commands = ("git status --porcelain", "git describe --tags --dirty", "git diff --quiet")
    assert [clone.ask(command) for command in commands] == ["miss"] * 3
    for _ in range(2):
        clone.fresh()
        assert [clone.ask(command) for command in commands] == ["hit"] * 3


@pytest.mark.parametrize("tracer", FIRST_TRACER)
def test_what_git_tells_counts(place: Place, tracer: str) -> None:
    clone = Clone(place, tracer)
    clone.settle()
    (place.root / "one").write_text("eno")
    later(place.root / "one")
    seen = {command: clone.ask(command) for command in ASKING}
    changed = {"git describe --tags --always --dirty", "git status --porcelain", "git diff --quiet"}
    assert {command for command, outcome in seen.items() if outcome != "hit"} == changed
    clone.git("add", "one")
    assert clone.ask("git ls-files -s") == clone.ask("git status --porcelain") == "miss"
    clone.git("commit", "-m", "changed")
    for command in ASKING:
        if command not in ("git symbolic-ref --short HEAD", "git status --porcelain", "git diff --quiet"):
            assert clone.ask(command) == "miss", command
    clone.git("tag", "v2")
    assert clone.ask("git describe --tags --always --dirty") == clone.ask("git tag --points-at HEAD") == "miss"
    clone.git("checkout", "other")
    assert all(clone.ask(command) == "miss" for command in ASKING if "diff" not in command)


@pytest.mark.parametrize("tracer", FIRST_TRACER)
def test_flags_in_the_index_count(place: Place, tracer: str) -> None:
    clone = Clone(place, tracer)
    (place.root / "one").write_text("eno")
    later(place.root / "one")
    clone.settle(("git diff --name-only",))
    clone.git("update-index", "--assume-unchanged", "one")
    assert clone.ask("git diff --name-only") == "miss"
    clone.git("update-index", "--no-assume-unchanged", "one")
    assert clone.ask("git diff --name-only") == "hit"


@pytest.mark.parametrize("tracer", FIRST_TRACER)
def test_a_ref_that_hides_another_counts(place: Place, tracer: str) -> None:
    clone = Clone(place, tracer)
    clone.settle(("git rev-parse main", "git log -1 --format=%H main"))
    clone.git("tag", "main", "HEAD~1")
    assert clone.ask("git rev-parse main") == clone.ask("git log -1 --format=%H main") == "miss"
    clone.git("pack-refs", "--all")
    assert clone.ask("git rev-parse main") == clone.ask("git log -1 --format=%H main") == "hit"


@pytest.mark.parametrize("tracer", FIRST_TRACER)
def test_replaced_commits_count(place: Place, tracer: str) -> None:
    clone = Clone(place, tracer)
    clone.settle(("git log -1 --format=%s", "git rev-list --count HEAD"))
    clone.git("replace", "HEAD", "HEAD~1")
    assert clone.ask("git log -1 --format=%s") == clone.ask("git rev-list --count HEAD") == "miss"
    clone.git("pack-refs", "--all")
    assert clone.ask("git log -1 --format=%s") == "hit"
    clone.git("replace", "-d", "HEAD")
    assert clone.ask("git log -1 --format=%s") == "hit"


@pytest.mark.parametrize("tracer", FIRST_TRACER)
def test_an_object_that_lengthens_an_abbreviation_counts(place: Place, tracer: str) -> None:
    clone = Clone(place, tracer)
    commands = ("git rev-parse --short=4 HEAD", "git describe --tags --abbrev=4", "git rev-parse HEAD")
    clone.settle(commands)
    head = clone.git("rev-parse", "HEAD")
    number = 0
    while not blob(f"{number}\n").startswith(head[:4]):
        number += 1
    (place.base / "blob").write_text(f"{number}\n")
    clone.git("hash-object", "-w", str(place.base / "blob"))
    assert [clone.ask(command) for command in commands] == ["miss", "miss", "hit"]
    for command in commands:
        clone.ask(command)
    clone.git("repack", "-a", "-d", "-k")
    assert [clone.ask(command) for command in commands] == ["hit", "hit", "hit"]


def blob(text: str) -> str:
    """The id of a blob."""
    import hashlib

    return hashlib.sha1(b"blob %d\0%s" % (len(text), text.encode())).hexdigest()


@pytest.mark.parametrize("tracer", FIRST_TRACER)
@pytest.mark.parametrize("command", [
    "cat .git/packed-refs", "wc -c .git/index", "ls -R .git", "git count-objects -v", "git log -1 --oneline",
    "git -c core.abbrev=9 describe --tags", "git ls-files --debug", "git status", "git diff HEAD~1",
])  # fmt: skip
def test_who_reads_more_counts_bytes(place: Place, tracer: str, command: str) -> None:
    clone = Clone(place, tracer)
    script = place.put("ask", f"git rev-parse HEAD\n{command}\n")
    clone.git("add", "ask")
    clone.ask(f"sh {script.name}")
    clone.ask(f"sh {script.name}")
    clone.git("pack-refs", "--all")
    clone.git("gc")
    later(place.root / "one")
    clone.git("update-index", "--refresh")
    assert clone.ask(f"sh {script.name}") != "hit"


@pytest.mark.parametrize("tracer", FIRST_TRACER)
@pytest.mark.parametrize("command", ["sha256sum .git/index", "wc -c .git/index"])
def test_an_index_that_git_wrote_and_another_looked_at_is_an_output(place: Place, tracer: str, command: str) -> None:
    clone = Clone(place, tracer)
    script = place.put("../ask", f"git status --porcelain\n{command}\n")
    later(place.root / "one")
    clone.ask(f"sh {script}")
    clone.ask(f"sh {script}")
    clone.git("update-index", "--index-version", "4")
    assert clone.ask(f"sh {script}") != "hit"


@pytest.mark.parametrize("tracer", FIRST_TRACER)
def test_strict_and_probed_by_status_counts_bytes(place: Place, tracer: str) -> None:
    clone = Clone(place, tracer)
    for option in ("--strict", "--probe=stat"):
        clone.ask("git rev-parse HEAD", option)
        assert clone.ask("git rev-parse HEAD", option) == "hit"
        clone.git("pack-refs", "--all")
        assert clone.ask("git rev-parse HEAD", option) == "miss"
        clone.git("update-ref", "refs/heads/main", "HEAD~0")
        clone.commit(option, option)


@pytest.mark.parametrize("tracer", FIRST_TRACER)
@pytest.mark.parametrize("setting", [
    "core.trustctime=false", "core.checkStat=minimal", "diff.autoRefreshIndex=false", "core.untrackedCache=true",
    "remote.origin.promisor=true",
])  # fmt: skip
def test_settings_by_which_git_goes_by_times_keep_bytes(place: Place, tracer: str, setting: str) -> None:
    clone = Clone(place, tracer)
    clone.git("config", *setting.split("="))
    clone.ask("git rev-parse HEAD")
    assert clone.ask("git rev-parse HEAD") == "hit"
    clone.git("pack-refs", "--all")
    assert clone.ask("git rev-parse HEAD") == "miss"


@pytest.mark.parametrize("tracer", FIRST_TRACER)
def test_a_lost_commit_is_noticed(place: Place, tracer: str) -> None:
    clone = Clone(place, tracer)
    clone.settle(("git log -1 --format=%s",))
    head = clone.git("rev-parse", "HEAD")
    (place.root / ".git" / "objects" / head[:2] / head[2:]).unlink()
    assert clone.ask("git log -1 --format=%s") != "hit"


@pytest.mark.parametrize("tracer", FIRST_TRACER)
def test_borrowed_objects_keep_bytes(place: Place, tracer: str) -> None:
    clone = Clone(place, tracer)
    os.rename(place.root, place.base / "former")
    clone.git("clone", "--shared", str(clone.source), str(place.root), cwd=place.base)
    clone.ask("git rev-parse HEAD")
    clone.git("pack-refs", "--all")
    assert clone.ask("git rev-parse HEAD") == "miss"


@pytest.mark.parametrize("tracer", FIRST_TRACER)
def test_a_repository_that_lies_elsewhere_knows_no_worktree(place: Place, tracer: str) -> None:
    clone = Clone(place, tracer)
    os.rename(place.root / ".git", place.base / ".git")
    (place.root / ".git").symlink_to(place.base / ".git")
    clone.ask("git diff --quiet")
    clone.ask("git diff --quiet")
    later(place.root / "one")
    clone.git("pack-refs", "--all")
    assert clone.ask("git diff --quiet") != "hit"


@pytest.mark.parametrize("tracer", FIRST_TRACER)
def test_a_fresh_clone_hits_with_a_detached_head(place: Place, tracer: str) -> None:
    commands = ("git status --porcelain", "git describe --always --dirty", "git rev-parse HEAD")
    clone = Clone(place, tracer)
    clone.git("checkout", "--detach", "v1")
    clone.settle(commands)
    clone.fresh()
    clone.git("checkout", "--detach", "v1")
    for command in commands:
        assert clone.ask(command) == "hit", command
    clone.git("checkout", "--detach", "HEAD~1")
    for command in commands:
        assert clone.ask(command) != "hit", command


@pytest.mark.parametrize("tracer", FIRST_TRACER)
def test_a_worktree_has_its_own_head(place: Place, tracer: str) -> None:
    clone = Clone(place, tracer)
    os.rename(place.root, place.base / "main")
    clone.git("worktree", "add", "-b", "aside", str(place.root), cwd=place.base / "main")
    commands = tuple(command for command in ASKING if "symbolic" not in command)
    clone.settle(commands)
    clone.git("pack-refs", "--all")
    clone.git("gc")
    for command in commands:
        assert clone.ask(command) == "hit", command
    clone.commit("new", "new", cwd=place.base / "main")
    for command in commands:
        assert clone.ask(command) == "hit", command
    clone.commit("new", "other")
    assert clone.ask("git rev-parse HEAD") == clone.ask("git rev-list --count HEAD") == "miss"


@pytest.mark.parametrize("tracer", FIRST_TRACER)
def test_a_run_that_changes_the_repository_counts_bytes(place: Place, tracer: str) -> None:
    clone = Clone(place, tracer)
    place.put("ask", "git rev-parse HEAD\ngit tag made\n")
    clone.git("add", "ask")
    clone.ask("git rev-parse HEAD")
    ended = place.run("--tracer", tracer, "--", "sh", "ask")
    clone.git("tag", "-d", "made")
    clone.git("pack-refs", "--all")
    assert ended.outcome == "miss"
    assert place.run("--tracer", tracer, "--", "sh", "ask").outcome == "miss"
