# SPDX-License-Identifier: Apache-2.0
"""Judging the rules one after the other; whatever a cache does, the run comes to its end."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from pytrace_cas.conform.registry import RULES, Broken, Finding, NotOffered, Rule, Status
from pytrace_cas.conform.titles import TITLES
from pytrace_cas.conform.web import RequestFailed
from pytrace_cas.conform.wire import CallFailed, Code

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytrace_cas.conform.cache import Cache

SUBJECTS = (
    "digests", "names", "capabilities", "find_missing", "batches", "writes", "reads", "trees", "chunks", "results",
    "behaviour", "http_cache", "assets",
)  # fmt: skip
SILENCE = (Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED)
# After so many rules in a row without an answer, nobody waits for those that are left.
PATIENCE = 3


def rules() -> list[Rule]:
    """Every rule, in the order of their titles; 68 last of the numbered ones, since it looks at the whole run."""
    for subject in SUBJECTS:
        import_module(f"pytrace_cas.conform.checks.{subject}")
    return [RULES[id] for id in TITLES]


def judge_all(cache: Cache) -> Iterator[Finding]:
    """Judge every rule, giving each finding as it is made."""
    # One count a protocol: the other one may be well.
    silent = {True: 0, False: 0}
    for rule in rules():
        over_http = rule.id.startswith("H")
        if silent[over_http] >= PATIENCE:
            yield Finding(rule, Status.FAIL, f"not asked: the cache gave no answer to {PATIENCE} rules in a row")
            continue
        finding, answered = judge(cache, rule)
        silent[over_http] = 0 if answered else silent[over_http] + 1
        yield finding


def judge(cache: Cache, rule: Rule) -> tuple[Finding, bool]:
    """Judge one rule; also whether the cache answered at all."""
    try:
        return Finding(rule, Status.PASS, rule.check(cache)), True
    except NotOffered as error:
        return Finding(rule, Status.NOT_OFFERED, str(error)), True
    except Broken as error:
        return Finding(rule, Status.FAIL, str(error)), True
    except CallFailed as error:
        return Finding(rule, Status.FAIL, f"seen: {error}; expected: an answer"), error.code not in SILENCE
    except RequestFailed as error:
        return Finding(rule, Status.FAIL, f"seen: {error}; expected: an answer"), False
    except Exception as error:
        # An answer that no cache should give can lead a check anywhere; it is the rule's failure, not the run's.
        seen = " ".join(str(error).split())[:200]
        return Finding(rule, Status.FAIL, f"seen: an answer that cannot be read ({type(error).__name__}: {seen})"), True
