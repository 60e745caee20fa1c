# SPDX-License-Identifier: Apache-2.0
"""A check's command line read without click means what click takes it for, or is left to click."""

from __future__ import annotations

import os
from typing import Any

import click
import pytest

from pytrace_exec.cli.ci_check import check
from pytrace_exec.cli.ci_words import OF_CACHE, answer, read

LINES = (
    ("--workflow", "w"),
    ("--workflow=w", "--workflow=v"),
    ("--workflow", "w", "--read-scope", "a", "--read-scope=b", "--env=X", "--max-age", "2h", "--max-skips=3"),
    ("--workflow", "", "--repo", "some/where", "--commit", "main~1", "--force", "--json", "--color=never"),
    ("--workflow", "w", "--format", "json", "--fingerprint", "", "--definition", "a b", "--fingerprint-outside"),
    ("--workflow", "--force", "--branch", "b", "--default-branch=c", "--project", "p", "--write-scope", "s"),
)
VARIABLES: tuple[dict[str, str], ...] = (
    {},
    {"PYTRACE_CI_READ_SCOPE": " a  b ", "PYTRACE_CI_ENV": "X", "PYTRACE_CI_FORCE": "yes", "PYTRACE_FORMAT": "json"},
    {"PYTRACE_CI_WORKFLOW": "other", "PYTRACE_CI_MAX_AGE": "1d", "PYTRACE_CI_MAX_SKIPS": "0", "PYTRACE_CI_REPO": "r"},
    {"PYTRACE_CI_FORCE": "0", "PYTRACE_CI_FINGERPRINT_OUTSIDE": "", "PYTRACE_CI_BRANCH": "", "PYTRACE_COLOR": ""},
)


def _by_click(words: tuple[str, ...]) -> dict[str, Any]:
    context = check.make_context("check", list(words))
    return dict(context.params)


@pytest.mark.parametrize("variables", range(len(VARIABLES)))
@pytest.mark.parametrize("words", range(len(LINES)))
def test_both_read_the_same(words: int, variables: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in VARIABLES[variables].items():
        monkeypatch.setenv(name, value)
    assert read(LINES[words], os.environ) == (_by_click(LINES[words]), {})


def test_every_option_is_known() -> None:
    """Each option of the verb is read here, too; those of the cache as `pytrace-exec` has them."""
    for option in check.params:
        assert isinstance(option, click.Option)
        if option.name == "help":
            continue
        flag = next(form for form in option.opts if form.startswith("--"))
        value = () if option.is_flag or flag == "--json" else ("1",)
        if flag in ("--format", "--color"):
            value = (option.type.choices[-1],)  # type: ignore[attr-defined]
        if flag == "--max-age":
            value = ("1h",)
        values, given = read(("--workflow", "w", flag, *value), {})
        assert option.name in values or flag[2:] in given, flag
    words = [word for name in OF_CACHE for word in (f"--{name}", "1")]
    assert read(["--workflow", "w", *words, "--remote-header=K=V"], {})[1] == {
        **dict.fromkeys(OF_CACHE, "1"), "remote-header": ("1", "K=V"),
    }  # fmt: skip


@pytest.mark.parametrize(
    "words",
    ["", "--help", "-h", "--workflow", "--workflow w extra", "--workflow w --nothing", "--workflow w --force=1",
     "--workflow w --max-age never", "--workflow w --max-skips -1", "--workflow w --format yaml",
     "--workflow w --json=1"],
)  # fmt: skip
def test_what_is_left_to_click(words: str) -> None:
    assert answer(words.split()) is None
