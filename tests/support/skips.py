# SPDX-License-Identifier: Apache-2.0
"""Skips: which tests a machine cannot run, and which skips may occur where everything can be installed."""

from __future__ import annotations

import os
import platform
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import pytest

from tests.support import capabilities


class MalformedAllowance(ValueError):
    """A line of the list of allowed skips that gives no reason."""

    def __init__(self, path: Path, line: int) -> None:
        self.path = path
        self.line = line
        super().__init__(f"{path}:{line}: write a node id, a space, and why that test may be skipped")


def allowances(path: Path) -> list[str]:
    """Read the node ids of a list of allowed skips; raise `MalformedAllowance` for one without a reason."""
    allowed = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        node, _, reason = line.partition(" ")
        if not reason.strip():
            raise MalformedAllowance(path, number)
        allowed.append(node)
    return allowed


def on_reference_machine() -> bool:
    """Tell whether this is Debian 12 and root, where `scripts/system-packages` can install everything."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return False
    return (release.get("ID"), release.get("VERSION_ID")) == ("debian", "12") and os.geteuid() == 0


def mark_incapable(items: Sequence[pytest.Item]) -> None:
    """Skip, with its reason, every test marked with a capability that this machine lacks."""
    for item in items:
        for marker in item.iter_markers():
            reason = capabilities.lacking(marker.name)
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


class AllowedSkips:
    """A pytest plug-in that fails a session in which a test was skipped that `allowed` does not name.

    `waived`: reasons for which any test may be skipped, as what they name was left out on purpose.
    """

    def __init__(self, allowed: Sequence[str], waived: Collection[str | None] = ()) -> None:
        self._allowed = tuple(allowed)
        self._waived = frozenset(waived)
        self._unlisted: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a test that was skipped; an expected failure is none."""
        if report.skipped and not hasattr(report, "wasxfail"):
            self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a module that was skipped as a whole."""
        if report.skipped:
            self._note(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail a session that was good but for its skips."""
        if self._unlisted and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Name the skips that are not allowed."""
        if self._unlisted:
            terminalreporter.section("skips that tests/ALLOWED_SKIPS does not list", red=True)
            for node in self._unlisted:
                terminalreporter.line(node)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if _reason(report) not in self._waived and not any(
            prefix in self._allowed for prefix in _prefixes(report.nodeid)
        ):
            self._unlisted.append(report.nodeid)


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Why something was skipped, which pytest tells with its place."""
    told = report.longrepr
    return told[2].removeprefix("Skipped: ") if isinstance(told, tuple) else ""


def _prefixes(node: str) -> Iterator[str]:
    """A node id and its beginnings up to a `[` or a `::`."""
    yield node
    name, parameters, _ = node.partition("[")
    if parameters:
        yield name
    while "::" in name:
        name = name.rpartition("::")[0]
        yield name
