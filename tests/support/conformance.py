# SPDX-License-Identifier: Apache-2.0
"""The tool's side of a connection, to whatever a test serves."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from pytrace_cas.conform.cache import Cache
from pytrace_cas.conform.endpoint import Access, Endpoint
from pytrace_cas.conform.runner import judge, judge_all, rules
from pytrace_cas.conform.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def opened(url: str, timeout: float = 20.0, overfill: int = 0) -> Iterator[Cache]:
    """A cache as rules see it."""
    with Wire(Endpoint.parse(url), Access(timeout=timeout)) as wire:
        yield Cache(wire, overfill=overfill)


def judged(url: str, *only: str, timeout: float = 20.0, overfill: int = 0) -> dict[str, tuple[str, str]]:
    """Status and message by rule; `only` some, or all of them."""
    with opened(url, timeout, overfill) as cache:
        found = [judge(cache, rule)[0] for rule in rules() if rule.id in only] if only else list(judge_all(cache))
    return {finding.rule.id: (finding.status.value, finding.message) for finding in found}
