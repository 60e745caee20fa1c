# SPDX-License-Identifier: Apache-2.0
"""The tables that the documentation prints are the tables of the code."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from pytrace_cas.catalogue import FILTER_HELP
from pytrace_cas.conform.titles import TITLES
from pytrace_cas.explained.reasons import SENTENCES as MISSED
from pytrace_cas.explained.reasons import group_of
from pytrace_cas.recorded.scheme import SCHEME
from pytrace_cas.recorded.subjects import KINDS
from pytrace_exec.observe.facts import VALUES
from pytrace_exec.observe.surroundings import IDENTITY
from pytrace_exec.policy.reasons import SENTENCES

DOCS = Path(__file__).parents[1] / "docs"
MARKED = re.compile(r"<!-- table: ([\w.]+)\.(\w+) -->\n```text\n(.*?)\n```", re.DOTALL)
FIRST_CELL = re.compile(r"^\| `([\w ]+)` \|", re.MULTILINE)
CONFORMANCE_ROW = re.compile(r"^\| ([0-9HA]\d*) \| ([^|]+) \| ([^|]+) \|", re.MULTILINE)
PRINTED = {
    "environment.md": {"VARYING", "READ_BY"},
    "identity.md": {"NEUTRAL_TOOLS"},
    "facts.md": {"DECIDE_BY_OWNER", "DECIDE_BY_FOLDERS_OWNER", "OWNERS_BY_WORDS"},
    "machine.md": {"OPENED", "LOOKED", "TELL_STACK", "INTERFACES_TO_CONNECT", "FILE_SYSTEM_STATE",
        "HARMLESS_REQUESTS", "OPENS_WHAT_IT_IS_TOLD", "ASK_FOR_MEMORY", "SIZED_BY_MEMORY"},
    "git.md": {"GIT_COMMANDS", "GIT_OPTIONS", "GIT_VARIABLES", "GIT_SETTINGS"},
    "loader-cache.md": {"DEFAULT_FOLDERS"},
    "accounts.md": {"SHOW_OWNERS", "ASK_BY_NAME", "LIBRARY_FILES"},
    "scratch.md": {"PLACES"},
    "own-outputs.md": {"RELAXED_KINDS", "COMPILER_SUFFIXES", "REPLACING"},
    "times.md": {
        "COMPILERS", "BINARY_TOOLS", "PLAIN_TOOLS", "COMPARE_FOLDERS", "COMPARE_LINKS",
        "FOLDERS_BY_WORDS", "SHELLS", "LOOK_BEFORE_LISTING", "WARN_OF_THE_FUTURE", "COPY_TIMES", "MODE_ONLY",
        "PLAIN_FORMATS", "CLOCK", "CLOCK_OPTIONS", "LISTING_FORMATS", "LISTING_ARCHIVERS",
        "GIT_MAKES", "MULTI_CALL", "TIMES_AS_CONTENT", "REFUSE_SAME_FILE",
    },
}  # fmt: skip


def words(table: str | Iterable[str | bytes]) -> list[str]:
    """The words of a table: in order if it is a text, sorted if it is a set."""
    if isinstance(table, str):
        return table.split()
    return sorted(word.decode() if isinstance(word, bytes) else word for word in table if word)


@pytest.mark.parametrize("page", PRINTED)
def test_a_page_prints_its_tables_as_they_are(page: str) -> None:
    found = MARKED.findall((DOCS / page).read_text())
    assert {name for _, name, _ in found} == PRINTED[page]
    for module, name, text in found:
        assert text.split() == words(getattr(importlib.import_module(f"pytrace_exec.{module}"), name)), name


def test_every_reason_not_to_store_is_explained() -> None:
    assert FIRST_CELL.findall((DOCS / "not-stored.md").read_text()) != []
    assert set(FIRST_CELL.findall((DOCS / "not-stored.md").read_text())) == SENTENCES.keys()


def test_every_reason_of_a_miss_is_explained_in_the_order_of_telling() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", (DOCS / "explaining.md").read_text(), re.MULTILINE)
    assert rows == [(code, group_of(code)) for code in MISSED]


def test_the_conformance_table_has_every_rule_and_ours_breaks_none() -> None:
    rows = CONFORMANCE_ROW.findall((DOCS / "conformance.md").read_text())
    assert [(id, title) for id, title, _ in rows] == list(TITLES.items())
    assert {ours for _, _, ours in rows} == {"pass"}


def test_the_grammar_of_filters_is_printed() -> None:
    assert FILTER_HELP in (DOCS / "catalogue.md").read_text()


def test_every_kind_of_fact_is_explained() -> None:
    text = (DOCS / "facts.md").read_text()
    assert set(FIRST_CELL.findall(text)) == KINDS == VALUES.keys()
    assert all(f"`{name}`" in text for name in IDENTITY)


def test_the_scheme_is_the_one_that_is_described() -> None:
    assert f"`scheme` (`{SCHEME}`)" in (DOCS / "keys.md").read_text()
