# SPDX-License-Identifier: Apache-2.0
"""Every decision about a job over a whole history, against what really running it gives, and other rules."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from fnmatch import fnmatchcase

import attrs

from tests.support import tree
from tests.support.histories import Job
from tests.support.repositories import Repository

Truth = tuple[int, str]
"""Status and standard output, which says all that a job makes."""


@attrs.define
class Tally:
    """What became of one job over a history.

    `possible`: commits at which an earlier successful run had given the same; of them `taken`; `wrong`: skips where
    really running gave something else. `tracer` and `filter`: the same for diff-tracer's rule and for a path filter.
    """

    commits: int = 0
    possible: int = 0
    taken: int = 0
    wrong: int = 0
    tracer: int = 0
    tracer_wrong: int = 0
    filter: int = 0
    filter_wrong: int = 0
    unrecorded: int = 0

    def add(self, other: Tally) -> None:
        """Add another job's figures."""
        for field in attrs.fields(Tally):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


@attrs.define
class _Rule:
    """A rule that decides by diffs: at each commit the commit whose result it has, if any."""

    results: dict[str, str] = attrs.field(factory=dict)


def walk(repository: Repository, commits: Sequence[str], job: Job) -> Tally:
    """Decide and run one job at every commit, oldest first."""
    tally, truths = Tally(), dict[str, Truth]()
    reads: dict[str, frozenset[str]] = {}
    tracer, filtered = _Rule(), _Rule()
    for commit in commits:
        repository.git("checkout", "-q", "--detach", commit)
        repository.git("clean", "-qfdx")
        truth = truths[commit] = _really(repository, job)
        earlier = any(truths[one] == truth and truth[0] == 0 for one in truths if one != commit)
        tally.commits += 1
        tally.possible += earlier
        found = repository.pytrace(
            "ci", "check", "--workflow", job.name, "--repo", str(repository.path), "--json"
        ).json  # fmt: skip
        if found["skip"]:
            right = truths[found["by"]["commit"]] == truth
            tally.taken += right and earlier
            tally.wrong += not right
            # A trace would show the same paths: all that they hold is the same.
            reads[commit] = reads[found["by"]["commit"]]
        else:
            tally.unrecorded += not _record(repository, job, commit, reads, truth)
        parent, changed, added = _diff(repository, commit)
        for rule, quiet, name in (
            (tracer, _untouched(tracer, parent, changed, added, reads), "tracer"),
            (filtered, not any(fnmatchcase(path, glob) for path in changed for glob in job.filter), "filter"),
        ):
            by = rule.results.get(parent)
            if by is not None and quiet:
                rule.results[commit] = by
                right = truths[by] == truth
                setattr(tally, name, getattr(tally, name) + (right and earlier))
                setattr(tally, f"{name}_wrong", getattr(tally, f"{name}_wrong") + (not right))
            elif truth[0] == 0:
                rule.results[commit] = commit
    return tally


def _really(repository: Repository, job: Job) -> Truth:
    """Run the job without anything of ours."""
    done = subprocess.run(
        ["sh", "-c", job.command], cwd=repository.path, env=repository.pytrace.environment(), capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    _clean(repository)
    time.sleep(0.02)
    return done.returncode, done.stdout


def _clean(repository: Repository) -> None:
    """Leave nothing behind: what an earlier job left in the temporary folder would be found, and removed, by pytest."""
    repository.git("clean", "-qfdx")
    temporary = repository.pytrace.base / "tmp"
    tree.remove(os.fsencode(temporary))
    temporary.mkdir()


def _run(repository: Repository, job: Job, *options: str) -> dict[str, object]:
    words = ("ci", "run", "--workflow", job.name, "--json", *options, "--", "sh", "-c", job.command)
    ended = repository.pytrace(*words, cwd=repository.path)
    _clean(repository)
    return {**ended.json, "said": ended.stdout}


def _record(repository: Repository, job: Job, commit: str, reads: dict[str, frozenset[str]], truth: Truth) -> bool:
    """Run the job traced; whether it is recorded, or failed and is not."""
    found = _run(repository, job)
    assert (found["exit_code"] == 0) == (truth[0] == 0), f"traced, {job.name} ends otherwise: {found}"
    if found["recorded"]:
        told = repository.pytrace("ci", "explain", "--workflow", job.name, "--json", str(found["recorded"])).json
        reads[commit] = frozenset(one["path"] for one in told["paths"])
    return bool(found["recorded"]) or truth[0] != 0


def _diff(repository: Repository, commit: str) -> tuple[str, list[str], bool]:
    """The first parent ("" for none), the paths that differ from it, and whether one was added."""
    _, parent, *_ = [*repository.git("rev-list", "--parents", "-n", "1", commit).split(), ""]
    if not parent:
        return "", [], True
    rows = [
        row.split("\t") for row in repository.git("diff", "--no-renames", "--name-status", parent, commit).splitlines()
    ]
    return parent, [row[-1] for row in rows], any(row[0] == "A" for row in rows)


def _untouched(rule: _Rule, parent: str, changed: Sequence[str], added: bool, reads: dict[str, frozenset[str]]) -> bool:
    """The rule of diff-tracer: no added file at all, and no traced file in the diff since it ran."""
    by = rule.results.get(parent)
    if by is None or added:
        return False
    traced = reads.get(by, frozenset())
    return not any(path == one or path.startswith(one + "/") for path in changed for one in traced if one)
