# SPDX-License-Identifier: Apache-2.0
"""The options of `pytrace ci check` as data: click shows and reads them, and `ci_words` reads them without click."""

from __future__ import annotations

from pytrace_exec.ci.provider import FORCED

TEXT, MANY, FLAG, PATH, COUNT, DURATION = "text", "many", "flag", "path", "count", "duration"
"""What an option's value is: a string, several of them, none, a path in bytes, a number from 0, seconds."""


class CiOption:
    """One option: `attribute` is what it is called in Python, `variable` its twin in the environment."""

    __slots__ = ("attribute", "default", "flag", "help", "kind", "metavar", "required", "variable")

    def __init__(
        self, flag: str, attribute: str, kind: str, metavar: str, help: str, *, default: object = None,
        required: bool = False,
    ) -> None:  # fmt: skip
        self.flag = flag
        self.attribute = attribute
        self.kind = kind
        self.metavar = metavar
        self.help = help
        self.default = default
        self.required = required
        self.variable = f"PYTRACE_CI_{flag[2:].replace('-', '_').upper()}"


JOB = (
    CiOption("--workflow", "workflow", TEXT, "W", "The job's name: its records are found by it.", required=True),
    CiOption("--project", "project", TEXT, "NAME", "Whose job it is, where projects share a cache.", default=""),
    CiOption("--read-scope", "read_scopes", MANY, "S",
             "A scope whose records are believed; repeatable.  [default: --write-scope]"),
    CiOption("--write-scope", "write_scope", TEXT, "S", "The scope that records are written to.", default=""),
)  # fmt: skip
"""Whose records are meant."""
PLACE = (
    CiOption("--repo", "repo", PATH, "DIR", "A clone; bare, shallow or without blobs will do.  [default: .]",
             default=b"."),
    CiOption("--commit", "commit", TEXT, "REV", "Which commit.  [default: HEAD]", default="HEAD"),
)  # fmt: skip
"""Which commit of which clone is asked about."""
QUESTION = (
    CiOption("--env", "variables", MANY, "NAME", "A variable whose value counts; repeatable."),
    CiOption("--fingerprint", "text", TEXT, "TEXT",
             "What stands for the runner.  [default: OS release, architecture, image]"),
    CiOption("--fingerprint-outside", "outside", FLAG, "",
             "Count the files outside the repository that the job used, too."),
    CiOption("--definition", "definitions", MANY, "PATH",
             "A file of the repository that says what the job does; repeatable.  [default: the CI system's]"),
    CiOption("--branch", "branch", TEXT, "NAME", "The branch whose records are tried first."),
    CiOption("--default-branch", "default_branch", TEXT, "NAME", "The branch whose records are tried next."),
    CiOption("--max-age", "max_age", DURATION, "DUR", "How long a record serves."),
    CiOption("--max-skips", "max_skips", COUNT, "N", "How often one record serves."),
    CiOption("--force", "force", FLAG, "", f"Run whatever is recorded, as {FORCED} in the commit's message does."),
)  # fmt: skip
"""What is asked."""
