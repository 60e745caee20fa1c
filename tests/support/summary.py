# SPDX-License-Identifier: Apache-2.0
"""Lines that tests want said at the end of a session, in whichever process they ran."""

from __future__ import annotations

import pytest

SUMMARY = "summary"  # a test's property of this name is printed


class Summary:
    """A pytest plug-in that prints them."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect what a test has said."""
        if report.when == "call":
            self._lines += [str(value) for name, value in report.user_properties if name == SUMMARY]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print it."""
        for line in self._lines:
            terminalreporter.write_line(line)
