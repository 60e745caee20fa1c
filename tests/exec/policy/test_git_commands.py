# SPDX-License-Identifier: Apache-2.0
"""Which commands of git are understood, and what they read."""

from __future__ import annotations

import pytest

from pytrace_exec.observe.processes import Program
from pytrace_exec.policy.git_commands import names_no_object, reading_of, splits


def program(line: str, path: bytes = b"/usr/bin/git", own: bool = False) -> Program:
    return Program(1, 0, path, tuple(line.encode().split(b" ")), own)


@pytest.mark.parametrize(("line", "prefixes", "short"), [
    ("git rev-parse HEAD", (), 0),
    ("git -C d --no-pager rev-parse --verify -q main~2^{commit}", (), 0),
    ("git rev-parse --short HEAD", (), 7),
    ("git rev-parse --short=5 @", (), 4),
    ("git describe", (b"refs/tags/",), 7),
    ("git describe --tags --match v* --dirty=-x --abbrev=12 HEAD", (b"refs/tags/",), 4),
    ("git status -sb -uno", (), 0),
    ("git status --porcelain=v2 -- deadbeef", (), 0),
    ("git diff --quiet HEAD~1 -- *.c", (), 0),
    ("git diff --full-index main..side", (), 0),
    ("git -c safe.directory=* rev-parse HEAD", (), 0),
    ("git merge-base --is-ancestor main side", (), 0),
    ("git log --format=%H main..side", (), 0),
    ("git ls-files -s deadbeef", (), 0),
    ("git log -n 3 --format=%H%x00%ci%n%%h", (), 0),
    ("git log -1 --pretty=%h", (), 7),
    ("git log --max-count=5 --pretty=raw --first-parent main", (), 0),
    ("git show -s --format=format:%ct%h HEAD", (), 7),
    ("git rev-list --count --all", (b"refs/",), 0),
    ("git tag -l v1.*", (b"refs/tags/",), 0),
    ("git tag --points-at HEAD", (b"refs/tags/",), 0),
    ("git symbolic-ref --short HEAD", (), 0),
    ("git branch --show-current", (), 0),
])  # fmt: skip
def test_what_is_understood(line: str, prefixes: tuple[bytes, ...], short: int) -> None:
    reading = reading_of(program(line))
    assert reading is not None
    assert (reading.prefixes, reading.short) == (prefixes, short)


@pytest.mark.parametrize("line", [
    "git", "git gc", "git st", "git -c core.abbrev=4 rev-parse HEAD", "git --git-dir=x rev-parse HEAD", "git-status",
    "git rev-parse deadbeef", "git rev-parse v1-3-gdeadbee", "git rev-parse --short HEAD~1", "git rev-parse @{u}",
    "git rev-parse :/fix", "git rev-parse HEAD^{/fix}", "git rev-parse --all", "git rev-parse --disambiguate=12",
    "git describe --all", "git describe --contains", "git describe HEAD~1", "git describe --abbrev 5",
    "git status", "git status -v --short", "git diff", "git diff --stat -p", "git diff --quiet abcd",
    "git ls-files --debug", "git ls-files --abbrev", "git log", "git log --oneline", "git log -1 --format=%d",
    "git log -2 --format=%h", "git log -1 --format=%h main", "git log -1 --format=%h -- f", "git log --format=%p",
    "git log --format=%ar", "git log --pretty", "git log --format=fuller", "git log --format=%C(auto)%H",
    "git show --format=%H", "git show -s --format=%h main", "git tag v1", "git tag", "git symbolic-ref HEAD refs/x",
    "git branch -v", "git rev-list --objects HEAD", "git rev-list --disk-usage HEAD", "git status --porc", "git -C",
    "git diff -q", "git diff --quiet a...b", "git merge-base main side", "git ls-tree -- deadbeef",
    "git merge-base -- a b",
    "git log --format=%H --topo-order a..b", "git rev-list --date-order b ^a",
])  # fmt: skip
def test_what_is_not(line: str) -> None:
    assert reading_of(program(line)) is None


def test_only_git_itself_is_git() -> None:
    assert reading_of(program("git rev-parse HEAD", b"/usr/bin/python3")) is None
    assert reading_of(program("git rev-parse HEAD", b"/work/git", own=True)) is None


def test_options_of_git_itself() -> None:
    assert splits(program("git commit -m x"))
    assert splits(program("git --version"))
    assert not splits(program("git -c a.b=c commit"))
    assert not splits(program("git-upload-pack x"))


@pytest.mark.parametrize("word", ["HEAD", "@", "main~2", "v1.0^{}", "a..b", "^x", "HEAD:f/g", "x/y-z", "abc", "..x"])
def test_names_of_refs(word: str) -> None:
    assert names_no_object(word.encode())


@pytest.mark.parametrize(
    "word", ["abcd", "ABCDEF0~1", "a..beef", "x-gabcd", ":f", "@{1}", "x@{u}", "*", "^{/x}", "a...b"]
)
def test_words_that_may_mean_an_object(word: str) -> None:
    assert not names_no_object(word.encode())
