# SPDX-License-Identifier: Apache-2.0
"""What a rule is, what judging it gives, and how a rule says that it is broken or does not apply."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING

import attrs

from pytrace_cas.conform.titles import TITLES

if TYPE_CHECKING:
    from pytrace_cas.conform.cache import Cache

    Check = Callable[[Cache], str]


class Broken(Exception):
    """The cache breaks the rule; `seen` is what it did, `expected` what the rule asks."""

    def __init__(self, seen: str, expected: str) -> None:
        super().__init__(f"seen: {seen}; expected: {expected}")
        self.seen = seen
        self.expected = expected


class NotOffered(Exception):
    """The cache does not offer what the rule is about, by its own word; `why` says how it said so."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Status(Enum):
    """What became of a rule."""

    PASS = "pass"
    FAIL = "fail"
    NOT_OFFERED = "not_offered"


@attrs.frozen
class Rule:
    """One thing that a cache must do; `check` returns what was seen, or raises `Broken` or `NotOffered`."""

    id: str
    check: Check

    @property
    def title(self) -> str:
        """What it asks, in a few words."""
        return TITLES[self.id]


@attrs.frozen
class Finding:
    """A rule that was judged; `message` says what was seen."""

    rule: Rule
    status: Status
    message: str


RULES: dict[str, Rule] = {}


def rule(id: str) -> Callable[[Check], Check]:
    """Register a function as the check of the rule with that id."""

    def register(check: Check) -> Check:
        RULES[id] = Rule(id, check)
        return check

    return register


def expect(held: bool, seen: str, expected: str) -> None:
    """Raise `Broken` unless it held."""
    if not held:
        raise Broken(seen, expected)
