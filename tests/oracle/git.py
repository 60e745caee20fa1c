# SPDX-License-Identifier: Apache-2.0
"""Small git repositories and what is asked of them: the ground of git's files by their meaning."""

from __future__ import annotations

from random import Random

import attrs

from tests.oracle.histories import VARIABLES
from tests.oracle.rounds import Round, Step
from tests.oracle.script import Instruction, Script, do

SURROUNDINGS = (
    "export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 GIT_EDITOR=true"
    " GIT_AUTHOR_DATE='@{date} +0000' GIT_COMMITTER_DATE='@{date} +0000'; "
)
SETTINGS = (
    "user.name somebody",
    "user.email e@e",
    "gc.auto 0",
    "advice.detachedHead false",
    "init.defaultBranch main",
    "pack.threads 1",  # several share the work as it comes: packs, and so their names, may differ
)
PROGRAMS = (
    "git rev-parse HEAD",
    "git rev-parse --short HEAD",
    "git rev-parse --short=4 HEAD",
    "git rev-parse --abbrev-ref HEAD",
    "git rev-parse main",
    "git rev-parse main~1 side^{commit}",
    "git describe --always",
    "git describe --always --dirty",
    "git describe --tags --long --always",
    "git describe --all --always",
    "git status --porcelain",
    "git status -sb -uno",
    "git status",
    "git diff --quiet",
    "git diff --stat",
    "git diff --name-status HEAD",
    "git diff --full-index --cached",
    "git diff",
    "git ls-files",
    "git ls-files -s -v",
    "git ls-files -m -d -o --exclude-standard",
    "git log -1 --format=%H",
    "git log -1 --format=%h_%ct",
    "git log --format=%s_%P --all",
    "git log --format=raw -3",
    "git log --oneline",
    "git show -s --format=%h",
    "git rev-list --count HEAD",
    "git rev-list --all",
    "git tag -l",
    "git tag --points-at HEAD",
    "git symbolic-ref -q HEAD",
    "git branch --show-current",
    "git branch -v",
    "git ls-tree -r HEAD",
    "git merge-base main side",
    "git for-each-ref",
    "git count-objects -v",
    "git diff-files",
)
TOGETHER = (
    "cat .git/HEAD", "cat .git/packed-refs || :", "ls .git/refs/heads", "test -s .git/index", "wc -c one", "touch one",
    "echo said >> two", "git update-index -q --refresh || :",
)  # fmt: skip
KEEPING = (
    "git gc -q", "git gc -q --prune=now", "git repack -adq", "git pack-refs --all", "git commit-graph write",
    "git multi-pack-index write", "git update-index -q --refresh", "git status > /dev/null",
    "git checkout -q -b aside && git checkout -q - && git branch -q -D aside", "touch one", "cp one x && mv x one",
    "git update-ref refs/heads/elsewhere HEAD", "git update-ref refs/remotes/origin/main HEAD",
)  # fmt: skip
CHANGING = (
    "echo more >> one", "printf eno > one", "rm one", "mv one three", "chmod +x one", "echo new > untracked",
    "git add .",
    "git commit -q --allow-empty -m empty", "git commit -qam more", "git tag light", "git tag -a -m t heavy",
    "git tag -f main HEAD~1", "git tag -d first", "git branch -f side", "git checkout -q side",
    "git checkout -q --detach", "git update-index --assume-unchanged one", "git update-index --skip-worktree one",
    "git replace HEAD HEAD~1", "git reset -q --hard HEAD~1", "git reset -q --soft HEAD~1", "git config core.abbrev 5",
    "git symbolic-ref refs/heads/alias refs/heads/main", "printf broken > .git/refs/heads/broken",
    "printf broken > .git/refs/tags/broken", "rm .git/index", "echo '* text' > .gitattributes",
    "git update-ref refs/heads/HEAD HEAD~1", "git merge -q side", "git stash -q", "git config core.untrackedCache true",
    "git update-index --index-version 4", "git rm -q --cached one",
    "for x in 1 2 3 4 5 6 7 8 9; do for y in 1 2 3 4 5 6 7 8 9; do echo $x$y | git hash-object -w --stdin; done; done",
)  # fmt: skip
LENGTHEN = """python3 -c 'import hashlib, itertools, sys
wanted = sys.argv[1][:4]
texts = (str(number) for number in itertools.count())
print(end=next(text for text in texts
    if hashlib.sha1(("blob %d" % len(text) + chr(0) + text).encode()).hexdigest()[:4] == wanted))
' $(git rev-parse HEAD) | git hash-object -w --stdin"""
ADD_CRLF = "printf 'one\\r\\n' > one && git add one && touch -d @1300000000 one && git update-index --refresh"
DIFFS = "git diff --name-only", "git diff"
STORIES = (
    ("git rev-parse main", "git tag main HEAD~1", "git checkout -q --detach", "git tag -d main",
     "git update-ref refs/heads/main HEAD~1"),
    ("git rev-parse --short=4 HEAD", LENGTHEN, "git commit -q --allow-empty -m empty"),
    ("git describe --tags --abbrev=4", "git commit -q --allow-empty -m empty", LENGTHEN, "git tag light"),
    ("git status --porcelain", "echo more >> one", "git update-index --assume-unchanged one", "git reset -q --hard",
     "git update-index --no-assume-unchanged one"),
    ("git ls-files -v", "git update-index --skip-worktree one", "git update-index --assume-unchanged one"),
    ("git log -1 --format=%s", "git replace HEAD HEAD~1", "git replace -d HEAD"),
    ("git rev-list --all", "git update-ref refs/x/y side~1", "git branch -D side", "git update-ref -d refs/x/y"),
    *((command, ADD_CRLF, "echo '* text' > .git/info/attributes", "cp -p one x && mv x one", "touch -d @1400000000 one")
      for command in (*DIFFS, "git status", "git status --porcelain")),
    *((command, ADD_CRLF, change, "touch -d @1300000000 .git/index", "touch -d @1400000000 one")
      for command in DIFFS for change in ("git config core.autocrlf input", "echo 'one text' > .gitattributes")),
    ("git describe --tags", "git tag light", "git tag -d light", "git commit -q --allow-empty -m empty"),
    ("git log -1 --format=%D%H", "git tag light", "git branch other"),
)  # fmt: skip
"""What is asked, and changes in an order in which each makes a difference."""
STILL = tuple(line for line in KEEPING if not line.endswith(" one"))
"""What leaves files as git remembers them: it remembers anew what it looks at, unless there is a hit."""
RUNS = 6


def make(rng: Random, seed: int, focus: str | None) -> Round:
    """Ask a repository one thing, while a story is told or anything happens."""
    return _story(rng, seed) if rng.random() < 0.4 else _anything(rng, seed)


def _story(rng: Random, seed: int) -> Round:
    """Let the changes of a story, some of them left out, come between what is no matter."""
    asked, *changes = rng.choice(STORIES)
    keeping = STILL if ADD_CRLF in changes else KEEPING
    lines = [line for change in changes for line in (rng.choice(keeping), change) if rng.random() < 0.8]
    first = Step(variables=VARIABLES)
    steps = [
        attrs.evolve(first, anew=False, aimed=line in changes, changes=(_git(line, 10 * place),), label=line)
        for place, line in enumerate(lines, 1)
    ]
    program = tuple(do("line", word) for word in asked.split())
    return Round("git", seed, _world(rng), program, (first, *steps), kind="command")


def _anything(rng: Random, seed: int) -> Round:
    """Ask a repository one thing again and again, while its files are moved about or it changes."""
    first = Step(variables=VARIABLES)
    steps = (first, *(_step(rng, first, date) for date in range(1, RUNS)))
    asked = [rng.choice(PROGRAMS)]
    if rng.random() < 0.25:
        asked.append(rng.choice((*PROGRAMS, *TOGETHER)))
        rng.shuffle(asked)
    words = ["sh", "-c", "; ".join(asked)] if len(asked) > 1 else asked[0].split()
    return Round("git", seed, _world(rng), tuple(do("line", word) for word in words), steps, kind="command")


def _git(line: str, date: int) -> Instruction:
    return do("shell", SURROUNDINGS.replace("{date}", str(1_200_000_000 + date)) + f"{{ {line}\n}} > /dev/null 2>&1")


def _world(rng: Random) -> Script:
    settings = " && ".join(f"git config {setting}" for setting in SETTINGS)
    made = [
        _git(f"git init -q -b main . && {settings} && echo one > one && mkdir d && echo d > d/one", 0),
        _git("git add . && git commit -qm first && git tag first", 1),
        _git("echo two > two && git add . && git commit -qm second", 2),
        _git("git checkout -q -b side && echo s > s && git add . && git commit -qm side && git checkout -q main", 3),
        _git("git tag -a -m annotated v1 HEAD && echo three > two && git commit -qam third", 4),
    ]
    return (*made, *([_git(rng.choice(KEEPING), 5)] if rng.random() < 0.3 else []))


def _step(rng: Random, first: Step, date: int) -> Step:
    """Ask again anew or in place: unchanged, moved about, or changed."""
    step = attrs.evolve(first, anew=rng.random() < 0.2, label="again")
    dice = rng.random()
    if dice < 0.25:
        return step
    lines = rng.choices(KEEPING if dice < 0.6 else CHANGING, k=rng.choice((1, 1, 2)))
    changes = tuple(_git(line, 10 * date + place) for place, line in enumerate(lines))
    return attrs.evolve(step, aimed=dice >= 0.6, changes=changes, label=" && ".join(lines))
