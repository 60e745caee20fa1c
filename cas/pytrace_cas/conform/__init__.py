# SPDX-License-Identifier: Apache-2.0
"""Conformance of any REAPI cache, rule by rule over the wire; knows nothing of how our own server works."""

from __future__ import annotations

from pytrace_cas.conform.registry import Finding, Rule, Status
from pytrace_cas.conform.runner import judge_all, rules

__all__ = ["Finding", "Rule", "Status", "judge_all", "rules"]
